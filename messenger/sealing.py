"""From an entry of the outbox to a sealed envelope, once, on disk before it is sent (docs/PROTOCOL.md section 6.2)."""

from __future__ import annotations

from msgspec import UNSET

from canonical_json import canonical
from messenger.contacts import Contact, Contacts
from messenger.content import (
    Content,
    Deletion,
    Edit,
    KnownLog,
    Notice,
    Reaction,
    ReceiptContent,
    Reference,
    Text,
    Timer,
    Written,
    pack,
)
from messenger.events import Quote
from messenger.history import DELETION, EDIT, REACTION, TEXT, TIMER, History, Outgoing
from messenger.keyring import Keyring
from messenger.log_replica import LogReplica
from messenger.outbox import Entry, Kind, Outbox
from messenger.protection import Protection
from messenger.suites.draft import Draft
from protocol import Message, Receipt


class GoneError(Exception):
    """There is nothing to seal any more."""


class Sealer:
    """Seals what an account sends."""

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        keyring: Keyring,
        contacts: Contacts,
        history: History,
        outbox: Outbox,
        log: LogReplica,
        protection: Protection,
    ) -> None:
        """Work for an account; every change runs inside the caller's transaction."""
        self._protection = protection
        self._key_log = log
        self._keyring = keyring
        self._contacts = contacts
        self._history = history
        self._outbox = outbox

    @property
    def must_wait(self) -> bool:
        """Whether our own identity speaks less than what the person wants: another is under way."""
        return self._protection.is_too_low_for(self._keyring.account.record)

    def sealed(self, entry: Entry, contact: Contact, *, now: int) -> bytes:
        """Return the envelope of an entry, canonical JSON: the one it had before, or a new one.

        Raises:
            CryptoError: There is no suite that both sides have and that is not too low.
            NoSessionError: A session must be begun first.
            GoneError: It is about a message that was removed.
        """
        if entry.envelope is not None:
            return entry.envelope
        suite = self._protection.to_send(self._keyring.account.record, contact)
        draft, content = self._draft(entry, now)
        envelope = canonical(suite.encrypt(self._keyring.account, contact.record, draft, pack(content)))
        self._outbox.keep_envelope(entry.id, envelope)
        return envelope

    def _draft(self, entry: Entry, now: int) -> tuple[Draft, Content]:
        highest, log = self._history.highest_out(entry.peer), self._known_log()
        if entry.kind is Kind.RECEIPT:
            content = ReceiptContent(counter=highest, ids=entry.receipts, log=log, state=entry.about or "delivered")
            return Draft(Receipt, entry.id, now), content
        if entry.kind is Kind.NOTICE:
            return Draft(Receipt, entry.id, now), Notice(about=entry.about, counter=highest, log=log)
        message = self._history.outgoing(entry.id)
        if message is None:
            raise GoneError
        counter = message.counter
        if counter is None:  # sealed anew, it keeps its place
            counter = highest + 1
            self._history.set_counter(entry.id, counter)
        return Draft(Message, entry.id, message.timestamp), self._written(entry, message, counter)

    def _written(self, entry: Entry, message: Outgoing, counter: int) -> Written:
        """Return what a message holds; of what it changes that is how it is by now, also when it was changed again."""
        log, quote = self._known_log(), message.quote
        if message.kind == TIMER:
            lifetime_s, version = message.timer
            return Timer(counter=counter, lifetime_s=lifetime_s, log=log, version=version)
        if message.kind == TEXT and message.text:
            answers = self._reference(entry.peer, quote) if quote is not None and quote.text else UNSET
            lifetime = message.lifetime_s or UNSET
            return Text(answers=answers, counter=counter, lifetime_s=lifetime, log=log, text=message.text)
        if message.kind == REACTION and quote is not None:
            return Reaction(about=self._reference(entry.peer, quote), counter=counter, emoji=message.emoji, log=log)
        if message.kind == EDIT and quote is not None and quote.text:
            return Edit(counter=counter, id=quote.id, log=log, text=quote.text)
        gone = quote.id if quote is not None and message.kind in {EDIT, DELETION} else entry.id  # or it is itself
        return Deletion(counter=counter, id=gone, log=log)

    def _reference(self, peer: str, quote: Quote) -> Reference:
        return Reference(author=self._keyring.account.user_id if quote.outgoing else peer, id=quote.id)

    def _known_log(self) -> KnownLog:
        size, root = self._key_log.known
        return KnownLog(root=root, size=size)
