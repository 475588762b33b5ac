"""The messenger without its screen and its socket.

What a person wants and what the relay says go in, frames and events come out.

Each call is one transaction; the frames it returns may be sent because what they say is on disk.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from crypto_utils import Label, sign
from errors import Code, CryptoError, UntrustedKeyError, UsageError
from identity import login_statement
from messenger.account import Account
from messenger.contacts import Contacts, Sight, Trust
from messenger.content import MAX_RECEIPTS, check_text
from messenger.database import Database
from messenger.events import ContactPinned, Event, IdentityChanged, LoginRefused, Online, StateChanged
from messenger.history import History
from messenger.inbox import Inbox, Shown
from messenger.outbox import Entry, Outbox
from messenger.sealing import Sealer
from protocol import (
    MAX_ACKNOWLEDGED,
    NONCE_SIZE,
    VERSIONS,
    Accepted,
    Acknowledge,
    Delivery,
    FetchIdentity,
    Frame,
    Hello,
    Identity,
    LoggedIn,
    Login,
    Refusal,
    Rejected,
    Welcome,
    decode_envelope,
    frame_type,
)

MAX_IN_FLIGHT: Final = 64  # envelopes sent and not yet answered: fills a round trip, fits the link's outbox
RETRY_AFTER_S: Final = 5  # when the relay says that we are too fast and not how long to wait


@dataclass(slots=True)
class Output:
    """What a step brought: frames to send, in order, and events to tell."""

    frames: list[Frame] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class LinkState:
    """What is true of the present link only."""

    server_key_hash: bytes
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(NONCE_SIZE))
    online: bool = False
    expected: int = 0  # deliveries that waited at login and have not come yet
    cursor: int = 0  # the outbox has been sent up to this ordinal
    in_flight: set[bytes] = field(default_factory=set)  # ids sent and not yet answered
    asked: set[str] = field(default_factory=set)  # look-ups under way
    retry_at: int | None = None  # when to repeat what the relay put off, seconds since 1970


class Messenger:
    """One account's conversation with everybody, through one relay."""

    def __init__(self, account: Account, database: Database) -> None:
        """Go on where the account's database ends."""
        self.account = account
        self.contacts = Contacts(database)
        self.history = History(database)
        self.outbox = Outbox(database)
        self._db = database
        self._inbox = Inbox(account, database, self.contacts, self.history)
        self._sealer = Sealer(account, self.contacts, self.history, self.outbox)
        self._link: LinkState | None = None
        self._doubted: set[str] = set()  # contacts of whom the relay says that their key has changed
        self._replies: Final[dict[type[Frame], Callable[[Any, Output, int], None]]] = {
            Welcome: self._welcome,
            LoggedIn: self._logged_in,
            Accepted: self._accepted,
            Rejected: self._rejected,
            Identity: self._identity,
            Delivery: self._delivery,
            Refusal: self._refused,
        }

    @contextmanager
    def _step(self, now: int) -> Iterator[Output]:
        """Run one step in one transaction, and send what has become possible by it."""
        output = Output()
        with self._db.transaction():
            yield output
            self._collect(output)
            self._flush(output, now)

    def _collect(self, output: Output) -> None:
        """Take over what the inbox wants told and acknowledged."""
        output.events += self._inbox.events
        self._inbox.events.clear()
        sequences = [sequence for sequence in self._inbox.acknowledged if sequence]  # 0: not over this link
        self._inbox.acknowledged.clear()
        if self._link is not None and self._link.online:
            for at in range(0, len(sequences), MAX_ACKNOWLEDGED):
                output.frames.append(Acknowledge(sequences=sequences[at : at + MAX_ACKNOWLEDGED]))

    # ------------------------------------------------------------ the link

    @property
    def online(self) -> bool:
        """Whether the relay has let us in."""
        return self._link is not None and self._link.online

    @property
    def settled(self) -> bool:
        """Whether all that waited at the relay has been dealt with, and all that could be sent was answered."""
        link = self._link
        return (
            link is not None
            and link.online
            and link.expected <= 0
            and not link.in_flight
            and not link.asked
            and self._inbox.settled
        )

    def connected(self, server_key_hash: bytes) -> Output:
        """Begin on a new link.

        Args:
            server_key_hash: SHA-256 of the SubjectPublicKeyInfo of the server's key, as seen in TLS.
        """
        self._link = LinkState(server_key_hash)
        return Output([Hello(nonce=self._link.nonce, versions=list(VERSIONS))])

    def disconnected(self) -> None:
        """Note that the link has ended; what was not answered goes out again over the next."""
        self._link = None
        self._inbox.forget_link()

    def receive(self, frames: list[Frame], *, now: int) -> Output:
        """Take in what the relay says."""
        with self._step(now) as output:
            for frame in frames:
                self._replies[type(frame)](frame, output, now)
        return output

    def tick(self, *, now: int) -> Output:
        """Repeat what the relay had put off, when its time has come; to be called every second or so."""
        link = self._link
        if link is None or link.retry_at is None or now < link.retry_at:
            return Output()
        link.retry_at, link.cursor = None, 0
        with self._step(now) as output:
            for user_id in self._inbox.unknown_senders:
                self._look_up(user_id, output)
        return output

    # ------------------------------------------------------------ login (docs/PROTOCOL.md section 5.2)

    def _welcome(self, frame: Welcome, output: Output, _now: int) -> None:
        link, account = self._present_link(), self.account
        statement = login_statement(
            server_key_hash=link.server_key_hash,
            client_nonce=link.nonce,
            server_nonce=frame.nonce,
            user_id=account.user_id,
            device_id=account.device_id,
            identity=account.identity_hash,
            version=frame.version,
        )
        proof = sign(account.keys.ed25519, Label.LOGIN, statement)
        output.frames.append(
            Login(
                device_id=account.device_id,
                identity_hash=account.identity_hash,
                proof=proof,
                user_id=account.user_id,
            )
        )

    def _present_link(self) -> LinkState:
        assert self._link is not None  # noqa: S101 - frames come over a link
        return self._link

    def _logged_in(self, frame: LoggedIn, output: Output, now: int) -> None:
        link = self._present_link()
        link.online, link.expected = True, frame.pending
        output.events.append(Online(frame.pending))
        for message_id, peer in self.history.undelivered(before=now - frame.retention_s):
            self._advance(output, peer, message_id, "expired", only_from=("accepted",))

    # ------------------------------------------------------------ out

    def send_text(self, peer: str, text: str, *, now: int) -> tuple[bytes, Output]:
        """Queue a message, on disk before this returns, and send it when that is possible.

        Returns:
            The message's id, and what is to be done.

        Raises:
            UsageError: The text or the recipient cannot be.
            UntrustedKeyError: The recipient's identity has changed and the person has not decided.
        """
        check_text(text)
        if peer == self.account.user_id:
            message = "that is your own number"
            raise UsageError(message, hint="write to somebody else")
        contact = self.contacts.find(peer)
        if contact is not None and contact.trust is Trust.CHANGED:
            raise identity_changed(peer)
        message_id = self.outbox.new_id(now)
        with self._step(now) as output:
            self.history.add_sent(peer, message_id, text, now=now)
            self.outbox.add_message(message_id, peer)
        return message_id, output

    def _flush(self, output: Output, now: int) -> None:
        """Send the outbox, in order, as far as the window goes; those whose recipient is unknown wait for a look-up."""
        link = self._link
        if link is None or not link.online:
            return
        while (room := MAX_IN_FLIGHT - len(link.in_flight)) > 0:
            page = self.outbox.waiting(after=link.cursor, limit=room)
            if not page:
                return
            for entry in page:
                link.cursor = entry.ordinal
                if entry.id not in link.in_flight:
                    self._send(entry, link, output, now)

    def _send(self, entry: Entry, link: LinkState, output: Output, now: int) -> None:
        contact = self.contacts.find(entry.peer)
        if contact is None or entry.peer in self._doubted:
            self._look_up(entry.peer, output)
            return
        if contact.trust is Trust.CHANGED:  # a receipt: messages were taken out when it changed
            return
        try:
            envelope = self._sealer.sealed(entry, contact, now=now)
        except CryptoError:
            self._fail(entry, output, "rejected", Code.INVALID_RECORD)
            return
        link.in_flight.add(entry.id)
        output.frames.append(decode_envelope(envelope))

    def _look_up(self, user_id: str, output: Output) -> None:
        link = self._present_link()
        if user_id not in link.asked:
            link.asked.add(user_id)
            output.frames.append(FetchIdentity(user_id=user_id))

    def _accepted(self, frame: Accepted, output: Output, _now: int) -> None:
        self._present_link().in_flight.difference_update(frame.ids)
        for envelope_id in frame.ids:
            entry = self.outbox.find(envelope_id)
            if entry is not None:
                self.outbox.remove(envelope_id)
                self._advance(output, entry.peer, envelope_id, "accepted", only_from=("queued",))

    def _rejected(self, frame: Rejected, output: Output, now: int) -> None:
        link = self._present_link()
        link.in_flight.discard(frame.id)
        entry = self.outbox.find(frame.id)
        if entry is None:
            return
        if frame.code is Code.KEY_CHANGED:  # see for ourselves; the relay's word is not enough
            self._doubted.add(entry.peer)
            self._look_up(entry.peer, output)
        elif frame.code is Code.RATE_LIMITED:
            link.retry_at = now + RETRY_AFTER_S
        elif entry.receipts is None or frame.code is not Code.MAILBOX_FULL:
            self._fail(entry, output, "rejected", frame.code)
        # A receipt that found a full mailbox stays, for the next link.

    def _fail(self, entry: Entry, output: Output, state: str, reason: Code | None) -> None:
        self.outbox.remove(entry.id)
        if self._link is not None:
            self._link.in_flight.discard(entry.id)
        self._advance(output, entry.peer, entry.id, state, only_from=("queued",), reason=reason)

    def _advance(  # noqa: PLR0913 - the event's own fields
        self,
        output: Output,
        peer: str,
        message_id: bytes,
        state: str,
        *,
        only_from: tuple[str, ...],
        reason: Code | None = None,
    ) -> None:
        if self.history.advance(peer, message_id, state, only_from=only_from, reason=reason):
            output.events.append(StateChanged(message_id, peer, state, reason))

    # ------------------------------------------------------------ identities

    def _identity(self, frame: Identity, output: Output, now: int) -> None:
        user_id, link = frame.record.user_id, self._present_link()
        if user_id not in link.asked:
            return
        link.asked.discard(user_id)
        doubted = user_id in self._doubted
        self._doubted.discard(user_id)
        try:
            sight = self.contacts.see(frame.record, now=now)
        except CryptoError:
            self._give_up(user_id, output, Code.INVALID_RECORD)
            return
        if sight is Sight.FIRST:
            output.events.append(ContactPinned(user_id))
        elif sight is Sight.CHANGED:
            output.events.append(IdentityChanged(user_id))
            for entry in self.outbox.waiting_for(user_id):
                self._fail(entry, output, "identity-changed", None)
        elif doubted:  # the relay refuses the very key that its directory names
            self._give_up(user_id, output, Code.KEY_CHANGED)
        link.cursor = 0
        self._inbox.identity_seen(user_id, now=now)

    def _give_up(self, user_id: str, output: Output, reason: Code) -> None:
        """End everything that waited for somebody's identity."""
        for entry in self.outbox.waiting_for(user_id):
            self._fail(entry, output, "rejected", reason)
        self._inbox.identity_unknown(user_id)

    def accept(self, peer: str, *, now: int) -> Output:
        """Pin the identity that a contact has now: the person's decision.

        Raises:
            UsageError: There is nothing to decide.
        """
        return self._decide(peer, self.contacts.accept, now=now)

    def keep(self, peer: str, *, now: int) -> Output:
        """Stay with the identity that a contact had: the person's decision.

        Raises:
            UsageError: There is nothing to decide.
        """
        return self._decide(peer, self.contacts.keep, now=now)

    def _decide(self, peer: str, decision: Callable[[str], None], *, now: int) -> Output:
        contact = self.contacts.find(peer)
        if contact is None or contact.trust is not Trust.CHANGED:
            message = f"there is nothing to decide: the key of {peer} has not changed"
            raise UsageError(message, hint="/contacts lists whose key has")
        with self._step(now) as output:
            decision(peer)
            self._inbox.release(peer, now=now)
            if self._link is not None:
                self._link.cursor = 0
        return output

    def _refused(self, frame: Refusal, output: Output, now: int) -> None:
        link = self._present_link()
        if frame.command == frame_type(Login):
            output.events.append(LoginRefused(frame.code, frame.retry_after_s))
        elif frame.command == frame_type(FetchIdentity) and frame.subject in link.asked:
            link.asked.discard(frame.subject)
            if frame.code is Code.RATE_LIMITED:
                link.retry_at = now + frame.retry_after_s
            else:
                self._doubted.discard(frame.subject)
                self._give_up(frame.subject, output, frame.code)

    # ------------------------------------------------------------ in

    def resume(self) -> list[Event]:
        """Return what was stored but not shown when the program last ended; to be called once, at the start."""
        return list(self._inbox.resume())

    def _delivery(self, frame: Delivery, output: Output, now: int) -> None:
        link = self._present_link()
        link.expected -= 1
        unknown = self._inbox.deliver(frame, now=now)
        if unknown is not None:
            self._look_up(unknown, output)

    def shown(self, messages: list[Shown], *, now: int) -> Output:
        """Take note that messages were shown: acknowledge them, and let their senders know."""
        with self._step(now) as output:
            for peer, ids in self._inbox.shown(messages).items():
                for at in range(0, len(ids), MAX_RECEIPTS):
                    self.outbox.add_receipt(self.outbox.new_id(now), peer, ids[at : at + MAX_RECEIPTS])
        return output


def identity_changed(peer: str) -> UntrustedKeyError:
    """Make the error that stops whatever was meant for a contact whose identity has changed."""
    message = f"the key of {peer} has changed: nothing was sent"
    hint = (
        f"{peer} may have a new device, or someone is in between. Ask {peer} on another way;"
        f" if the new key is theirs, type /accept {peer}, if not, /keep {peer}"
    )
    return UntrustedKeyError(message, hint=hint)
