"""People with real engines, real databases and a real relay, joined by an imaginary wire."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar, cast

from canonical_json import canonical
from crypto_utils import PrivateKeys, sha256, spki
from identity import create_record
from messenger.account import Account, Vault
from messenger.database import Database
from messenger.engine import Messenger
from messenger.events import Arrival, Event, MessageReceived
from messenger.keyring import Keyring
from messenger.line import Output
from messenger.preferences import Preferences
from messenger.suites import SPOKEN
from protocol import Frame, Identity, decode_frame
from records import IdentityRecord, Revocation
from relay.actions import HangUp, Outgoing
from relay.limits import Limits
from tests.relay.world import SERVER_KEY, START_S, World

PASSWORD = b"a password of the tests"
SERVER_KEY_HASH = sha256(spki(SERVER_KEY.public_key()))
Filter = Callable[[Frame], list[Frame]]  # a fault on the wire: what becomes of a frame


E = TypeVar("E", bound=Event)


class Person:
    def __init__(self, town: Town, user_id: str, number: int) -> None:
        self.town = town
        self.user_id = user_id
        record = create_record(town.keys[number], user_id, created=START_S, suites=town.suites)
        self.account = Account(user_id, town.keys[number], record)
        self.following: Account | None = None
        self.path = town.folder / f"{user_id}.db"
        self.links = 0
        self.link: str | None = None
        self.looks = True  # whether messages are shown as they come
        self.read_receipts = True
        self.typing = True
        self.requests = False  # whether strangers hear nothing until they are let in
        self.events: list[Event] = []
        self.open()

    def open(self) -> None:
        self.database = Database(self.path, PASSWORD)
        self.database._db.execute("PRAGMA synchronous = OFF")  # nobody pulls a plug here
        spoken = self.town.suites
        keyring = Keyring(self.account, self.database, cast("Vault", self), following=self.following, suites=spoken)
        preferences = Preferences(
            spoken,
            max(spoken),
            read_receipts=self.read_receipts,
            typing=self.typing,
            requests=self.requests,
        )
        self.messenger = Messenger(keyring, self.database, preferences)
        self.take(Output(events=self.messenger.resume()))

    def restart(self) -> None:
        """Lose everything that is not on disk."""
        self.go_offline()
        self.database.close()
        self.open()

    # ------------------------------------------------------------ the disk

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Let the database grow no more: what needs a page fails, in the middle of its transaction."""
        execute = self.database._db.execute
        (before,) = execute("PRAGMA max_page_count").fetchone()
        execute("PRAGMA max_page_count = 1")  # SQLite makes it as many as there are
        yield
        execute(f"PRAGMA max_page_count = {before}")

    @contextmanager
    def failing_commits(self, table: str) -> Iterator[None]:
        """Let each step that adds a row to a table fail at its very end, when all has been done but the commit."""
        execute = self.database._db.execute
        execute("CREATE TABLE page (number INTEGER PRIMARY KEY)")
        execute("CREATE TABLE used (number INTEGER REFERENCES page DEFERRABLE INITIALLY DEFERRED)")
        execute(f"CREATE TRIGGER full AFTER INSERT ON {table} BEGIN INSERT INTO used VALUES (1); END")
        yield
        for each in ("TRIGGER full", "TABLE used", "TABLE page"):
            execute(f"DROP {each}")

    @contextmanager
    def locked_disk(self) -> Iterator[None]:
        """Let another process hold the database: no transaction begins."""
        self.database._db.execute("PRAGMA busy_timeout = 0")
        with closing(Database(self.path, PASSWORD)) as other, other.transaction():
            yield

    # ------------------------------------------------------------ the files, as a Vault keeps them

    def save_next(self, account: Account) -> None:
        self.following = account

    def promote(self, account: Account) -> None:
        self.account, self.following = account, None

    # ------------------------------------------------------------ the link

    def go_online(self) -> None:
        self.links += 1
        self.link = f"{self.user_id}/{self.links}"
        self.town.world.relay.opened(self.link, "192.0.2.1")
        self.take(self.messenger.connected(SERVER_KEY_HASH))
        self.town.run()

    def go_offline(self) -> None:
        if self.link is not None:
            self.town.world.relay.closed(self.link)
            self.town.cut(self.link)
            self.messenger.disconnected()
            self.link = None

    def take(self, output: Output) -> None:
        """Carry out a step: send its frames, look at its messages."""
        if self.link is not None:
            for frame in output.frames:
                self.town.to_relay.append((self.link, frame))
        self.events += output.events
        shown = [(event.peer, event.id) for event in output.events if isinstance(event, Arrival)]
        if shown and self.looks:
            self.take(self.messenger.shown(shown, now=self.town.now))

    def told(self, records: list[IdentityRecord], revocations: list[Revocation] | None = None) -> Identity:
        """What a server answers this person that lies, and enters its lies into the log."""
        events, keeper = [*records, *(revocations or [])], self.town.world.relay._directory._log
        user_id = records[0].user_id
        with self.town.world.store.transaction():
            for event in events:
                if keeper._log.position(keeper._entry(user_id, event)) is None:
                    keeper.append(user_id, event)
        known, _ = self.messenger.log.known
        proof = keeper.prove(user_id, events, known_size=known, now=self.town.world.now)
        return Identity(proof=proof, records=records, revocations=revocations or [])

    # ------------------------------------------------------------ what the person does

    def write(self, peer: str, text: str) -> bytes:
        message_id, output = self.messenger.writing.send_text(peer, text, now=self.town.now)
        self.take(output)
        self.town.run()
        return message_id

    def accept(self, peer: str) -> None:
        self.take(self.messenger.decisions.accept(peer, now=self.town.now))
        self.town.run()

    def tick(self) -> None:
        self.take(self.messenger.tick(now=self.town.now))
        self.town.run()

    def state(self, message_id: bytes) -> str:
        return self.messenger.history.state(message_id)[0]

    # ------------------------------------------------------------ what the person saw

    @property
    def read(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, MessageReceived)]

    def saw(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


class Town:
    """A relay and everybody who lives on it."""

    def __init__(
        self, folder: Path, keys: list[PrivateKeys], limits: Limits | None = None, *, suites: Sequence[int] = SPOKEN
    ) -> None:
        self.suites = list(suites)
        self.folder = folder
        self.keys = keys
        self.world = World(folder / "relay.db", keys, limits or Limits(stranger_pending=1000))
        self.world.suites = self.suites
        self.to_relay: deque[tuple[str, Frame]] = deque()
        self.to_people: deque[tuple[str, Frame]] = deque()
        self.people: dict[str, Person] = {}
        self.outward: Filter = lambda frame: [frame]  # on the way to the relay
        self.inward: Filter = lambda frame: [frame]  # on the way to people

    @property
    def now(self) -> int:
        return self.world.now.wall_s

    def person(self, user_id: str, *, online: bool = True, away: bool = False) -> Person:
        """Let somebody move in; who is away was there once, and has left prekeys."""
        number = len(self.people)
        self.world.register(user_id, number)
        self.people[user_id] = Person(self, user_id, number)
        if online:
            self.people[user_id].go_online()
        if away:
            self.people[user_id].go_offline()
        return self.people[user_id]

    def cut(self, link: str) -> None:
        self.to_relay = deque(item for item in self.to_relay if item[0] != link)
        self.to_people = deque(item for item in self.to_people if item[0] != link)

    def run(self) -> None:
        """Let frames travel until none is on its way."""
        while self.to_relay or self.to_people:
            if self.to_relay:
                link, frame = self.to_relay.popleft()
                for arrived in self.outward(frame):
                    self._relay(link, arrived)
            if self.to_people:
                link, frame = self.to_people.popleft()
                person = self.people[link.partition("/")[0]]
                arrived_frames = self.inward(frame)
                if person.link == link and arrived_frames:
                    person.take(person.messenger.receive(arrived_frames, now=self.now))

    def _relay(self, link: str, frame: Frame) -> None:
        for action in self.world.do(link, frame):
            if isinstance(action, Outgoing):
                for outgoing in action.frames:
                    self.to_people.append((str(action.link), decode_frame(canonical(outgoing))))
            elif isinstance(action, HangUp):
                self._hang_up(str(action.link))

    def _hang_up(self, link: str) -> None:
        """End a link; what was said over it before still arrives."""
        person = self.people[link.partition("/")[0]]
        last = [frame for to, frame in self.to_people if to == link]
        if person.link == link and last:
            self.cut(link)
            person.take(person.messenger.receive(last, now=self.now))
        person.go_offline()

    def crash(self) -> None:
        """Kill the relay: everybody loses their link, and what is not on disk is gone."""
        for person in self.people.values():
            person.go_offline()
        self.world.crash()

    def close(self) -> None:
        for person in self.people.values():
            person.database.close()
        self.world.store.close()
