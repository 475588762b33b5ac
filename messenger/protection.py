"""Which suite protects what goes to a contact, and which may protect what comes: none is ever left for a lower one."""

from __future__ import annotations

from errors import CryptoError
from messenger.contacts import Contact
from messenger.suites import Suite
from protocol import Envelope
from records import IdentityRecord


class Protection:
    """The suites that there are, and the least that a person wants."""

    def __init__(self, suites: dict[int, Suite], *, minimum: int) -> None:
        """Choose among suites.

        Args:
            suites: By their number.
            minimum: What is sent is under this one or a higher one.
        """
        self._suites = suites
        self._minimum = minimum

    def best(self, record: IdentityRecord) -> int:
        """Return the highest suite that an identity and this program speak; 0: none."""
        return max(set(self._suites) & set(record.suites), default=0)

    def is_too_low_for(self, record: IdentityRecord) -> bool:
        """Tell whether an own identity speaks less than what the person wants."""
        return self.best(record) < self._minimum

    def to_send(self, contact: Contact) -> Suite:
        """Return the suite for what goes to a contact.

        Raises:
            CryptoError: What they speak is lower than what they have spoken, or than what the person wants.
        """
        best = self.best(contact.record)
        if best < max(contact.suite, self._minimum):
            raise CryptoError
        return self._suites[best]

    def of_envelope(self, envelope: Envelope, contact: Contact, sender: IdentityRecord) -> Suite:
        """Return the suite of what has come from a contact, if it may be.

        Who can do better has no reason to do worse, unless this person wants no better either.

        Raises:
            CryptoError: It is not spoken by both, or lower than what they have spoken.
        """
        least = max(contact.suite, min(self._minimum, self.best(sender)))
        if envelope.suite not in self._suites or envelope.suite not in sender.suites or envelope.suite < least:
            raise CryptoError
        return self._suites[envelope.suite]
