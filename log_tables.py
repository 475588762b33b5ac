"""The key log in SQL: the tables `log_entry` and `log_node`, as the relay writes them and each client copies them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import merkle
from key_log import entry_hash
from records import LogEntry

Statement = Callable[..., Iterable[tuple[Any, ...]]]  # SQL and its values: the rows


class LogTables:
    """The entries of the key log, and the perfect subtrees over them."""

    def __init__(self, read: Statement, write: Statement) -> None:
        """Work in the owner's transactions.

        Args:
            read: Runs a query.
            write: Runs a statement that changes something.
        """
        self._read = read
        self._write = write

    def _row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        return next(iter(self._read(query, *values)), None)

    @property
    def size(self) -> int:
        """How many entries there are."""
        row = self._row("SELECT max(position) FROM log_entry")
        return 0 if row is None or row[0] is None else int(row[0]) + 1

    def node(self, level: int, number: int) -> bytes:
        """Return the hash of a perfect subtree that is there, 32 bytes."""
        row = self._row("SELECT hash FROM log_node WHERE level = ? AND number = ?", level, number)
        assert row is not None  # noqa: S101 - written together with the entry that completed it
        return bytes(row[0])

    def root(self, size: int) -> bytes:
        """Return the root of the first so many entries, 32 bytes."""
        return merkle.root(self.node, size)

    def append(self, entries: list[LogEntry]) -> None:
        """Add the entries that follow."""
        for position, entry in enumerate(entries, self.size):
            values = (position, entry.index, entry.kind, entry.value)
            self._write("INSERT INTO log_entry (position, log_index, kind, value) VALUES (?, ?, ?, ?)", *values)
            for node in merkle.appended(self.node, position, entry_hash(entry)):
                self._write("INSERT INTO log_node (level, number, hash) VALUES (?, ?, ?)", *node)

    def entries(self, *, start: int, limit: int) -> list[LogEntry]:
        """Return at most so many entries from a position on, in order."""
        rows = self._read(
            "SELECT log_index, kind, value FROM log_entry WHERE position >= ? ORDER BY position LIMIT ?", start, limit
        )
        return [LogEntry(index=index, kind=kind, value=value) for index, kind, value in rows]

    def entries_of(self, index: bytes, *, after: int = -1) -> list[LogEntry]:
        """Return the entries of an index above a position, in order."""
        rows = self._read(
            "SELECT kind, value FROM log_entry WHERE log_index = ? AND position > ? ORDER BY position", index, after
        )
        return [LogEntry(index=index, kind=kind, value=value) for kind, value in rows]

    def position(self, entry: LogEntry) -> int | None:
        """Return where an entry stands, or None when it does not."""
        row = self._row(
            "SELECT position FROM log_entry WHERE log_index = ? AND kind = ? AND value = ?",
            entry.index, entry.kind, entry.value,
        )  # fmt: skip
        return int(row[0]) if row else None
