"""Envelopes that are in memory only, and are never written if they are acknowledged soon; and the names of those.

What came together is kept together, as a batch: most of it is acknowledged together, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from msgspec import Struct

from relay.storage import Address, Stored
from relay.storage.mailbox_table import Batch

MAX_NAMES: Final = 100_000  # that are remembered of what was spared, and as many again: some 20 MB each


class Named(Struct, frozen=True, gc=False):
    """What is known of envelopes that came together."""

    received_at: int
    ids: list[bytes]
    marks: list[bytes]  # in the order of the ids


class Names:
    """By sender and id, what is known of envelopes."""

    def __init__(self) -> None:
        """Start with none."""
        self._by_sender: defaultdict[str, dict[bytes, Named]] = defaultdict(dict)
        self.count = 0  # of all senders

    def add(self, batch: Batch) -> None:
        """Remember envelopes."""
        ids, names = batch.ids, self._by_sender[batch.sender_id]
        named = Named(batch.received_at, ids, [arrival.mark for arrival in batch.arrivals])
        before = len(names)
        for envelope_id in ids:
            names[envelope_id] = named
        self.count += len(names) - before

    def find(self, sender_id: str, envelope_id: bytes) -> Stored | None:
        """Return what is known of an envelope."""
        named = self._by_sender.get(sender_id, {}).get(envelope_id)
        return None if named is None else Stored(named.marks[named.ids.index(envelope_id)], named.received_at)

    def forget(self, sender_id: str) -> None:
        """Forget what somebody has sent."""
        self.count -= len(self._by_sender.pop(sender_id, {}))

    def expire(self, before: int) -> None:
        """Forget what was received before a time."""
        for names in self._by_sender.values():
            old = [envelope_id for envelope_id, named in names.items() if named.received_at < before]
            for envelope_id in old:
                del names[envelope_id]
            self.count -= len(old)


class Spared:
    """All of them, by their mailboxes."""

    def __init__(self) -> None:
        """Start with none."""
        self._mailboxes: dict[Address, list[Batch]] = {}  # in the order in which they came; none is empty
        self._lately, self._before = Names(), Names()  # of what is spared, and of what was and may never be written

    def clear(self) -> None:
        """Forget everything."""
        self._mailboxes.clear()
        self._lately, self._before = Names(), Names()

    def add(self, batch: Batch) -> None:
        """Spare envelopes."""
        self._mailboxes.setdefault(batch.to, []).append(batch)
        self._lately.add(batch)
        if self._lately.count > MAX_NAMES:
            self._lately, self._before = Names(), self._lately
            for spared in self._all():  # the names of what is not written yet are never forgotten
                self._lately.add(spared)

    def _all(self) -> Iterator[Batch]:
        return (batch for mailbox in self._mailboxes.values() for batch in mailbox)

    def drop(self, mailbox: Address, sequences: Iterable[int]) -> set[int]:
        """Let go of what was acknowledged of a mailbox, and return the sequences of what is not spared there."""
        others, left = set(sequences), list[Batch]()
        highest, here = max(others, default=0), self._mailboxes.pop(mailbox, [])
        for place, batch in enumerate(here):
            if batch.first > highest:  # as are all that came after it
                left += here[place:]
                break
            left += batch.without(others)
            others.difference_update(batch.sequences)
        if left:
            self._mailboxes[mailbox] = left
        return others

    def take(self, mailbox: Address) -> list[Batch]:
        """Spare nothing in a mailbox any longer, and return it, in its order."""
        return self._mailboxes.pop(mailbox, [])

    def take_all(self) -> list[Batch]:
        """Spare nothing any longer, and return it, in its order."""
        taken = sorted(self._all(), key=attrgetter("first"))
        self._mailboxes.clear()
        return taken

    def count(self, mailbox: Address, sender_id: str | None) -> int:
        """Return how many are spared in a mailbox (from one sender)."""
        here = self._mailboxes.get(mailbox, [])
        return sum(len(batch.arrivals) for batch in here if sender_id in {None, batch.sender_id})

    def holds(self, sender_id: str, envelope_id: bytes) -> bool:
        """Return whether an envelope is spared in some mailbox."""
        return any(batch.sender_id == sender_id and envelope_id in batch.ids for batch in self._all())

    def find(self, sender_id: str, envelope_id: bytes) -> Stored | None:
        """Return what is known of an envelope that is or was spared."""
        return self._lately.find(sender_id, envelope_id) or self._before.find(sender_id, envelope_id)

    def forget(self, sender_id: str) -> None:
        """Forget the names of what somebody has sent."""
        for names in (self._lately, self._before):
            names.forget(sender_id)

    def expire(self, before: int) -> None:
        """Forget the names of what was received before a time."""
        for names in (self._lately, self._before):
            names.expire(before)
