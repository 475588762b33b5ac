"""What only the person can decide about a contact: whose key is theirs, and who is let in."""

from __future__ import annotations

from collections.abc import Callable

from errors import UsageError
from messenger.changes import Changes
from messenger.contacts import Contacts, Trust
from messenger.door import Door, Standing
from messenger.identities import Identities
from messenger.inbox import Inbox
from messenger.line import Line, Output, Step
from messenger.receipts import Receipts


class Decisions:
    """Carries out decisions, each in one step."""

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        step: Step,
        line: Line,
        contacts: Contacts,
        identities: Identities,
        inbox: Inbox,
        door: Door,
        receipts: Receipts,
        changes: Changes,
    ) -> None:
        """Join the parts."""
        self._changes = changes
        self._step = step
        self._line = line
        self._contacts = contacts
        self._identities = identities
        self._inbox = inbox
        self._door = door
        self._receipts = receipts

    # ------------------------------------------------------------ whose key it is

    def safety_number(self, peer: str) -> str:
        """Return the number that this account and a contact compare, 60 digits.

        Raises:
            UsageError: They are no contact.
            UntrustedKeyError: Their identity has changed or was revoked.
        """
        return self._identities.safety_number(peer)

    def verify(self, peer: str, number: str, *, now: int) -> Output:
        """Note that the two people have compared this safety number: the person's word.

        Raises:
            UsageError: They are no contact, or it is no number.
            UntrustedKeyError: Their identity has changed or was revoked, or this is not the number.
        """
        with self._step(now) as output:
            self._identities.verify(peer, number)
        return output

    def accept(self, peer: str, *, now: int) -> Output:
        """Pin the identity that a contact has now.

        Raises:
            UsageError: There is nothing to decide.
        """

        def pin(peer: str) -> None:
            self._contacts.accept(peer)
            self._changes.count_anew(peer)

        return self._decide(peer, pin, now=now)

    def keep(self, peer: str, *, now: int) -> Output:
        """Stay with the identity that a contact had.

        Raises:
            UsageError: There is nothing to decide.
        """
        return self._decide(peer, self._contacts.keep, now=now)

    def _decide(self, peer: str, decision: Callable[[str], None], *, now: int) -> Output:
        contact = self._contacts.find(peer)
        if contact is None:
            message = f"{peer} is no contact yet"
            raise UsageError(message, hint="/contacts lists those who are")
        if contact.trust is not Trust.CHANGED:
            message = f"there is nothing to decide: the key of {peer} has not changed"
            raise UsageError(message, hint="/contacts lists whose key has")
        with self._step(now) as output:
            decision(peer)
            self._inbox.release(peer, now=now)
            self._line.send_again()
        return output

    # ------------------------------------------------------------ who is let in

    def allow(self, peer: str, *, now: int) -> Output:
        """Let a contact in; they hear what became of their messages.

        Raises:
            UsageError: They are no contact.
        """
        with self._step(now) as output:
            self._catch_up(peer, now)
            self._door.allow(peer)
        return output

    def let_in(self, peer: str, *, now: int) -> None:
        """Let somebody in who is written to, inside the caller's step; they hear what became of their messages."""
        self._catch_up(peer, now)
        self._door.note_written(peer)

    def _catch_up(self, peer: str, now: int) -> None:
        if self._door.of(peer) is Standing.REQUEST:
            self._receipts.catch_up(peer, now=now)

    def block(self, peer: str, *, now: int) -> Output:
        """See nothing of a contact any more.

        Raises:
            UsageError: They are no contact.
        """
        with self._step(now) as output:
            self._door.block(peer)
        return output

    # ------------------------------------------------------------ what they are called, and how long messages stay

    def change_book(self, change: Callable[[], None], *, now: int) -> Output:
        """Change the address book.

        Raises:
            UsageError: As the change does.
        """
        with self._step(now) as output:
            change()
        return output
