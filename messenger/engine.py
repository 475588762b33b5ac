"""The messenger without its screen and its socket.

What a person wants and what the relay says go in, frames and events come out.

Each call is one transaction; the frames it returns may be sent because what they say is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from messenger.account import Account
from messenger.database import Database
from messenger.events import ErasureRefused, Event, MessagesExpired, Online, Typing
from messenger.inbox import Shown
from messenger.keyring import Keyring
from messenger.line import LinkState, Output, Stocking
from messenger.parts import Parts, Tables
from messenger.preferences import Preferences
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
Taker = Callable[[Any, Output, int], None]  # takes in a frame, given what the step brings, and the time
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
        self.database = database
        self._tables = tables = Tables(database, preferences)
        self._parts = Parts(keyring, tables, preferences, self._step)
        self.contacts, self.door, self.book, self.log = tables.contacts, tables.door, tables.book, tables.log
        self.history, self.archive, self.outbox = tables.history, tables.archive, tables.outbox
        self.decisions, self.writing = self._parts.decisions, self._parts.writing
        self._replies = self._by_frame()
        self._refusals = self._by_refused_command()
        self._sweep_at = 0

    def _by_frame(self) -> dict[type[Frame], Taker]:
        """Return who takes in what of what the relay says."""
        parts = self._parts
        return {
            Welcome: lambda frame, output, _now: parts.log_in.welcome(frame, output),
            LoggedIn: self._logged_in,
            Accepted: lambda frame, output, now: parts.sending.accepted(frame, output, now=now),
            Rejected: lambda frame, output, now: parts.sending.rejected(frame, output, now=now),
            Identity: lambda frame, output, now: parts.introductions.identity(frame, output, now=now),
            Log: lambda frame, output, now: parts.watch.took(frame, output, now=now),
            Rows: lambda frame, output, _now: parts.data.took(frame, output),
            AcceptanceProof: lambda frame, output, now: parts.proofs.took(frame, output, now=now),
            Erased: lambda frame, output, _now: parts.data.erased(frame, output),
            Rotated: self._rotated,
            PrekeysHeld: lambda frame, output, now: parts.stock.held(frame, output, now=now),
            Prekeys: lambda frame, output, now: parts.sending.prekeys_came(frame, output, now=now),
            Delivery: self._delivery,
            Refusal: self._refused,
        }

    def _by_refused_command(self) -> dict[str, Taker]:
        """Return who takes in that the relay has refused what."""
        parts = self._parts
        return {
            frame_type(Login): lambda frame, output, _now: parts.log_in.refused(frame, output),
            frame_type(Rotate): self._rotation_refused,
            frame_type(PublishPrekeys): lambda frame, _output, now: parts.stock.refused(frame, now=now),
            frame_type(FetchPrekeys): lambda frame, output, now: parts.sending.no_prekeys(frame, output, now=now),
            frame_type(FetchIdentity): lambda frame, output, now: parts.introductions.nobody(frame, output, now=now),
            frame_type(FetchLog): lambda frame, _output, now: parts.watch.put_off(frame.retry_after_s, now=now),
            frame_type(FetchAcceptance): lambda frame, output, _now: parts.proofs.refused(frame, output),
            frame_type(FetchRows): lambda frame, _output, now: parts.data.put_off(frame.retry_after_s, now=now),
            frame_type(Erase): lambda frame, output, _now: output.events.append(ErasureRefused(frame.code)),
        }

    @property
    def account(self) -> Account:
        """The account, with its present identity."""
        return self.keyring.account

    @contextmanager
    def _step(self, now: int) -> Iterator[Output]:
        """Run one step in one transaction, and send what has become possible by it; one that fails changes nothing."""
        output, link = Output(now=now), self._parts.line.link
        before = link.copied() if link is not None else None
        try:
            with self.database.transaction():
                yield output
                self._collect(output, now)
                self._parts.sending.flush(output, now=now)
        except BaseException:
            self._parts.line.link = before
            self._parts.inbox.forget_step()
            self._parts.watch.forget_step()
            self._parts.rotation.forget_step()
            raise
        if self._parts.rotation.finish():
            with self.database.transaction():
                self._parts.stock.ask(output, now=now)
                self._parts.sending.flush(output, now=now)

    def _collect(self, output: Output, now: int) -> None:
        """Take over what the inbox wants told and acknowledged, and what it has heard."""
        inbox, line = self._parts.inbox, self._parts.line
        for peer, log in inbox.heard:
            self._parts.watch.heard(peer, log, output, now=now)
            if self.caught_up:
                line.present.heard_at[peer] = now
        inbox.heard.clear()
        self._parts.receipts.unopened(now=now)
        for peer, message_id in inbox.wanted_again:
            self._parts.sending.send_again(peer, message_id, output, now=now)
        inbox.wanted_again.clear()
        inbox.events += [Typing(peer) for peer in inbox.typing]
        inbox.typing.clear()
        output.events += inbox.events
        inbox.events.clear()
        sequences = [sequence for sequence in inbox.acknowledged if sequence]  # 0: not over this link
        inbox.acknowledged.clear()
        if line.online:
            for at in range(0, len(sequences), MAX_ACKNOWLEDGED):
                output.frames.append(Acknowledge(sequences=sequences[at : at + MAX_ACKNOWLEDGED]))

    # ------------------------------------------------------------ the link

    @property
    def online(self) -> bool:
        """Whether the relay has let us in."""
        return self._parts.line.online

    @property
    def told(self) -> bool:
        """Whether all contacts have heard of our identity, but for those with whom no session can begin just now."""
        link = self._parts.line.link
        return (
            link is not None and self.keyring.following is None and self.outbox.notified() <= link.prekeys_after.keys()
        )

    @property
    def stocked(self) -> bool:
        """Whether the server has let us in, and was left the prekeys that it lacked if it takes any."""
        return self._parts.line.online and self._parts.line.present.stock is Stocking.SETTLED

    @property
    def caught_up(self) -> bool:
        """Whether all that waited at the relay has come."""
        return self._parts.line.online and self._parts.line.present.expected <= 0

    @property
    def settled(self) -> bool:
        """Whether all that waited at the relay has been dealt with, and all that could be sent was answered."""
        link = self._parts.line.link
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
            and self._parts.inbox.settled
        )

    def connected(self, server_key_hash: bytes) -> Output:
        """Begin on a new link.

        Args:
            server_key_hash: SHA-256 of the SubjectPublicKeyInfo of the server's key, as seen in TLS.
        """
        self._parts.line.link = link = LinkState(server_key_hash)
        return Output([Hello(nonce=link.nonce, versions=list(VERSIONS))])

    def disconnected(self) -> None:
        """Note that the link has ended; what was not answered goes out again over the next."""
        self._parts.line.link = None
        self._parts.inbox.forget_link()

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
        while self._tables.expiry.is_due(now=now):
            with self.database.transaction():
                self._tables.expiry.disappear(now=now)
        is_more = True
        while is_more:
            with self.database.transaction():
                is_more = self._tables.expiry.tidy(now=now)

    def tick(self, *, now: int) -> Output:
        """Repeat what the relay had put off, when its time has come; to be called every second or so."""
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EVERY_S
            with self.database.transaction():
                self.outbox.forget_receipts(now=now)
                self._tables.expiry.tidy(now=now)
            self.database.sweep()
        link = self._parts.line.link
        due = () if link is None else (
            link.retry_at, link.read_log_at, link.ask_rows_at, link.log_overdue_at, link.restock_at
        )  # fmt: skip
        over = self._tables.expiry.is_due(now=now)
        if not over and not any(at is not None and now >= at for at in due):
            return Output()
        with self._step(now) as output:
            if over:
                removed = self._tables.expiry.disappear(now=now)
                output.events += [MessagesExpired(peer, count) for peer, count in removed.items()]
            if link is None:
                return output
            self._parts.watch.tick(output, now=now)
            self._parts.data.tick(output, now=now)
            self._parts.stock.tick(output, now=now)
            self._try_again(output, now)
        return output

    def _try_again(self, output: Output, now: int) -> None:
        link = self._parts.line.present
        if link.retry_at is not None and now >= link.retry_at:
            link.retry_at = None
            self._parts.rotation.lead_on(output)
            self._parts.line.send_again()
            for user_id in self._parts.inbox.unknown_senders:
                self._parts.identities.look_up(user_id, output)

    # ------------------------------------------------------------ logged in

    def _logged_in(self, frame: LoggedIn, output: Output, now: int) -> None:
        link = self._parts.line.present
        link.online, link.expected = True, frame.pending
        self.outbox.forget_typing()
        output.events.append(Online(frame.pending))
        self._parts.rotation.logged_in(output, now=now)
        if self._parts.protection.is_behind(self.account.record) and self.keyring.following is None and not link.behind:
            self._parts.rotation.begin(now=now)  # an account of an earlier version moves up
            self._parts.rotation.tell(output)
        self._parts.stock.ask(output, now=now)
        self._parts.watch.logged_in(frame, output, now=now)
        self._take_up(output)
        for message_id, peer in self.history.undelivered(before=now - frame.retention_s):
            self._parts.sending.advance(output, peer, message_id, "expired", only_from=("accepted",))

    def _rotated(self, frame: Rotated, output: Output, now: int) -> None:
        was_behind = self._parts.line.present.behind
        self._parts.rotation.rotated(frame, output, now=now)
        if was_behind:
            self._parts.stock.ask(output, now=now)
        self._parts.watch.tick(output, now=now)  # which does not read the log while the server is behind

    # ------------------------------------------------------------ the account

    def rotate(self, *, now: int) -> Output:
        """Give this account new keys, signed by the present ones; the server and the contacts hear of it when they can.

        Raises:
            UsageError: A rotation is under way.
            StorageError: The new keys cannot be written.
        """
        with self._step(now) as output:
            self._parts.rotation.begin(now=now)
            self._parts.rotation.tell(output)
        return output

    def ask_for_proof(self, peer: str, *, now: int) -> Output:
        """Ask the server to prove that it has the newest own message to somebody; what it says comes as an event."""
        with self._step(now) as output:
            self._parts.proofs.ask(peer, output)
        return output

    def ask_what_the_server_knows(self, *, now: int) -> Output:
        """Ask for every row that the server holds about this account; they come as events.

        Raises:
            UsageError: The server cannot be reached.
        """
        with self._step(now) as output:
            self._parts.data.ask(output)
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
            self._parts.data.erase(confirmed, output, now=now)
        return output

    def _take_up(self, output: Output) -> None:
        """Go on with what was put aside, if the server is believed."""
        if self._parts.line.online and self.log.alarm is None:
            for user_id in self._parts.inbox.take_up():
                self._parts.identities.look_up(user_id, output)

    def forget_log(self, *, now: int) -> Output:
        """Believe the server again, and read its key log anew: the person's decision."""
        with self._step(now) as output:
            self._parts.watch.forget(output, now=now)
            self._take_up(output)
        return output

    def _refused(self, frame: Refusal, output: Output, now: int) -> None:
        command = self._refusals.get(frame.command)
        if command is not None:
            command(frame, output, now)

    def _rotation_refused(self, frame: Refusal, output: Output, now: int) -> None:
        self._parts.rotation.refused(frame, output, now=now)
        self._parts.stock.ask(output, now=now)

    # ------------------------------------------------------------ in

    def resume(self) -> list[Event]:
        """Return what was stored but not shown when the program last ended; to be called once, at the start."""
        return self._parts.inbox.resume()

    def _delivery(self, frame: Delivery, output: Output, now: int) -> None:
        link = self._parts.line.present
        has_waited = link.expected > 0
        link.expected -= 1
        unknown = self._parts.inbox.deliver(frame, now=now)
        if has_waited:
            self._parts.inbox.typing.clear()  # that was before
        if unknown is not None and self.log.alarm is None:
            self._parts.identities.look_up(unknown, output)
        elif unknown is not None:
            self._parts.inbox.put_aside(unknown)

    def shown(self, messages: list[Shown], *, read: bool = False, now: int) -> Output:
        """Take note that messages were shown: acknowledge them, and let their senders know.

        Args:
            messages: Those of the events.
            read: Whether somebody reads them there; otherwise they are unread until `read`.
            now: Seconds since 1970.
        """
        with self._step(now) as output:
            self._parts.receipts.shown(messages, read=read, now=now)
        return output

    def read(self, peer: str, *, now: int) -> Output:
        """Take note that everything of a contact that was shown was read, and let them know."""
        with self._step(now) as output:
            self._parts.receipts.read(peer, now=now)
        return output
