"""Who everybody is: look-ups, and what the person decides about the identities that they bring."""

from __future__ import annotations

from typing import Final

import msgspec

from errors import CryptoError, UntrustedKeyError, UsageError
from identity import identity_hash, safety_number
from messenger.contacts import Contact, Contacts, Sight, Trust
from messenger.events import ContactPinned, IdentityChanged, IdentityRevoked, IdentityRotated
from messenger.keyring import Keyring
from messenger.line import Line, Output
from messenger.log_replica import LogReplica
from protocol import FetchIdentity, Identity
from records import MAX_RECORDS

MAX_IDENTITIES: Final = 1024  # of one account, some 9 MB; a server could make up any number


class Identities:
    """The identities of contacts. Every change runs inside the caller's transaction."""

    def __init__(self, line: Line, keyring: Keyring, contacts: Contacts, log: LogReplica) -> None:
        """Work for an account."""
        self._line = line
        self._log = log
        self._keyring = keyring
        self._contacts = contacts
        self._doubted: set[str] = set()  # contacts of whom the relay says that their key has changed

    # ------------------------------------------------------------ look-ups

    def look_up(self, user_id: str, output: Output, *, epoch: int | None = None) -> None:
        """Ask the key directory for somebody's identities, from the one that is pinned on, if it has not been asked."""
        link = self._line.present
        if user_id in link.asked:
            return
        link.asked.add(user_id)
        contact, pages = self._contacts.find(user_id), link.pages.get(user_id)
        if epoch is None and pages is not None:  # to be asked again
            epoch = pages[-1].epoch if pages else 1
        if epoch is None:  # from the first on, when none is pinned: what waits may be signed by an earlier one
            epoch = contact.record.epoch if contact is not None else 1
        output.frames.append(FetchIdentity(epoch=epoch, log_size=self._log.known[0], user_id=user_id))

    @staticmethod
    def is_page(frame: Identity) -> bool:
        """Tell whether there may be more identities than an answer holds."""
        return len(frame.records) == MAX_RECORDS

    def doubt(self, user_id: str, output: Output) -> None:
        """See for ourselves whether somebody's key has changed; the relay's word is not enough."""
        self._doubted.add(user_id)
        self.look_up(user_id, output)

    def is_doubted(self, user_id: str) -> bool:
        """Tell whether to wait for a look-up before anything is sealed for somebody."""
        return user_id in self._doubted

    def was_asked_for(self, user_id: str) -> bool:
        """Note that an answer has come; return whether there was a question."""
        asked = self._line.present.asked
        if user_id not in asked:
            return False
        asked.discard(user_id)
        return True

    def awaits(self, user_id: str) -> bool:
        """Tell whether a look-up is under way."""
        return user_id in self._line.present.asked

    def give_up(self, user_id: str) -> None:
        """Note that a look-up has come to nothing."""
        self._doubted.discard(user_id)
        self._line.present.pages.pop(user_id, None)

    def no_longer_doubted(self, user_id: str) -> bool:
        """Note that a look-up has ended; return whether it was because of a doubt."""
        doubted = user_id in self._doubted
        self._doubted.discard(user_id)
        return doubted

    def joined(self, frame: Identity, output: Output) -> Identity | None:
        """Return an answer that can be judged; None: the identities that its certificate is about are yet to come.

        A certificate may name an identity before all that we have asked for, and more than one answer holds before the
        present one. So all are fetched from the first on.

        Raises:
            CryptoError: A page does not begin where the one before has ended.
        """
        user_id, pages = frame.records[-1].user_id, self._line.present.pages
        before = pages.pop(user_id, None)
        if before and frame.records[0] != before[-1]:
            raise CryptoError
        records = [*before, *frame.records[1:]] if before else frame.records
        named = {certificate.identity_hash for certificate in frame.revocations}
        if before is None and not named <= {identity_hash(record) for record in records}:
            pages[user_id] = []
            self.look_up(user_id, output, epoch=1)
        elif before is not None and self.is_page(frame) and len(records) < MAX_IDENTITIES:
            pages[user_id] = records
            self.look_up(user_id, output, epoch=records[-1].epoch)
        else:
            return msgspec.structs.replace(frame, records=records)
        return None

    def take(self, frame: Identity, index: bytes, output: Output, *, now: int) -> Sight:
        """Take in what the key directory says of somebody, and tell the person what is new.

        Args:
            frame: What it says.
            index: By which the key log names them.
            output: Takes the news.
            now: Seconds since 1970.

        Raises:
            CryptoError: It is not valid.
        """
        user_id = frame.records[-1].user_id
        before = self._contacts.find(user_id)
        sight = self._contacts.see(frame.records, frame.revocations, now=now)
        self._contacts.note_log_index(user_id, index)
        match sight:
            case Sight.FIRST:
                output.events.append(ContactPinned(user_id))
            case Sight.ROTATED:
                was_verified = before is not None and before.trust is Trust.VERIFIED
                output.events.append(IdentityRotated(user_id, was_verified))
            case Sight.CHANGED:
                output.events.append(IdentityChanged(user_id))
            case Sight.REVOKED:
                output.events.append(IdentityRevoked(user_id))
            case Sight.SAME:
                pass
        if sight in {Sight.FIRST, Sight.ROTATED} and self.is_page(frame):
            self.look_up(user_id, output)
        return sight

    # ------------------------------------------------------------ the person

    def safety_number(self, peer: str) -> str:
        """Return the number that this account and a contact compare, 60 digits.

        Raises:
            UsageError: They are no contact.
            UntrustedKeyError: Their identity has changed or was revoked.
        """
        return safety_number(self._keyring.account.record, self._comparable(peer).record)

    def verify(self, peer: str, number: str) -> None:
        """Note that the two people have compared their safety number: the person's word.

        Args:
            peer: The contact.
            number: What was compared, in groups or not; it must be the number still.

        Raises:
            UsageError: They are no contact, or this can be no number.
            UntrustedKeyError: Their identity has changed or was revoked, or the numbers differ.
        """
        number = "".join(number.split())
        if not (number.isascii() and number.isdigit()):
            message = f"{number!r} is no safety number"
            raise UsageError(message, hint=f"it has 60 digits; ask {peer} for what they see")
        contact = self._comparable(peer)
        if number != self.safety_number(peer):
            raise numbers_differ(peer)
        self._contacts.verify(peer, contact.identity_hash)

    def _comparable(self, peer: str) -> Contact:
        contact = self._contacts.find(peer)
        if contact is None:
            message = f"{peer} is no contact yet"
            raise UsageError(message, hint=f"write to {peer} first: their key is fetched with the first message")
        refuse_stopped(contact)
        return contact


def refuse_stopped(contact: Contact | None) -> None:
    """Refuse to go on with a contact for whom nothing may be sealed.

    Raises:
        UntrustedKeyError: It is one.
    """
    if contact is not None and contact.trust is Trust.CHANGED:
        raise identity_changed(contact.user_id)
    if contact is not None and contact.trust is Trust.REVOKED:
        raise identity_revoked(contact.user_id)


def identity_changed(peer: str) -> UntrustedKeyError:
    """Make the error that stops whatever was meant for a contact whose identity has changed."""
    message = f"the key of {peer} has changed: nothing is sent to them"
    hint = (
        f"{peer} may have a new device, or someone is in between. Ask {peer} on another way;"
        f" if the new key is theirs, type /accept {peer} in the conversation, if not, /keep {peer}"
    )
    return UntrustedKeyError(message, hint=hint)


def identity_revoked(peer: str) -> UntrustedKeyError:
    """Make the error that stops whatever was meant for a contact whose account has ended."""
    message = f"the account {peer} was revoked: nothing is sent to it"
    return UntrustedKeyError(message, hint=f"ask {peer} on another way for their new number")


def numbers_differ(peer: str) -> UntrustedKeyError:
    """Make the error of two safety numbers that are not the same."""
    message = f"this is not the safety number that you have with {peer}"
    hint = f"look at it again, both of you; if it differs, someone is in between: do not write to {peer} here"
    return UntrustedKeyError(message, hint=hint)
