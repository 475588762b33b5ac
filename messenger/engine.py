"""The messenger without its screen and its socket.

What a person wants and what the relay says go in, frames and events come out.

Each call is one transaction; the frames it returns may be sent because what they say is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from messenger.account import Account
from messenger.address_book import AddressBook
from messenger.archive import Archive
from messenger.beginnings import Beginnings
from messenger.changes import Changes
from messenger.contacts import Contacts
from messenger.database import Database
from messenger.decisions import Decisions
from messenger.door import Door
from messenger.events import ErasureRefused, Event, MessagesExpired, Online, Typing
from messenger.expiry import Expiry
from messenger.history import History
from messenger.identities import Identities
from messenger.inbox import Inbox, Shown
from messenger.introductions import Introductions
from messenger.keyring import Keyring
from messenger.line import Line, LinkState, Output, Stocking
from messenger.log_in import LogIn
from messenger.log_replica import LogReplica
from messenger.log_watch import LogWatch
from messenger.outbox import Outbox
from messenger.preferences import Preferences
from messenger.proofs import Proofs
from messenger.protection import Protection
from messenger.receipts import Receipts
from messenger.rotation import Rotation
from messenger.sealing import Sealer
from messenger.sending import Sending
from messenger.server_data import ServerData
from messenger.stock import Stock
from messenger.suites import suites
from messenger.suites.own_prekeys import OwnPrekeys
from messenger.suites.sessions import Sessions
from messenger.writing import Writing
from protocol import (
    MAX_ACKNOWLEDGED,
    VERSIONS,
    AcceptanceProof,
    Accepted,
    Acknowledge,
    Delivery,
    Erase,
    Erased,
    FetchAcceptance,
    FetchIdentity,
    FetchLog,
    FetchPrekeys,
    FetchRows,
    Frame,
    Hello,
    Identity,
    Log,
    LoggedIn,
    Login,
    Prekeys,
    PrekeysHeld,
    PublishPrekeys,
    Refusal,
    Rejected,
    Rotate,
    Rotated,
    Rows,
    Welcome,
    frame_type,
)

DEFAULTS: Final = Preferences()
SWEEP_EVERY_S: Final = 60  # how long the database's log holds keys that are forgotten


class Messenger:
    """One account's conversation with everybody, through one relay."""

    def __init__(self, keyring: Keyring, database: Database, preferences: Preferences = DEFAULTS) -> None:
        """Go on where the account's database ends.

        Args:
            keyring: The account's identities.
            database: What it remembers.
            preferences: What the person has chosen.
        """
        self.keyring = keyring
        sessions, prekeys = Sessions(database), OwnPrekeys(database)
        table = {number: suite for number, suite in suites(sessions, prekeys).items() if number in preferences.spoken}
        self._protection = Protection(table, minimum=preferences.minimum_suite)
        self.contacts = Contacts(database)
        self.history = History(database)
        self.archive = Archive(database)
        self.outbox = Outbox(database)
        self.database = database
        self._sweep_at = 0
        self._line = Line()
        self._login = LogIn(self._line, keyring)
        self.door = Door(database, ajar=not preferences.requests)
        self.book = AddressBook(database)
        self.changes = Changes(database, self.book)
        self.expiry = Expiry(database, self.changes)
        self._inbox = Inbox(keyring, database, self.contacts, self.history, self._protection, self.door, self.changes)
        self._receipts = Receipts(
            self._inbox, self.history, self.outbox, self.door, of_reading=preferences.read_receipts
        )
        self.log = LogReplica(database)
        self._identities = Identities(self._line, keyring, self.contacts, self.log)
        self._watch = LogWatch(self._line, keyring, self.contacts, self._identities, self.log)
        self._data = ServerData(self._line, keyring)
        self._proofs = Proofs(self._line, keyring, self.archive, self.history, self.log)
        self._rotation = Rotation(self._line, keyring, self.contacts, self.door, self.outbox)
        self._stock = Stock(self._line, keyring, prekeys, sessions, self._protection)
        beginnings = Beginnings(self._line, keyring, sessions)
        sealer = Sealer(keyring, self.contacts, self.history, self.outbox, self.log, self._protection)
        self._sending = Sending(
            self._line, self._identities, self.contacts, self.history, self.outbox, sealer, beginnings
        )
        introductions = Introductions(self._line, keyring, self._identities, self._watch, self._inbox, self._sending)
        self.decisions = Decisions(
            self._step,
            self._line,
            self.contacts,
            self._identities,
            self._inbox,
            self.door,
            self._receipts,
            self.changes,
        )
        self.writing = Writing(
            self._step,
            self._line,
            keyring,
            self.contacts,
            self.history,
            self.archive,
            self.changes,
            self.book,
            self.outbox,
            self.door,
            self.decisions,
            typing=preferences.typing,
        )
        self._replies: Final[dict[type[Frame], Callable[[Any, Output, int], None]]] = {
            Welcome: lambda frame, output, _now: self._login.welcome(frame, output),
            LoggedIn: self._logged_in,
            Accepted: lambda frame, output, now: self._sending.accepted(frame, output, now=now),
            Rejected: lambda frame, output, now: self._sending.rejected(frame, output, now=now),
            Identity: lambda frame, output, now: introductions.identity(frame, output, now=now),
            Log: lambda frame, output, now: self._watch.took(frame, output, now=now),
            Rows: lambda frame, output, _now: self._data.took(frame, output),
            AcceptanceProof: lambda frame, output, now: self._proofs.took(frame, output, now=now),
            Erased: lambda frame, output, _now: self._data.erased(frame, output),
            Rotated: self._rotated,
            PrekeysHeld: lambda frame, output, now: self._stock.held(frame, output, now=now),
            Prekeys: lambda frame, output, now: self._sending.prekeys_came(frame, output, now=now),
            Delivery: self._delivery,
            Refusal: self._refused,
        }
        self._refusals: Final[dict[str, Callable[[Refusal, Output, int], None]]] = {
            frame_type(Login): lambda frame, output, _now: self._login.refused(frame, output),
            frame_type(Rotate): self._rotation_refused,
            frame_type(PublishPrekeys): lambda frame, _output, now: self._stock.refused(frame, now=now),
            frame_type(FetchPrekeys): lambda frame, output, now: self._sending.no_prekeys(frame, output, now=now),
            frame_type(FetchIdentity): lambda frame, output, now: introductions.nobody(frame, output, now=now),
            frame_type(FetchLog): lambda frame, _output, now: self._watch.put_off(frame.retry_after_s, now=now),
            frame_type(FetchAcceptance): lambda frame, output, _now: self._proofs.refused(frame, output),
            frame_type(FetchRows): lambda frame, _output, now: self._data.put_off(frame.retry_after_s, now=now),
            frame_type(Erase): lambda frame, output, _now: output.events.append(ErasureRefused(frame.code)),
        }

    @property
    def account(self) -> Account:
        """The account, with its present identity."""
        return self.keyring.account

    @contextmanager
    def _step(self, now: int) -> Iterator[Output]:
        """Run one step in one transaction, and send what has become possible by it; one that fails changes nothing."""
        output, link = Output(now=now), self._line.link
        before = link.copied() if link is not None else None
        try:
            with self.database.transaction():
                yield output
                self._collect(output, now)
                self._sending.flush(output, now=now)
        except BaseException:
            self._line.link = before
            self._inbox.forget_step()
            self._watch.forget_step()
            self._rotation.forget_step()
            raise
        if self._rotation.finish():
            with self.database.transaction():
                self._stock.ask(output, now=now)
                self._sending.flush(output, now=now)

    def _collect(self, output: Output, now: int) -> None:
        """Take over what the inbox wants told and acknowledged, and what it has heard."""
        for peer, log in self._inbox.heard:
            self._watch.heard(peer, log, output, now=now)
            if self.caught_up:
                self._line.present.heard_at[peer] = now
        self._inbox.heard.clear()
        self._receipts.unopened(now=now)
        for peer, message_id in self._inbox.wanted_again:
            self._sending.send_again(peer, message_id, output, now=now)
        self._inbox.wanted_again.clear()
        self._inbox.events += [Typing(peer) for peer in self._inbox.typing]
        self._inbox.typing.clear()
        output.events += self._inbox.events
        self._inbox.events.clear()
        sequences = [sequence for sequence in self._inbox.acknowledged if sequence]  # 0: not over this link
        self._inbox.acknowledged.clear()
        if self._line.online:
            for at in range(0, len(sequences), MAX_ACKNOWLEDGED):
                output.frames.append(Acknowledge(sequences=sequences[at : at + MAX_ACKNOWLEDGED]))

    # ------------------------------------------------------------ the link

    @property
    def online(self) -> bool:
        """Whether the relay has let us in."""
        return self._line.online

    @property
    def told(self) -> bool:
        """Whether all contacts have heard of our identity, but for those with whom no session can begin just now."""
        link = self._line.link
        return (
            link is not None and self.keyring.following is None and self.outbox.notified() <= link.prekeys_after.keys()
        )

    @property
    def stocked(self) -> bool:
        """Whether the server has let us in, and was left the prekeys that it lacked if it takes any."""
        return self._line.online and self._line.present.stock is Stocking.SETTLED

    @property
    def caught_up(self) -> bool:
        """Whether all that waited at the relay has come."""
        return self._line.online and self._line.present.expected <= 0

    @property
    def settled(self) -> bool:
        """Whether all that waited at the relay has been dealt with, and all that could be sent was answered."""
        link = self._line.link
        return (
            link is not None
            and link.online
            and not link.rotating
            and link.expected <= 0
            and not link.in_flight
            and not link.asked
            and not link.asked_prekeys
            and link.stock is Stocking.SETTLED
            and not link.reading_log
            and self._inbox.settled
        )

    def connected(self, server_key_hash: bytes) -> Output:
        """Begin on a new link.

        Args:
            server_key_hash: SHA-256 of the SubjectPublicKeyInfo of the server's key, as seen in TLS.
        """
        self._line.link = link = LinkState(server_key_hash)
        return Output([Hello(nonce=link.nonce, versions=list(VERSIONS))])

    def disconnected(self) -> None:
        """Note that the link has ended; what was not answered goes out again over the next."""
        self._line.link = None
        self._inbox.forget_link()

    def receive(self, frames: list[Frame], *, now: int) -> Output:
        """Take in what the relay says."""
        with self._step(now) as output:
            for frame in frames:
                self._replies[type(frame)](frame, output, now)
        return output

    def tidy(self, *, now: int) -> None:
        """Remove all messages that have disappeared by now, or are kept no longer.

        To be called once, at the start; `tick` goes on.
        """
        while self.expiry.is_due(now=now):
            with self.database.transaction():
                self.expiry.disappear(now=now)
        is_more = True
        while is_more:
            with self.database.transaction():
                is_more = self.expiry.tidy(now=now)

    def tick(self, *, now: int) -> Output:
        """Repeat what the relay had put off, when its time has come; to be called every second or so."""
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EVERY_S
            with self.database.transaction():
                self.outbox.forget_receipts(now=now)
                self.expiry.tidy(now=now)
            self.database.sweep()
        link = self._line.link
        due = () if link is None else (
            link.retry_at, link.read_log_at, link.ask_rows_at, link.log_overdue_at, link.restock_at
        )  # fmt: skip
        over = self.expiry.is_due(now=now)
        if not over and not any(at is not None and now >= at for at in due):
            return Output()
        with self._step(now) as output:
            if over:
                removed = self.expiry.disappear(now=now)
                output.events += [MessagesExpired(peer, count) for peer, count in removed.items()]
            if link is None:
                return output
            self._watch.tick(output, now=now)
            self._data.tick(output, now=now)
            self._stock.tick(output, now=now)
            self._try_again(output, now)
        return output

    def _try_again(self, output: Output, now: int) -> None:
        link = self._line.present
        if link.retry_at is not None and now >= link.retry_at:
            link.retry_at = None
            self._rotation.lead_on(output)
            self._line.send_again()
            for user_id in self._inbox.unknown_senders:
                self._identities.look_up(user_id, output)

    # ------------------------------------------------------------ logged in

    def _logged_in(self, frame: LoggedIn, output: Output, now: int) -> None:
        link = self._line.present
        link.online, link.expected = True, frame.pending
        self.outbox.forget_typing()
        output.events.append(Online(frame.pending))
        self._rotation.logged_in(output, now=now)
        if self._protection.is_behind(self.account.record) and self.keyring.following is None and not link.behind:
            self._rotation.begin(now=now)  # an account of an earlier version moves up
            self._rotation.tell(output)
        self._stock.ask(output, now=now)
        self._watch.logged_in(frame, output, now=now)
        self._take_up(output)
        for message_id, peer in self.history.undelivered(before=now - frame.retention_s):
            self._sending.advance(output, peer, message_id, "expired", only_from=("accepted",))

    def _rotated(self, frame: Rotated, output: Output, now: int) -> None:
        was_behind = self._line.present.behind
        self._rotation.rotated(frame, output, now=now)
        if was_behind:
            self._stock.ask(output, now=now)
        self._watch.tick(output, now=now)  # which does not read the log while the server is behind

    # ------------------------------------------------------------ the account

    def rotate(self, *, now: int) -> Output:
        """Give this account new keys, signed by the present ones; the server and the contacts hear of it when they can.

        Raises:
            UsageError: A rotation is under way.
            StorageError: The new keys cannot be written.
        """
        with self._step(now) as output:
            self._rotation.begin(now=now)
            self._rotation.tell(output)
        return output

    def ask_for_proof(self, peer: str, *, now: int) -> Output:
        """Ask the server to prove that it has the newest own message to somebody; what it says comes as an event."""
        with self._step(now) as output:
            self._proofs.ask(peer, output)
        return output

    def ask_what_the_server_knows(self, *, now: int) -> Output:
        """Ask for every row that the server holds about this account; they come as events.

        Raises:
            UsageError: The server cannot be reached.
        """
        with self._step(now) as output:
            self._data.ask(output)
        return output

    def erase_account(self, confirmed: str, *, now: int) -> Output:
        """Have the server remove this account, for ever.

        Args:
            confirmed: The account's number, as the person has typed it.
            now: Seconds since 1970.

        Raises:
            UsageError: It is another, the server cannot be reached, or keys are being rotated.
        """
        with self._step(now) as output:
            self._data.erase(confirmed, output, now=now)
        return output

    def _take_up(self, output: Output) -> None:
        """Go on with what was put aside, if the server is believed."""
        if self._line.online and self.log.alarm is None:
            for user_id in self._inbox.take_up():
                self._identities.look_up(user_id, output)

    def forget_log(self, *, now: int) -> Output:
        """Believe the server again, and read its key log anew: the person's decision."""
        with self._step(now) as output:
            self._watch.forget(output, now=now)
            self._take_up(output)
        return output

    def _refused(self, frame: Refusal, output: Output, now: int) -> None:
        command = self._refusals.get(frame.command)
        if command is not None:
            command(frame, output, now)

    def _rotation_refused(self, frame: Refusal, output: Output, now: int) -> None:
        self._rotation.refused(frame, output, now=now)
        self._stock.ask(output, now=now)

    # ------------------------------------------------------------ in

    def resume(self) -> list[Event]:
        """Return what was stored but not shown when the program last ended; to be called once, at the start."""
        return self._inbox.resume()

    def _delivery(self, frame: Delivery, output: Output, now: int) -> None:
        link = self._line.present
        has_waited = link.expected > 0
        link.expected -= 1
        unknown = self._inbox.deliver(frame, now=now)
        if has_waited:
            self._inbox.typing.clear()  # that was before
        if unknown is not None and self.log.alarm is None:
            self._identities.look_up(unknown, output)
        elif unknown is not None:
            self._inbox.put_aside(unknown)

    def shown(self, messages: list[Shown], *, read: bool = False, now: int) -> Output:
        """Take note that messages were shown: acknowledge them, and let their senders know.

        Args:
            messages: Those of the events.
            read: Whether somebody reads them there; otherwise they are unread until `read`.
            now: Seconds since 1970.
        """
        with self._step(now) as output:
            self._receipts.shown(messages, read=read, now=now)
        return output

    def read(self, peer: str, *, now: int) -> Output:
        """Take note that everything of a contact that was shown was read, and let them know."""
        with self._step(now) as output:
            self._receipts.read(peer, now=now)
        return output
