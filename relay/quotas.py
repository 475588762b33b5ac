"""How much may wait: the stranger rule and the mailbox limit (docs/PROTOCOL.md section 8)."""

from __future__ import annotations

from typing import Final

from errors import Code
from protocol import Envelope
from relay.limits import Limits
from relay.storage import Address, Store

MAX_COUNTS: Final = 100_000  # mailboxes whose fill is remembered, about 20 MB


class Quotas:
    """The fill of all mailboxes."""

    def __init__(self, store: Store, limits: Limits) -> None:
        """Count in a store."""
        self._store = store
        self._limits = limits
        self._at_most: dict[Address, int] = {}  # no more than so many wait: counting each time would be dear

    def take(self, envelope: Envelope, mailboxes: tuple[Address, ...], wanted: int) -> list[Code]:
        """Reserve room for envelopes that go the same way; the sender hears of what finds none (delivery contract G5).

        Returns:
            Why not: a reason for each that cannot be put there; these are the last ones.
        """
        stranger = not self._store.has_written(envelope.recipient_id, envelope.sender_id)
        bounds: list[tuple[int, Code]] = []
        for mailbox in mailboxes:
            if stranger:
                limit = self._limits.stranger_pending
                bounds.append((limit - self.count(mailbox, limit, envelope.sender_id), Code.STRANGER_LIMIT))
            bounds.append((self._free(mailbox, wanted), Code.MAILBOX_FULL))
        room = min(wanted, *(places for places, _ in bounds))
        for mailbox in mailboxes:
            if mailbox in self._at_most:
                self._at_most[mailbox] += room
        return [next(code for places, code in bounds if places <= number) for number in range(room, wanted)]

    def _free(self, mailbox: Address, wanted: int) -> int:
        """Return how many more a mailbox may hold; it is counted only where so many could be too many."""
        limit = self._limits.mailbox_limit
        most = self._at_most.get(mailbox, limit)
        if most + wanted > limit:
            most = self.count(mailbox, limit)
        if most >= limit:  # there may be more: the count goes no further
            self._at_most.pop(mailbox, None)
            return 0
        if len(self._at_most) >= MAX_COUNTS:
            self._at_most.clear()
        self._at_most[mailbox] = most
        return limit - most

    def count(self, mailbox: Address, limit: int, sender_id: str | None = None) -> int:
        """Return how many envelopes wait in a mailbox (from one sender), counting no further than `limit`."""
        return self._store.count_pending(mailbox, limit=limit, sender_id=sender_id)

    def give_back(self, mailbox: Address, gone: int) -> None:
        """Note that envelopes have left a mailbox."""
        if mailbox in self._at_most:
            self._at_most[mailbox] -= gone

    def forget(self) -> None:
        """Count anew."""
        self._at_most.clear()
