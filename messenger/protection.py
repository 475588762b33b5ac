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

    def best(self, ours: IdentityRecord, theirs: IdentityRecord | None = None) -> int:
        """Return the highest suite that this program and one or two identities speak; 0: none."""
        spoken = set(self._suites) & set(ours.suites)
        return max(spoken if theirs is None else spoken & set(theirs.suites), default=0)

    def is_behind(self, ours: IdentityRecord) -> bool:
        """Tell whether an own identity speaks less than this program."""
        return self.best(ours) < max(self._suites)

    def is_too_low_for(self, ours: IdentityRecord) -> bool:
        """Tell whether an own identity speaks less than what the person wants."""
        return self.best(ours) < self._minimum

    def to_send(self, ours: IdentityRecord, contact: Contact) -> Suite:
        """Return the suite for what goes to a contact.

        Raises:
            CryptoError: What both speak is lower than what they have spoken, or than what the person wants.
        """
        best = self.best(ours, contact.record)
        if best < max(contact.suite, self._minimum):
            raise CryptoError
        return self._suites[best]

    def of_envelope(self, envelope: Envelope, ours: IdentityRecord, contact: Contact, theirs: IdentityRecord) -> Suite:
        """Return the suite of what has come from a contact, if it may be, whatever this person wants for their own.

        Args:
            envelope: What has come.
            ours: The identity that it is sealed for.
            contact: Who it is from.
            theirs: The identity that has signed it.

        Raises:
            CryptoError: It is not the best that the two speak, or lower than what they have spoken.
        """
        if envelope.suite != self.best(ours, theirs) or envelope.suite < contact.suite:
            raise CryptoError
        return self._suites[envelope.suite]
