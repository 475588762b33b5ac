"""A relay on a real store, driven by hand: commands in, actions out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crypto_utils import Label, PrivateKeys, encode_base64, sha256, sign, spki
from errors import Code
from identity import (
    Predecessor,
    create_ending,
    create_record,
    identity_hash,
    key_id,
    login_statement,
    seal_code,
)
from protocol import (
    Accepted,
    Acknowledge,
    Deliveries,
    Delivery,
    Envelope,
    Frame,
    Hello,
    LoggedIn,
    Login,
    Message,
    Outbound,
    Receipt,
    Refusal,
    Register,
    Rejected,
    RequestCode,
    Rotate,
    Rotated,
    Welcome,
)
from records import IdentityRecord, Revocation
from relay.actions import Action, HangUp, Outgoing, SendCode
from relay.limits import Limits, Now
from relay.service import Keys, Relay
from relay.storage import Address, Arrival, Store, Stored
from relay.storage.sqlite import SqliteStore
from server_key import generate_server_key
from tests.strategies import deliveries_of

START_S = 1_700_000_000
SERVER_KEY = generate_server_key()
LOG_KEY = generate_server_key()
LOG_SPKI = spki(LOG_KEY.public_key())


class World:
    def __init__(self, path: Path, keys: list[PrivateKeys], limits: Limits | None = None) -> None:
        self.path = path
        self.limits = limits or Limits()
        self.keys = keys
        self.suites = [1]
        self.records: dict[str, tuple[IdentityRecord, PrivateKeys]] = {}
        self.now = Now(START_S, 0.0)
        self.open()

    def open(self) -> None:
        self.store = SqliteStore(self.path)
        self.store._db.execute("PRAGMA synchronous = OFF")  # nobody pulls a plug here
        self.relay = Relay(self.store, Keys(SERVER_KEY, LOG_KEY), self.limits)

    def close(self) -> None:
        self.store.close()

    def crash(self) -> None:
        """Lose everything that is not on disk."""
        self.store.close()
        self.open()

    def pass_time(self, seconds: float) -> None:
        self.now = Now(self.now.wall_s + int(seconds), self.now.steady_s + seconds)

    def set_wall_clock(self, seconds: int) -> None:
        """Let the wall clock jump; the steady one does not."""
        self.now = self.now._replace(wall_s=self.now.wall_s + seconds)

    def expire(self) -> bool:
        with self.store.transaction():
            return self.relay.expire(now=self.now)

    def do(self, link: str, frame: Frame) -> list[Action]:
        return self.do_all((link, frame))[0]

    def do_all(self, *commands: tuple[str, Frame]) -> list[list[Action]]:
        """Carry out commands as one group: one transaction, as the writer does when nobody acknowledges."""
        self.relay.begin()
        with self.store.transaction():
            done = [one_by_one(list(self.relay.receive(link, [frame], now=self.now))) for link, frame in commands]
        late: list[Any] = one_by_one(list(self.relay.committed()))
        answers = {(answer.link, answer.frames[0].ids[0]): answer for answer in late}
        for (link, frame), actions in zip(commands, done, strict=True):
            if isinstance(frame, Envelope) and (link, frame.id) in answers:
                actions.insert(0, Outgoing(link, answers.pop((link, frame.id)).frames))
        assert not answers
        return done

    def replies(self, link: str, frame: Frame) -> list[Frame]:
        return frames_to(link, self.do(link, frame))

    def reply(self, link: str, frame: Frame) -> Any:
        (only,) = self.replies(link, frame)
        return only

    # ------------------------------------------------------------ getting in

    def visit(self, link: str, address: str = "192.0.2.1") -> Welcome:
        self.relay.closed(link)  # the name is used again for a new one
        self.relay.opened(link, address)
        welcome = self.reply(link, Hello(nonce=bytes(32), versions=[1]))
        assert isinstance(welcome, Welcome)
        return welcome

    def identity(self, user_id: str, number: int = 0) -> IdentityRecord:
        keys = self.keys[number]
        record = create_record(keys, user_id, created=START_S, suites=self.suites)
        self.records[user_id] = (record, keys)
        return record

    def successor(self, user_id: str, number: int, **changes: Any) -> IdentityRecord:
        """Make the next identity of an account, of another set of keys; it is not used yet."""
        record, keys = self.records[user_id]
        before = Predecessor(record, keys)
        return create_record(
            self.keys[number], user_id, created=self.now.wall_s, suites=self.suites, before=before, **changes
        )

    def rotate(self, user_id: str, number: int) -> IdentityRecord:
        record = self.successor(user_id, number)
        assert self.reply(user_id, Rotate(record=record)) == Rotated(identity_hash=identity_hash(record))
        self.records[user_id] = (record, self.keys[number])
        return record

    def certificate(self, user_id: str) -> Revocation:
        record, keys = self.records[user_id]
        return create_ending(Revocation, keys, record, created=START_S)

    def code(self, link: str, record: IdentityRecord) -> str:
        (action,) = self.do(link, RequestCode(identity_hash=identity_hash(record), user_id=record.user_id))
        assert isinstance(action, SendCode), action
        self.relay.code_delivered(link, record.user_id, delivered=True)
        return action.code

    def register_frame(self, record: IdentityRecord, code: str) -> Register:
        return Register(
            encrypted_code=seal_code(SERVER_KEY.public_key(), code, identity_hash(record)), record=record
        )  # fmt: skip

    def register_with(self, link: str, record: IdentityRecord, code: str) -> Any:
        return self.reply(link, self.register_frame(record, code))

    def register(self, user_id: str, number: int = 0) -> IdentityRecord:
        record, link = self.identity(user_id, number), f"registers {user_id}"
        self.visit(link)
        self.register_with(link, record, self.code(link, record))
        self.relay.closed(link)
        return record

    def with_pair(self) -> World:
        """Register Alice and Bob, and log Alice in."""
        self.register("alice", 0)
        self.register("bob", 1)
        self.login("alice")
        return self

    def add_device(self, user_id: str, device_id: int) -> None:
        """Give an account another device, for which there is no command yet."""
        with self.store.transaction():
            self.store._db.execute("INSERT INTO device VALUES (?, ?, 0)", (user_id, device_id))
        self.store._remembered.forget()

    def login_frame(
        self,
        user_id: str,
        welcome: Welcome,
        *,
        device_id: int = 1,
        keys: PrivateKeys | None = None,
        label: Label = Label.LOGIN,
        signed: dict[str, Any] | None = None,
    ) -> Login:
        """Make a login, by other keys or over another statement if need be."""
        record, own = self.records[user_id]
        statement: dict[str, Any] = {
            "server_key_hash": sha256(spki(SERVER_KEY.public_key())), "client_nonce": bytes(32),
            "server_nonce": welcome.nonce, "user_id": user_id, "device_id": device_id,
            "identity": identity_hash(record), "version": 1,
        }  # fmt: skip
        proof = sign((keys or own).ed25519, label, login_statement(**statement | (signed or {})))
        return Login(device_id=device_id, identity_hash=identity_hash(record), proof=proof, user_id=user_id)

    def login(
        self, user_id: str, link: str | None = None, *, device_id: int = 1, address: str = "192.0.2.1"
    ) -> list[Frame]:
        link = link or user_id
        replies = self.replies(link, self.login_frame(user_id, self.visit(link, address), device_id=device_id))
        assert isinstance(replies[0], LoggedIn), replies
        return replies

    # ------------------------------------------------------------ envelopes

    def envelope(
        self, sender: str, recipient: str, kind: type[Message | Receipt] = Message, **changes: Any
    ) -> Envelope:
        recipient_key = key_id(self.records[recipient][0]) if recipient in self.records else bytes(16)
        fields: dict[str, Any] = {
            "encrypted_aes_key": encode_base64(secrets.token_bytes(256)),
            "encrypted_content": encode_base64(secrets.token_bytes(272)),
            "id": secrets.token_bytes(16), "recipient_device": 0, "recipient_id": recipient,
            "recipient_key": recipient_key, "sender_device": 1, "sender_id": sender,
            "sender_key": key_id(self.records[sender][0]), "signature": encode_base64(secrets.token_bytes(256)),
            "suite": 1, "timestamp": START_S,
        }  # fmt: skip
        return kind(**fields | changes)

    def send(self, sender: str, recipient: str, **changes: Any) -> Envelope:
        envelope = self.envelope(sender, recipient, **changes)
        answers = [frame for frame in self.replies(sender, envelope) if isinstance(frame, Accepted | Rejected)]
        assert isinstance(answers[0], Accepted), answers
        return envelope

    def rejection(self, link: str, envelope: Envelope) -> Code:
        frame = self.reply(link, envelope)
        assert isinstance(frame, Rejected), frame
        assert frame.id == envelope.id
        return frame.code

    def pushed(self, sender: str, recipient: str, **changes: Any) -> list[str]:
        """Send a receipt and return the links that are handed it at once."""
        envelope = self.envelope(sender, recipient, Receipt, **changes)
        actions = self.do(sender, envelope)
        assert actions[0] == Outgoing(sender, [Accepted(ids=[envelope.id], timestamp=self.now.wall_s)]), actions
        return [str(action.link) for action in actions if isinstance(action, Outgoing) and deliveries(action.frames)]

    def refusal(self, link: str, frame: Frame) -> Code:
        reply = self.reply(link, frame)
        assert isinstance(reply, Refusal), reply
        return reply.code

    def acknowledge(self, link: str, *sequences: int) -> list[Delivery]:
        return deliveries(self.replies(link, Acknowledge(sequences=list(sequences))))


def one_by_one(actions: list[Action]) -> list[Action]:
    """Take apart what goes out together: a frame an action, an id an accepted frame."""
    apart: list[Action] = []
    for action in actions:
        if isinstance(action, Outgoing):
            apart += [
                Outgoing(action.link, [frame], action.early) for whole in action.frames for frame in single(whole)
            ]
        else:
            apart.append(action)
    return apart


def single(whole: Outbound) -> list[Frame]:
    if isinstance(whole, Accepted):
        return [Accepted(ids=[envelope_id], timestamp=whole.timestamp) for envelope_id in whole.ids]
    return [*deliveries_of(whole)] if isinstance(whole, Deliveries) else [whole]


def frames_to(link: str, actions: Iterable[Action]) -> list[Frame]:
    """Return the frames that go out over a link."""
    return [
        frame
        for action in actions
        if isinstance(action, Outgoing) and action.link == link
        for whole in action.frames
        for frame in single(whole)
    ]


def deliveries(frames: Iterable[Outbound]) -> list[Delivery]:
    return [frame for whole in frames for frame in single(whole) if isinstance(frame, Delivery)]


def contents(frames: Iterable[Outbound]) -> list[bytes]:
    """Return the envelopes that were delivered, as the recipient sees them."""
    return [bytes(delivery.envelope) for delivery in deliveries(frames)]


def hang_ups(actions: list[Action]) -> list[HangUp]:
    return [action for action in actions if isinstance(action, HangUp)]


# ---------------------------------------------------------------- a store by itself


def put_one(
    store: Store,
    to: Address,
    sender_id: str,
    envelope_id: bytes,
    envelope: bytes,
    stored: Stored,
    *,
    spared: bool = False,
) -> int:
    """Put one envelope into a mailbox and return its sequence."""
    (sequence,) = store.put(
        to, sender_id, [Arrival(envelope_id, envelope, stored.mark)], at=stored.received_at, spared=int(spared)
    )
    return sequence


def known(store: Store, sender_id: str, envelope_id: bytes) -> Stored | None:
    """Return what a store knows of one envelope."""
    return store.accepted(sender_id, [envelope_id]).get(envelope_id)
