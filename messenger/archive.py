"""What was said: read back by conversation, and found by its words. Nothing here changes anything."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from errors import Code, UsageError
from messenger.database import Database

PAGE: Final = 500  # messages read at once: an archive of any size is never in memory whole
_END: Final = 2**63 - 1  # above every ordinal and every time

_ORDER: Final = ("accepted", "delivered", "read", "expired", "rejected", "identity-changed")  # within a second
_SELECT: Final = "SELECT ordinal, peer, direction, id, text, timestamp, stored_at, state, reason FROM message"


@dataclass(frozen=True, slots=True)
class Said:
    """A message that was written or came in."""

    ordinal: int  # in the order of arrival
    peer: str
    outgoing: bool
    id: bytes
    text: str
    timestamp: int  # by the sender's clock, seconds since 1970
    stored_at: int  # by ours
    state: str  # in: stored, shown, read; out: as in events.StateChanged, or queued
    reason: Code | None  # of a rejection


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; an empty one is everything."""

    words: str = ""  # each must stand in it, or begin a word that does
    peer: str | None = None
    since: int = 0  # seconds since 1970, by our clock
    until: int = _END  # and before this


class Archive:
    """Reads the table of messages."""

    def __init__(self, database: Database) -> None:
        """Read a database."""
        self._db = database

    def latest(self, peer: str, *, limit: int) -> list[Said]:
        """Return the last messages with somebody, in the order of arrival."""
        rows = self._db.rows(f"{_SELECT} WHERE peer = ? ORDER BY ordinal DESC LIMIT ?", peer, limit)
        return [_said(row) for row in reversed(rows)]

    def count(self, peer: str) -> int:
        """Return how many messages there are with somebody."""
        return self._number("SELECT count(*) FROM message WHERE peer = ?", peer)

    def unread(self) -> dict[str, int]:
        """Return how many messages of each contact were stored and not read, by their names."""
        return dict(
            self._db.rows(
                "SELECT peer, count(*) FROM (SELECT peer FROM message WHERE state = 'stored'"
                " UNION ALL SELECT peer FROM message WHERE state = 'shown') GROUP BY peer ORDER BY peer"
            )
        )

    def last_sent(self, peer: str) -> Said | None:
        """Return the newest own message to somebody."""
        row = self._db.row(f"{_SELECT} WHERE peer = ? AND direction = 'out' ORDER BY ordinal DESC LIMIT 1", peer)
        return _said(row) if row else None

    def steps(self, said: Said) -> list[tuple[str, int]]:
        """Return the states that an own message has reached, and when, seconds since 1970 by our clock."""
        rows = self._db.rows("SELECT state, at FROM step WHERE ordinal = ?", said.ordinal)
        return sorted([(state, at) for state, at in rows], key=lambda step: (step[1], _ORDER.index(step[0])))

    def find(self, wanted: Wanted, *, limit: int) -> list[Said]:
        """Return the newest messages of those that are looked for, in the order of arrival.

        Raises:
            UsageError: There is nothing in the words to look for.
        """
        return list(reversed(list(self._select(wanted, "ordinal <", "DESC", _END, limit))))

    def each(self, wanted: Wanted) -> Iterator[Said]:
        """Return all messages that are looked for, in the order of arrival, read in pages.

        Raises:
            UsageError: There is nothing in the words to look for.
        """
        after = 0
        while page := list(self._select(wanted, "ordinal >", "ASC", after, PAGE)):
            yield from page
            after = page[-1].ordinal

    def _select(self, wanted: Wanted, side: str, order: str, bound: int, limit: int) -> Iterator[Said]:
        words = "ordinal IN (SELECT rowid FROM message_text WHERE message_text MATCH ?) AND" if wanted.words else ""
        rows = self._db.rows(
            f"{_SELECT} WHERE {words} (? IS NULL OR peer = ?) AND stored_at >= ? AND stored_at < ? AND {side} ?"
            f" ORDER BY ordinal {order} LIMIT ?",
            *([expression(wanted.words)] if wanted.words else []),
            wanted.peer, wanted.peer, wanted.since, wanted.until, bound, limit,
        )  # fmt: skip
        return map(_said, rows)

    def _number(self, sql: str, *values: object) -> int:
        row = self._db.row(sql, *values)
        return int(row[0]) if row else 0


def last_way(archive: Archive, peer: str) -> tuple[Said, list[tuple[str, int]]]:
    """Return the newest own message to somebody, and how far it came when.

    Raises:
        UsageError: There is none.
    """
    said = archive.last_sent(peer)
    if said is None:
        message = f"you have not written to {peer}"
        raise UsageError(message, hint="/contacts lists whom you have met")
    return said, archive.steps(said)


def expression(words: str) -> str:
    """Return words as a query of FTS5: all of them, each as the beginning of a word; no letter in them is an operator.

    Raises:
        UsageError: There is no word.
    """
    if not any(letter.isalnum() for letter in words):
        message = "there is no word to look for"
        raise UsageError(message, hint="give at least one: letters or digits")
    quoted = words.replace('"', '""').replace("\0", " ")  # SQLite's texts end there
    return " ".join(f'"{word}"*' for word in quoted.split())


def day(text: str, *, after: int = 0) -> int:
    """Return when a day begins here, in seconds since 1970, or one so many days after it.

    Raises:
        UsageError: There is no such day.
    """
    try:
        return int((dt.datetime.fromisoformat(text) + dt.timedelta(days=after)).timestamp())
    except (ValueError, OverflowError, OSError):
        message = f"{text!a} is no day"
        raise UsageError(message, hint="write it so: 2026-12-31") from None


def _said(row: tuple[Any, ...]) -> Said:
    ordinal, peer, direction, message_id, text, timestamp, stored_at, state, code = row
    reason = Code(code) if code else None
    return Said(ordinal, peer, direction == "out", message_id, text, timestamp, stored_at, state, reason)
