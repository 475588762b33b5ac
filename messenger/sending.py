"""From the outbox to the relay and its answer: what goes out, in which order, and what becomes of it."""

from __future__ import annotations

from typing import Final

from errors import Code, CryptoError
from messenger.beginnings import Beginnings, TooOldError
from messenger.contacts import Contacts, Trust
from messenger.events import SentAgain, StateChanged
from messenger.history import History
from messenger.identities import Identities
from messenger.line import Line, LinkState, Output
from messenger.outbox import Entry, Kind, Outbox
from messenger.sealing import GoneError, Sealer
from messenger.suites.errors import NoSessionError
from protocol import Accepted, Prekeys, Refusal, Rejected, decode_envelope

MAX_IN_FLIGHT: Final = 64  # envelopes sent and not yet answered: fills a round trip, fits the link's outbox
RETRY_AFTER_S: Final = 5  # when the relay says that we are too fast and not how long to wait


class Sending:
    """The way out. Every change runs inside the caller's transaction."""

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        line: Line,
        identities: Identities,
        contacts: Contacts,
        history: History,
        outbox: Outbox,
        sealer: Sealer,
        beginnings: Beginnings,
    ) -> None:
        """Join the parts."""
        self._beginnings = beginnings
        self._line = line
        self._identities = identities
        self._contacts = contacts
        self._history = history
        self._outbox = outbox
        self._sealer = sealer

    def flush(self, output: Output, *, now: int) -> None:
        """Send the outbox, in order, as far as the window goes; those whose recipient is unknown wait for a look-up."""
        link = self._line.link
        if link is None or not link.online or link.rotating:  # what is sealed now would come under the old identity
            return
        while (room := MAX_IN_FLIGHT - len(link.in_flight)) > 0:
            page = self._outbox.waiting(after=link.cursor, limit=room)
            if not page:
                return
            for entry in page:
                link.cursor = entry.ordinal
                if entry.id not in link.in_flight:
                    self._send(entry, link, output, now)

    def _send(self, entry: Entry, link: LinkState, output: Output, now: int) -> None:  # noqa: PLR0911 - reasons not to
        contact = self._contacts.find(entry.peer)
        if contact is None or self._identities.is_doubted(entry.peer):
            self._identities.look_up(entry.peer, output)
            return
        if contact.trust is Trust.REVOKED:
            self._fail(entry, output, "rejected", Code.ACCOUNT_REVOKED)
            return
        if self._sealer.must_wait or entry.peer in link.overtaken:  # something else must be known, or go out, first
            return
        if contact.trust is Trust.CHANGED:  # a receipt: messages were taken out when it changed
            return
        try:
            envelope = self._sealer.sealed(entry, contact, now=now)
        except GoneError:
            self._outbox.remove(entry.id)
            return
        except NoSessionError:
            self._beginnings.ask(entry.peer, output, now=now)
            return
        except CryptoError:  # by what is pinned; they may have moved up
            if entry.peer not in link.looked_at:
                link.looked_at.add(entry.peer)
                self._identities.look_up(entry.peer, output)
            elif not self._identities.awaits(entry.peer):
                self._fail(entry, output, "rejected", Code.OLD_CLIENT)
            return
        link.in_flight.add(entry.id)
        output.frames.append(decode_envelope(envelope))

    # ------------------------------------------------------------ answers

    def accepted(self, frame: Accepted, output: Output, *, now: int) -> None:
        """Note that envelopes are safe."""
        for envelope_id in frame.ids:
            entry = self._answered(envelope_id)
            if entry is not None:
                self._is_accepted(entry, output, now=now)

    def seal_anew(self, peer: str) -> None:
        """Seal what waits for a contact for their next identity; what is under way for the former one is refused."""
        link = self._line.present
        under_way = {entry.id for entry in self._outbox.waiting_for(peer)} & link.in_flight
        if under_way:
            link.overtaken[peer] = under_way
        self._outbox.unseal(peer)

    def send_again(self, peer: str, message_id: bytes, output: Output, *, now: int) -> None:
        """Send a message, or a receipt, again that a contact could not open; or say that this does not help."""
        new_id = self._outbox.new_id(now)
        if self._history.renew(peer, message_id, new_id, now=now):
            self._outbox.add_message(new_id, peer)
            output.events.append(SentAgain(peer))
        elif not self._outbox.renew_receipt(peer, message_id, new_id, now=now):
            self.advance(output, peer, message_id, "rejected", only_from=("accepted",), reason=Code.NOT_OPENED)
            return
        self._outbox.remove(message_id)
        self._no_longer_under_way(peer, message_id)

    def _answered(self, envelope_id: bytes) -> Entry | None:
        """Note that an envelope is no longer under way; return its entry if it is still wanted."""
        entry = self._outbox.find(envelope_id)
        if entry is None:
            self._line.present.in_flight.discard(envelope_id)
        else:
            self._no_longer_under_way(entry.peer, envelope_id)
        return entry

    def _no_longer_under_way(self, peer: str, envelope_id: bytes) -> None:
        """Note that nothing more is heard of an envelope; what waited behind it may go out."""
        link = self._line.link
        if link is None:
            return
        link.in_flight.discard(envelope_id)
        if peer in link.overtaken:
            link.overtaken[peer].discard(envelope_id)
            if not link.overtaken[peer]:
                del link.overtaken[peer]
                self._line.send_again()

    def _is_accepted(self, entry: Entry, output: Output, *, now: int) -> None:
        self._outbox.keep_receipt(entry, now=now)
        self._outbox.remove(entry.id)
        self.advance(output, entry.peer, entry.id, "accepted", only_from=("queued",))

    def rejected(self, frame: Rejected, output: Output, *, now: int) -> None:
        """Find out why, try again later, or give up."""
        link, entry = self._line.present, self._answered(frame.id)
        if entry is None:
            return
        if frame.code is Code.KEY_CHANGED and entry.envelope is None:  # it was for the key before the present one
            self._line.send_again()
        elif frame.code is Code.KEY_CHANGED:
            self._identities.doubt(entry.peer, output)
        elif frame.code is Code.RATE_LIMITED:
            link.retry_at = now + RETRY_AFTER_S
        elif frame.code is Code.DUPLICATE_ID:  # sealed anew after the relay had taken it, and its reply was lost
            self._is_accepted(entry, output, now=now)
        elif entry.kind is Kind.MESSAGE or frame.code is not Code.MAILBOX_FULL:
            self._fail(entry, output, "rejected", frame.code)
        # A receipt that found a full mailbox stays, for the next link.

    def fail_all(self, peer: str, output: Output, state: str, reason: Code | None) -> None:
        """End everything that waits for one contact."""
        if self._line.link is not None:
            self._line.link.overtaken.pop(peer, None)
        for entry in self._outbox.waiting_for(peer):
            self._fail(entry, output, state, reason)

    def fail_messages(self, peer: str, output: Output, reason: Code) -> None:
        """End the messages that wait for a session with a contact; receipts and notices wait for the next link."""
        for entry in self._outbox.waiting_for(peer):
            if entry.kind is Kind.MESSAGE and entry.envelope is None:
                self._fail(entry, output, "rejected", reason)

    def _fail(self, entry: Entry, output: Output, state: str, reason: Code | None) -> None:
        self._outbox.remove(entry.id)
        self._no_longer_under_way(entry.peer, entry.id)
        self.advance(output, entry.peer, entry.id, state, only_from=("queued",), reason=reason)

    def advance(  # noqa: PLR0913 - the event's own fields
        self,
        output: Output,
        peer: str,
        message_id: bytes,
        state: str,
        *,
        only_from: tuple[str, ...],
        reason: Code | None = None,
    ) -> None:
        """Move an own message to a state, and tell the person if that is news."""
        if self._history.advance(peer, message_id, state, only_from=only_from, reason=reason, now=output.now):
            output.events.append(StateChanged(message_id, peer, state, reason))

    # ------------------------------------------------------------ prekeys (docs/PROTOCOL.md sections 4.9 and 11.5)

    def prekeys_came(self, frame: Prekeys, output: Output, *, now: int) -> None:
        """Begin a session with these, and send what waited for it."""
        peer = frame.signed.user_id
        contact = self._contacts.find(peer)
        if not self._beginnings.was_asked_for(peer) or contact is None:
            return
        if frame.signed.identity_hash != contact.identity_hash:
            self._identities.doubt(peer, output)
            return
        try:
            self._beginnings.begin(contact, frame, now=now)
        except CryptoError:
            self._no_session(peer, Code.FALSE_PREKEYS, output, now=now)
        except TooOldError:
            self._no_session(peer, Code.NO_PREKEYS, output, now=now)
        else:
            self._line.send_again()

    def no_prekeys(self, frame: Refusal, output: Output, *, now: int) -> None:
        """Note that the server gives out none, and why."""
        if not self._beginnings.was_asked_for(frame.subject):
            return
        if frame.code is Code.RATE_LIMITED:
            self._line.present.retry_at = now + frame.retry_after_s
        elif frame.code is Code.UNKNOWN_USER:  # whoever it was has gone
            self.fail_all(frame.subject, output, "rejected", frame.code)
        else:
            self._no_session(frame.subject, frame.code, output, now=now)

    def _no_session(self, peer: str, reason: Code, output: Output, *, now: int) -> None:
        """End the messages that wait for a session with somebody, unless there may be one in a moment."""
        if self._beginnings.failed(peer, now=now):
            self.fail_messages(peer, output, reason)
