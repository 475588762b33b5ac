"""The table of the mailboxes (docs/adr/0015-what-comes-together-lies-together.md).

What one sender left in one mailbox without anything between it is one row there, a batch: sequences without a gap, a
line for each envelope. A row costs several times what an envelope in it does.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Final, NamedTuple

from msgspec import Struct

from records import ID_SIZE
from relay.storage import MARK_SIZE, Address, Arrival, Stored, Waiting
from relay.storage.prekey_table import Statement

BATCH_ENVELOPES: Final = 32  # at most in a row, and never less in a later version
BATCH_SIZE: Final = 32 * 1024  # bytes: a row is written anew when a part of it is acknowledged
BULK: Final = (64, 8, 1)  # rows a statement: few sizes, so that each is prepared once
MAX_SENDERS: Final = 100_000  # of whom something is remembered, about 15 MB
LINE_END: Final = b"\n"  # nowhere in canonical JSON

_COLUMNS: Final = (
    "sequence, first, waiting, recipient_id, device_id, sender_id, received_at, ascending, last_id,"
    " ids, marks, envelopes"
)
_WIDTH: Final = len(_COLUMNS.split(","))
_INSERT: Final = {  # OR FAIL: the transaction is undone anyway, and SQLite keeps no journal to undo the statement alone
    size: f"INSERT OR FAIL INTO mailbox ({_COLUMNS}) VALUES "  # noqa: S608 - constants
    + ", ".join(["(" + ", ".join("?" * _WIDTH) + ")"] * size)
    for size in BULK
}
_PENDING: Final = "mailbox INDEXED BY mailbox_pending WHERE waiting > 0 AND recipient_id = ?"

Row = tuple[object, ...]  # its columns


class Found(NamedTuple):
    """A row that an envelope is known by."""

    to: Address
    received_at: int
    names: dict[bytes, bytes]  # the marks of its envelopes, by their ids


class Batch(Struct):
    """Envelopes of one sender in one mailbox, whose sequences follow each other, received at one time."""

    to: Address
    sender_id: str
    received_at: int
    first: int  # sequence
    arrivals: list[Arrival]

    @property
    def end(self) -> int:
        """The sequence after the last."""
        return self.first + len(self.arrivals)

    @property
    def sequences(self) -> range:
        """The sequences of its envelopes."""
        return range(self.first, self.end)

    @property
    def ids(self) -> list[bytes]:
        """The ids of its envelopes."""
        return [arrival.id for arrival in self.arrivals]

    def is_continued_by(self, other: Batch) -> bool:
        """Return whether another one could as well be the rest of it."""
        return (self.to, self.sender_id, self.received_at, self.end) == (
            other.to, other.sender_id, other.received_at, other.first,
        )  # fmt: skip

    def rows(self) -> Iterator[Batch]:
        """Cut it into what goes into one row: so many envelopes and bytes, or one that is larger."""
        begin = size = 0
        for place, arrival in enumerate(self.arrivals):
            size += len(arrival.envelope)
            if place - begin == BATCH_ENVELOPES or (size > BATCH_SIZE and place > begin):
                yield self.part(begin, place)
                begin, size = place, len(arrival.envelope)
        yield self.part(begin, len(self.arrivals))

    def part(self, begin: int, end: int) -> Batch:
        """Return some of it."""
        return Batch(self.to, self.sender_id, self.received_at, self.first + begin, self.arrivals[begin:end])

    def without(self, sequences: set[int]) -> list[Batch]:
        """Return what is left of it when some sequences are gone."""
        mine = self.sequences
        if sequences.isdisjoint(mine):
            return [self]
        if sequences.issuperset(mine):
            return []
        left = [place for place, sequence in enumerate(mine) if sequence not in sequences]
        return [self.part(place, place + 1) for place in left]


class MailboxTable:
    """Envelopes that wait, and what is known of those that did, on disk."""

    def __init__(self, read: Statement, write: Statement) -> None:
        """Work in a store's transactions."""
        self._read = read
        self._write = write
        self._highest_ids: dict[str, bytes] = {}  # or higher, of what each sender has here

    def forget(self) -> None:
        """Read anew what was remembered."""
        self._highest_ids.clear()

    # ------------------------------------------------------------ put

    def insert(self, batches: Iterable[Batch]) -> None:
        """Add envelopes.

        Raises:
            ValueError: One has a line break, or is in the mailbox already that it is known from.
        """
        if len(self._highest_ids) >= MAX_SENDERS:  # before there is anything that is not written
            self.forget()
        rows: list[Row] = []
        for batch in [row for each in batches for row in each.rows()]:
            ids, highest = batch.ids, self._highest_id(batch.sender_id)
            if ids[0] > highest and ids == sorted(set(ids)):
                rows.append(_row(batch, ids[-1], ascending=True))
            else:
                self._insert(rows)  # it may be about the same envelopes
                rows = self._others(batch)
            self._highest_ids[batch.sender_id] = max(highest, *ids)
        self._insert(rows)

    def _highest_id(self, sender_id: str) -> bytes:
        """Return an id that none of a sender's here is above."""
        highest = self._highest_ids.get(sender_id)
        return self.highest_id(sender_id) if highest is None else highest

    def _others(self, batch: Batch) -> list[Row]:
        """Return the rows of envelopes that are here for another device, or whose ids do not ascend."""
        known: set[bytes] = set()
        for envelope_id in batch.ids:
            found = None if envelope_id in known else self._find(batch.sender_id, envelope_id)
            if found is not None and found.to == batch.to:
                raise ValueError("an envelope is in this mailbox already")
            known |= found.names.keys() if found is not None else set()
        if known.issuperset(batch.ids):
            return [_row(batch, None, ascending=False)]
        return [
            _row(batch.part(place, place + 1), None if envelope_id in known else envelope_id, ascending=False)
            for place, envelope_id in enumerate(batch.ids)
        ]

    def _insert(self, rows: list[Row]) -> None:
        at = 0
        for size in BULK:
            while len(rows) - at >= size:
                self._write(_INSERT[size], *chain.from_iterable(rows[at : at + size]))
                at += size

    # ------------------------------------------------------------ acknowledge, expire

    def empty(self, address: Address, sequences: AbstractSet[int]) -> None:
        """Forget the contents of envelopes in a mailbox; what is not in it is passed over."""
        wanted = sorted(sequences)
        empty: list[int] = []
        for first, last in self._rows_about(address, wanted):
            named = wanted[bisect_left(wanted, first) : bisect_right(wanted, last)]
            if len(named) == last - first + 1:
                empty.append(last)
            elif named:
                self._blank(first, last, named)
        if empty:
            self._write(
                "UPDATE mailbox SET waiting = 0, envelopes = NULL WHERE sequence IN (SELECT value FROM json_each(?))",
                json.dumps(empty),
            )

    def _rows_about(self, address: Address, sequences: list[int]) -> list[tuple[int, int]]:
        """Return the first and last sequences of the rows of a mailbox among which these, ascending, may wait."""
        (found,) = self._read(  # in one step: each lets another thread have the interpreter
            f"SELECT json_group_array(json_array(first, sequence)) FROM {_PENDING}"  # noqa: S608 - constant
            " AND device_id = ? AND sequence BETWEEN ? AND ?",
            *address, sequences[0], sequences[-1] + BATCH_ENVELOPES - 1,
        ).fetchone()  # fmt: skip
        return [(first, last) for first, last in json.loads(found)]

    def _blank(self, first: int, last: int, named: list[int]) -> None:
        """Empty the lines of some envelopes of a row."""
        (envelopes,) = self._read("SELECT envelopes FROM mailbox WHERE sequence = ?", last).fetchone()
        lines = envelopes.split(LINE_END)
        for sequence in named:
            lines[sequence - first] = b""
        waiting = len(lines) - lines.count(b"")
        change = "UPDATE mailbox SET waiting = ?, envelopes = ? WHERE sequence = ?"
        self._write(change, waiting, LINE_END.join(lines) if waiting else None, last)

    def expire(self, *, before: int, limit: int) -> int:
        """Remove at most `limit` of the oldest rows, of those received before a time; return how many."""
        cursor = self._write(
            "DELETE FROM mailbox WHERE sequence IN"
            " (SELECT sequence FROM mailbox WHERE received_at < ? ORDER BY received_at LIMIT ?)",
            before, limit,
        )  # fmt: skip
        return int(cursor.rowcount)

    # ------------------------------------------------------------ look

    def last_sequence(self) -> int:
        """Return the highest sequence that was ever written."""
        row = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'mailbox'").fetchone()
        return row[0] if row else 0

    def highest_id(self, sender_id: str) -> bytes:
        """Return the highest id of a sender's envelopes, or nothing."""
        query = "SELECT max(last_id) FROM mailbox WHERE sender_id = ? AND ascending = ?"
        return max(self._read(query, sender_id, ascending).fetchone()[0] or b"" for ascending in (0, 1))

    def stored(self, sender_id: str, envelope_id: bytes) -> Stored | None:
        """Return what is known of an envelope that was put here."""
        found = self._find(sender_id, envelope_id)
        return Stored(found.names[envelope_id], found.received_at) if found else None

    def _find(self, sender_id: str, envelope_id: bytes) -> Found | None:
        """Find the row that an envelope is known by."""
        for ascending, compared in ((1, ">="), (0, "=")):
            row = self._read(
                "SELECT recipient_id, device_id, received_at, ids, marks FROM mailbox"  # noqa: S608 - constants
                f" WHERE sender_id = ? AND ascending = ? AND last_id {compared} ? ORDER BY last_id LIMIT 1",
                sender_id, ascending, envelope_id,
            ).fetchone()  # fmt: skip
            if row is not None:
                user_id, device_id, received_at, ids, marks = row
                names = dict(zip(_cut(ids, ID_SIZE), _cut(marks, MARK_SIZE), strict=True))
                found = Found(Address(user_id, device_id), received_at, names)
                if envelope_id in found.names:
                    return found
        return None

    def is_waiting(self, sender_id: str, envelope_id: bytes) -> bool:
        """Return whether an envelope waits for a device."""
        found = self._find(sender_id, envelope_id)
        if found is None:
            return False
        rows = self._read(
            f"SELECT ids, envelopes FROM {_PENDING} AND sender_id = ? AND instr(ids, ?)",  # noqa: S608 - constant
            found.to.user_id, sender_id, envelope_id,
        )  # fmt: skip
        return any(
            dict(zip(_cut(ids, ID_SIZE), lines.split(LINE_END), strict=True)).get(envelope_id) for ids, lines in rows
        )

    def pending(
        self, address: Address, *, after: int, limit: int, size: int, gone: AbstractSet[int] = frozenset()
    ) -> list[Waiting]:
        """Return what waits in a mailbox above a sequence, in order: so many envelopes, or until so many bytes.

        What is among `gone` waits no longer.
        """
        rows = self._read(
            f"SELECT first, envelopes FROM {_PENDING} AND device_id = ? AND sequence > ? ORDER BY sequence",  # noqa: S608 - constant
            *address, after,
        )  # fmt: skip
        found: list[Waiting] = []
        for first, envelopes in rows:  # read one by one: the rest of a large mailbox stays on disk
            for sequence, envelope in enumerate(envelopes.split(LINE_END), first):
                if envelope and sequence > after and sequence not in gone:
                    found.append(Waiting(sequence, envelope))
                    size -= len(envelope)
                    if size <= 0 or len(found) == limit:
                        return found
        return found

    def count(self, address: Address, *, limit: int, sender_id: str | None = None) -> int:
        """Return how many envelopes wait in a mailbox (from one sender); it may count no further than `limit`."""
        row = self._read(
            f"SELECT sum(waiting) FROM (SELECT waiting FROM {_PENDING}"  # noqa: S608 - constant
            " AND device_id = ? AND (? IS NULL OR sender_id = ?) LIMIT ?)",
            *address, sender_id, sender_id, limit,
        ).fetchone()  # fmt: skip
        return row[0] or 0


def _row(batch: Batch, last_id: bytes | None, *, ascending: bool) -> Row:
    """Return the columns of a row."""
    arrivals = batch.arrivals
    lines = [arrival.envelope for arrival in arrivals]
    if LINE_END in b"".join(lines):
        raise ValueError("an envelope with a line break cannot be stored")
    return (
        batch.end - 1, batch.first, len(arrivals), *batch.to, batch.sender_id, batch.received_at, ascending, last_id,
        b"".join(batch.ids), b"".join([arrival.mark for arrival in arrivals]), LINE_END.join(lines),
    )  # fmt: skip


def _cut(joined: bytes, size: int) -> list[bytes]:
    """Cut what stands in one column into its values."""
    return [joined[at : at + size] for at in range(0, len(joined), size)]
