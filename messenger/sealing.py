"""From an entry of the outbox to a sealed envelope, once, on disk before it is sent (docs/PROTOCOL.md section 6.2)."""

from __future__ import annotations

from errors import CryptoError
from messenger.account import Account
from messenger.contacts import Contact, Contacts
from messenger.content import Content, ReceiptContent, Text, pack
from messenger.history import History
from messenger.outbox import Entry, Outbox
from messenger.suites import SUITES
from messenger.suites.draft import Draft
from protocol import Message, Receipt, canonical


class Sealer:
    """Seals what an account sends."""

    def __init__(self, account: Account, contacts: Contacts, history: History, outbox: Outbox) -> None:
        """Work for an account; every change runs inside the caller's transaction."""
        self._account = account
        self._contacts = contacts
        self._history = history
        self._outbox = outbox

    def sealed(self, entry: Entry, contact: Contact, *, now: int) -> bytes:
        """Return the envelope of an entry, canonical JSON: the one it had before, or a new one.

        Raises:
            CryptoError: There is no suite that both sides have and that is not below the pinned one.
        """
        if entry.envelope is not None:
            return entry.envelope
        number = max(set(SUITES) & set(contact.record.suites), default=0)
        if number < contact.suite:
            raise CryptoError
        draft, content = self._draft(entry, now)
        envelope = canonical(SUITES[number].encrypt(self._account, contact.record, draft, pack(content)))
        self._outbox.keep_envelope(entry.id, envelope)
        return envelope

    def _draft(self, entry: Entry, now: int) -> tuple[Draft, Content]:
        highest = self._history.highest_out(entry.peer)
        if entry.receipts is not None:
            content = ReceiptContent(counter=highest, ids=entry.receipts, state="delivered")
            return Draft(Receipt, entry.id, now), content
        text, timestamp = self._history.text(entry.id)
        self._history.set_counter(entry.id, highest + 1)
        return Draft(Message, entry.id, timestamp), Text(counter=highest + 1, text=text)
