"""The key log's tables in the relay's SQLite file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from protocol import LogEntry

Statement = Callable[[str, Sequence[Any]], Any]


class SqliteLog:
    """The entries of the key log, and the subtrees over them."""

    def __init__(self, read: Statement, write: Statement) -> None:
        """Work in a store's transactions.

        Args:
            read: Runs a query.
            write: Runs a statement that changes something; the first since a commit begins a transaction.
        """
        self._read = read
        self._write = write

    def _row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._read(query, values).fetchone()
        return row

    @property
    def size(self) -> int:
        """How many entries there are."""
        row = self._row("SELECT max(position) FROM log_entry")
        return 0 if row is None or row[0] is None else int(row[0]) + 1

    def node(self, level: int, number: int) -> bytes:
        """Return the hash of a perfect subtree that is there."""
        row = self._row("SELECT hash FROM log_node WHERE level = ? AND number = ?", level, number)
        assert row is not None  # noqa: S101 - written together with the entry that completed it
        return bytes(row[0])

    def append(self, entry: LogEntry, nodes: list[tuple[int, int, bytes]]) -> None:
        """Add an entry, and the subtrees that it completes: level, number and hash of each."""
        values = (self.size, entry.index, entry.kind, entry.value)
        self._write("INSERT INTO log_entry (position, log_index, kind, value) VALUES (?, ?, ?, ?)", values)
        for node in nodes:
            self._write("INSERT INTO log_node (level, number, hash) VALUES (?, ?, ?)", node)

    def position(self, entry: LogEntry) -> int | None:
        """Return where an entry stands, or None when it does not."""
        row = self._row(
            "SELECT position FROM log_entry WHERE log_index = ? AND kind = ? AND value = ?",
            entry.index, entry.kind, entry.value,
        )  # fmt: skip
        return int(row[0]) if row else None

    def has(self, index: bytes, kind: str) -> bool:
        """Return whether there is an entry of a kind for an index."""
        return self._row("SELECT 1 FROM log_entry WHERE log_index = ? AND kind = ?", index, kind) is not None

    def entries(self, *, start: int, limit: int) -> list[LogEntry]:
        """Return at most so many entries from a position on, in order."""
        rows = self._read(
            "SELECT log_index, kind, value FROM log_entry WHERE position >= ? ORDER BY position LIMIT ?",
            (start, limit),
        )
        return [LogEntry(index=index, kind=kind, value=value) for index, kind, value in rows]
