"""From an entry of the outbox to a sealed envelope, once, on disk before it is sent (docs/PROTOCOL.md section 6.2)."""

from __future__ import annotations

from errors import CryptoError
from messenger.contacts import Contact, Contacts
from messenger.content import Content, KnownLog, Notice, ReceiptContent, Text, pack
from messenger.history import History
from messenger.keyring import Keyring
from messenger.log_replica import LogReplica
from messenger.outbox import Entry, Kind, Outbox
from messenger.suites import SUITES
from messenger.suites.draft import Draft
from protocol import Message, Receipt, canonical


class Sealer:
    """Seals what an account sends."""

    def __init__(self, keyring: Keyring, contacts: Contacts, history: History, outbox: Outbox, log: LogReplica) -> None:
        """Work for an account; every change runs inside the caller's transaction."""
        self._key_log = log
        self._keyring = keyring
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
        envelope = canonical(SUITES[number].encrypt(self._keyring.account, contact.record, draft, pack(content)))
        self._outbox.keep_envelope(entry.id, envelope)
        return envelope

    def _draft(self, entry: Entry, now: int) -> tuple[Draft, Content]:
        highest, log = self._history.highest_out(entry.peer), self._known_log()
        if entry.kind is Kind.RECEIPT:
            content = ReceiptContent(counter=highest, ids=entry.receipts, log=log, state="delivered")
            return Draft(Receipt, entry.id, now), content
        if entry.kind is Kind.NOTICE:
            return Draft(Receipt, entry.id, now), Notice(about=entry.about, counter=highest, log=log)
        text, timestamp, counter = self._history.text(entry.id)
        if counter is None:  # sealed anew, it keeps its place
            counter = highest + 1
            self._history.set_counter(entry.id, counter)
        return Draft(Message, entry.id, timestamp), Text(counter=counter, log=log, text=text)

    def _known_log(self) -> KnownLog:
        size, root = self._key_log.known
        return KnownLog(root=root, size=size)
