"""What comes in: from an envelope to a message that can be shown, step by step (docs/PROTOCOL.md section 6.3)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from canonical_json import canonical
from errors import CryptoError, RemoteProtocolError
from messenger.account import Account
from messenger.changes import Changes
from messenger.contacts import COUNTERS_SKIPPED, Contact, Contacts, Trust
from messenger.content import Content, KnownLog, Notice, ReceiptContent, Text, Timer, Written, unpack
from messenger.database import Database
from messenger.door import Door, Standing
from messenger.events import (
    ContactRestored,
    EnvelopeRefused,
    Event,
    MessageReceived,
    MessageRequested,
    MessagesMissing,
    MessageUnopened,
    StateChanged,
)
from messenger.history import History
from messenger.keyring import KEPT_S, Keyring
from messenger.protection import Protection
from messenger.suites.errors import UnopenedError
from protocol import ALL_DEVICES, Delivery, Message, Receipt, decode_envelope
from records import IdentityRecord

MAX_ASKED: Final = 1000  # over one link, of one contact: as many as wait in a mailbox
TYPING_FRESH_S: Final = 300  # since it was said, by two clocks: a server may have kept it
MAX_RECEIPTS_ASKED: Final = 20  # the same: an answer to an answer must come to an end
Shown = tuple[str, bytes]  # peer and message id
_BEFORE: Final = {  # what a receipt says, and what a message may have been until then
    "delivered": ("queued", "accepted", "expired"),
    "read": ("queued", "accepted", "expired", "delivered"),
}


@dataclass(slots=True)
class Waiting:
    """Envelopes that wait for a look at their sender's identity, each with its place in the relay's order."""

    envelopes: list[tuple[Message | Receipt, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An envelope, and who is at its two ends."""

    envelope: Message | Receipt
    recipient: Account  # the identity of ours that it is sealed for
    contact: Contact
    sender: IdentityRecord  # the identity of theirs that has signed it


class Inbox:
    """Takes in deliveries. Nothing is acknowledged before it is stored here, and a message not before it is shown."""

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        keyring: Keyring,
        database: Database,
        contacts: Contacts,
        history: History,
        protection: Protection,
        door: Door,
        changes: Changes,
    ) -> None:
        """Work for an account; every change runs inside the caller's transaction."""
        self._protection = protection
        self._changes = changes
        self._door = door
        self._keyring = keyring
        self._db = database
        self._contacts = contacts
        self._history = history
        self._unknown: dict[str, Waiting] = {}
        self._unshown: dict[Shown, int] = {}  # messages given out to be shown: their sequences
        self._introduced: set[str] = set()  # strangers of whom the person was told since the start
        self.acknowledged: list[int] = []  # sequences that the relay may forget; the engine takes them
        self.events: list[Event] = []  # the engine takes them
        self._asked: dict[tuple[str, bool], int] = {}  # how often over this link, by contact, and whether for messages
        self.unopened: list[Shown] = []  # messages that must be sent again; the engine says so to their senders
        self.wanted_again: list[Shown] = []  # own messages of which contacts say so; the engine takes them
        self.typing: list[str] = []  # contacts who say that they are; the engine takes them
        self.heard: list[tuple[str, KnownLog]] = []  # what contacts know of the key log; the engine takes it

    @property
    def settled(self) -> bool:
        """Whether nothing waits for an identity or for being shown."""
        return not self._unknown and not self._unshown

    @property
    def unknown_senders(self) -> list[str]:
        """The senders whose identity must be looked at before their envelopes can be."""
        return list(self._unknown)

    def forget_link(self) -> None:
        """Start anew after a link ended: what was not acknowledged will be pushed again."""
        self._unknown.clear()
        self._asked.clear()
        self._unshown = dict.fromkeys(self._unshown, 0)

    def forget_step(self) -> None:
        """Give out nothing of a step that has failed: what it was about is as it was on disk, and comes again."""
        for given_out in (
            self.acknowledged, self.events, self.unopened, self.wanted_again, self.typing, self.heard
        ):  # fmt: skip
            given_out.clear()

    # ------------------------------------------------------------ steps 1 to 6: before anything is opened

    def deliver(self, delivery: Delivery, *, now: int) -> str | None:
        """Take in a delivery.

        Returns:
            The sender whose identity must be looked at first, or None.
        """
        try:
            envelope = decode_envelope(delivery.envelope)
        except RemoteProtocolError:
            self._refuse("?", delivery.sequence)
            return None
        waiting = self._unknown.get(envelope.sender_id)
        if waiting is not None:  # behind those that wait already, or the order would be lost
            waiting.envelopes.append((envelope, delivery.sequence))
            return None
        return self._take(envelope, delivery.sequence, now=now, fresh_look=False)

    def _take(self, envelope: Message | Receipt, sequence: int, *, now: int, fresh_look: bool) -> str | None:
        """Decide about an envelope; return the sender if the decision needs a look at the key directory."""
        if self._repeated(envelope, sequence):
            return None
        me = self._addressed(envelope)
        contact = self._contacts.find(envelope.sender_id)
        if me is None or (contact is not None and contact.trust is Trust.REVOKED):
            self._refuse(envelope.sender_id, sequence)
            return None
        if contact is not None and contact.trust is Trust.CHANGED:
            if self._door.of(contact.user_id) is Standing.BLOCKED:
                self.acknowledged.append(sequence)
            else:
                self._hold(envelope, sequence)
            return None
        record = self._signer(envelope, contact, now) if contact is not None else None
        if contact is None or record is None:
            if fresh_look:
                self._refuse(envelope.sender_id, sequence)
                return None
            self._unknown.setdefault(envelope.sender_id, Waiting()).envelopes.append((envelope, sequence))
            return envelope.sender_id
        self._open(Sealed(envelope, me, contact, record), sequence, now=now)
        return None

    def _signer(self, envelope: Message | Receipt, contact: Contact, now: int) -> IdentityRecord | None:
        """Return the identity that has signed an envelope, if it may: the pinned one, or one before it for a while.

        What came under the pinned one is the last of those before: the relay keeps the order (docs/PROTOCOL.md
        section 4.3).
        """
        if envelope.sender_key == contact.key_id:
            return contact.record
        return self._contacts.former(contact.user_id, envelope.sender_key, after=now - KEPT_S)

    def _repeated(self, envelope: Message | Receipt, sequence: int) -> bool:
        """Pass over what was taken in before; what is on its way to the screen is acknowledged when it is shown."""
        if not self._history.was_seen(envelope.sender_id, envelope.id):
            return False
        key = (envelope.sender_id, envelope.id)
        if key in self._unshown:
            self._unshown[key] = sequence
        else:
            self.acknowledged.append(sequence)
        return True

    def _addressed(self, envelope: Message | Receipt) -> Account | None:
        """Return the identity of ours that an envelope is sealed for, or None if it is not for us."""
        me = self._keyring.account
        if (
            envelope.recipient_id != me.user_id
            or envelope.recipient_device not in {ALL_DEVICES, me.device_id}
            or envelope.sender_id == me.user_id
        ):
            return None
        return self._keyring.opening(envelope.recipient_key)

    def identity_seen(self, user_id: str, *, now: int) -> None:
        """Go on with the envelopes that waited for a look at this sender."""
        for envelope, sequence in self._no_longer_waiting(user_id):
            self._take(envelope, sequence, now=now, fresh_look=True)

    def identity_unknown(self, user_id: str) -> None:
        """Throw away the envelopes of a sender whom the key directory does not know."""
        for _, sequence in self._no_longer_waiting(user_id):
            self._refuse(user_id, sequence)

    def _no_longer_waiting(self, user_id: str) -> list[tuple[Message | Receipt, int]]:
        waiting = self._unknown.pop(user_id, Waiting()).envelopes
        for envelope, sequence in waiting:
            if not sequence:  # it was put aside
                self._db.run("DELETE FROM held WHERE envelope = ?", canonical(envelope))
        return waiting

    def put_aside(self, user_id: str) -> None:
        """Keep the envelopes of a sender, unopened, until the server's word on who they are is believed again."""
        for envelope, sequence in self._unknown.pop(user_id, Waiting()).envelopes:
            self._hold(envelope, sequence)

    def take_up(self) -> list[str]:
        """Have what was put aside wait for a look at its senders, and return these."""
        rows = self._db.rows(
            "SELECT sender_id, envelope FROM held"
            " WHERE sender_id NOT IN (SELECT user_id FROM contact WHERE trust = 'changed') ORDER BY ordinal"
        )
        for sender_id, envelope in rows:
            self._unknown.setdefault(sender_id, Waiting()).envelopes.append((decode_envelope(envelope), 0))
        return list(dict.fromkeys(sender_id for sender_id, _ in rows))

    # ------------------------------------------------------------ a changed identity

    def _hold(self, envelope: Message | Receipt, sequence: int) -> None:
        """Keep an envelope, unopened, until the person has decided about its sender."""
        self._db.run(
            "INSERT OR IGNORE INTO held (sender_id, envelope) VALUES (?, ?)", envelope.sender_id, canonical(envelope)
        )
        self.acknowledged.append(sequence)

    def release(self, user_id: str, *, now: int) -> None:
        """Go on with the envelopes that were held; those of the identity that was not chosen are refused."""
        rows = self._db.rows("SELECT envelope FROM held WHERE sender_id = ? ORDER BY ordinal", user_id)
        self._db.run("DELETE FROM held WHERE sender_id = ?", user_id)
        for (envelope,) in rows:
            self._take(decode_envelope(envelope), 0, now=now, fresh_look=True)

    # ------------------------------------------------------------ steps 7 to 12: verify, open, store

    def _open(self, sealed: Sealed, sequence: int, *, now: int) -> None:
        envelope, contact = sealed.envelope, sealed.contact
        standing = self._door.of(contact.user_id)
        if standing is Standing.BLOCKED:
            self._pass_over(sealed, sequence, now=now)
            return
        try:
            content = self._verified_content(sealed, now=now)
        except UnopenedError:
            self._ask_again(envelope, sequence, now=now)
            return
        except CryptoError:
            self._refuse(envelope.sender_id, sequence)
            return
        self.heard.append((envelope.sender_id, content.log))
        if sealed.sender is contact.record:
            self._contacts.forget_former(contact.user_id)
        if isinstance(content, Notice) and content.about == "restored":
            self._contacts.count_anew(contact.user_id, content.counter)
            self._changes.count_timers_anew(contact.user_id)
            self.events.append(ContactRestored(contact.user_id))
        else:
            self._note_counter(contact, envelope.suite, content)
        self._take_in(sealed, content, standing, sequence, now=now)

    def _take_in(self, sealed: Sealed, content: Content, standing: Standing, sequence: int, *, now: int) -> None:
        """Carry out what is said; a stranger decides nothing of how long it stays, and does not type."""
        envelope, contact, is_known = sealed.envelope, sealed.contact, standing is Standing.KNOWN
        if isinstance(content, Written) and (is_known or not isinstance(content, Timer)):
            trust = contact.trust if sealed.sender is contact.record else Trust.UNVERIFIED  # that one was not compared
            self.events += self._introduced_now(contact.user_id, standing)
            self._store(envelope, content, trust, sequence, now=now)
            return
        if isinstance(content, ReceiptContent):
            self._confirm(envelope.sender_id, content, now)
        elif isinstance(content, Notice) and content.about == "typing":
            is_fresh = sequence and abs(now - envelope.timestamp) < TYPING_FRESH_S
            self.typing += [contact.user_id] if is_fresh and is_known else []
        self.acknowledged.append(sequence)

    def _pass_over(self, sealed: Sealed, sequence: int, *, now: int) -> None:
        """Let what is blocked go by, unseen and unanswered; session and count go on, or it would be missing later."""
        with suppress(CryptoError):
            content = self._verified_content(sealed, now=now)
            self._contacts.note_opened(sealed.contact.user_id, suite=sealed.envelope.suite, counter=content.counter)
        self.acknowledged.append(sequence)

    def _verified_content(self, sealed: Sealed, *, now: int) -> Content:
        """Verify and open.

        Raises:
            UnopenedError: The signature holds, and the session is not the sender's any more.
            CryptoError: Whatever else is wrong.
        """
        envelope = sealed.envelope
        suite = self._protection.of_envelope(envelope, sealed.recipient.record, sealed.contact, sealed.sender)
        packed = suite.decrypt(sealed.recipient, sealed.sender, envelope, now=now)
        self._history.note_seen(envelope.sender_id, envelope.id, now=now)  # also where it is nothing that we know
        content = unpack(packed)
        if isinstance(content, Written) != isinstance(envelope, Message):
            raise CryptoError
        return content

    def _ask_again(self, envelope: Message | Receipt, sequence: int, *, now: int) -> None:
        """Have something sent again for which there is no key here; a contact who only sends that is let be."""
        self._history.note_seen(envelope.sender_id, envelope.id, now=now)
        self.acknowledged.append(sequence)
        is_message = isinstance(envelope, Message)
        asked = self._asked[envelope.sender_id, is_message] = self._asked.get((envelope.sender_id, is_message), 0) + 1
        if asked > (MAX_ASKED if is_message else MAX_RECEIPTS_ASKED):
            self.events.append(EnvelopeRefused(envelope.sender_id))
            return
        self.unopened.append((envelope.sender_id, envelope.id))
        if is_message:
            self.events.append(MessageUnopened(envelope.sender_id))

    def _note_counter(self, contact: Contact, suite: int, content: Content) -> None:
        """Say so when messages that come before this content have not come (delivery contract G4)."""
        missing = content.counter - contact.highest_in - (1 if isinstance(content, Written) else 0)
        lost_count = contact.highest_in == 0 and missing >= COUNTERS_SKIPPED  # they restored a backup before we met
        if missing > 0 and not lost_count:
            self.events.append(MessagesMissing(contact.user_id, missing))
        self._contacts.note_opened(contact.user_id, suite=suite, counter=content.counter)

    def _store(self, envelope: Message | Receipt, content: Written, trust: Trust, sequence: int, *, now: int) -> None:
        peer = envelope.sender_id
        kind, about = self._changes.take(peer, content, now=now)
        text = content if isinstance(content, Text) else None
        self._history.add_received(
            peer,
            envelope.id,
            kind,
            counter=content.counter,
            timestamp=envelope.timestamp,
            now=now,
            text=text.text if text is not None else "",
            about=about,
            lifetime_s=(text.lifetime_s or None) if text is not None else None,
        )
        self._unshown[peer, envelope.id] = sequence
        arrival = self._history.received(peer, envelope.id)
        self.events.append(replace(arrival, trust=trust) if isinstance(arrival, MessageReceived) else arrival)

    def _confirm(self, peer: str, receipt: ReceiptContent, now: int) -> None:
        """Note what became of own messages; ids of others than this contact's change nothing."""
        if receipt.state == "unopened":
            self.wanted_again += [(peer, message_id) for message_id in receipt.ids]
            return
        for message_id in receipt.ids:
            if self._history.advance(peer, message_id, receipt.state, only_from=_BEFORE[receipt.state], now=now):
                self.events.append(StateChanged(message_id, peer, receipt.state))

    def _refuse(self, sender_id: str, sequence: int) -> None:
        """Throw an envelope away: it does not come again, and the person hears of it, not the sender."""
        self.acknowledged.append(sequence)
        self.events.append(EnvelopeRefused(sender_id))

    def take_unopened(self) -> dict[str, list[bytes]]:
        """Return, once, the messages that must be sent again, by their senders."""
        unopened: dict[str, list[bytes]] = {}
        for peer, message_id in self.unopened:
            unopened.setdefault(peer, []).append(message_id)
        self.unopened.clear()
        return unopened

    # ------------------------------------------------------------ shown

    def resume(self) -> list[Event]:
        """Return the messages that were stored but not shown when the program last ended."""
        events: list[Event] = []
        for message in self._history.unshown():
            standing = self._door.of(message.peer)
            if standing is Standing.BLOCKED:
                continue
            self._unshown.setdefault((message.peer, message.id), 0)
            events += [*self._introduced_now(message.peer, standing), message]
        return events

    def _introduced_now(self, peer: str, standing: Standing) -> list[Event]:
        """Return the event that somebody is a stranger, where the person was not told since the start."""
        if peer in self._introduced or standing is not Standing.REQUEST:
            return []
        self._introduced.add(peer)
        return [MessageRequested(peer)]

    def shown(self, messages: list[Shown], *, read: bool, now: int) -> dict[str, list[bytes]]:
        """Note that messages were shown, and perhaps read, so that the relay may forget them.

        Returns:
            For each contact the messages whose receipt is due: those shown for the first time.
        """
        due: dict[str, list[bytes]] = {}
        for peer, message_id in messages:
            self.acknowledged.append(self._unshown.pop((peer, message_id), 0))
            if self._history.mark_shown(peer, message_id, read=read, now=now):
                due.setdefault(peer, []).append(message_id)
        return due
