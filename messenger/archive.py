"""What was said: read back by conversation, and found by its words. Nothing here changes anything."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from errors import Code, UsageError
from messenger.database import Database
from messenger.events import Quote
from messenger.history import quoted_of

PAGE: Final = 500  # messages read at once: an archive of any size is never in memory whole
OF_LATE: Final = 20  # own messages
MAX_WORDS: Final = 50  # in a search
_END: Final = 2**63 - 1  # above every ordinal and every time

_ORDER: Final = (
    "accepted",
    "signed",
    "fetched",
    "delivered",
    "read",
    "expired",
    "rejected",
    "identity-changed",
)  # within a second
_SELECT: Final = (
    "SELECT one.ordinal, one.peer, one.direction, one.id, one.text, one.timestamp, one.stored_at, one.state,"
    " one.reason, one.edited_at, one.deleted_at, one.expires_at, other.ordinal, other.direction, other.id, other.text,"
    " other.timestamp, mine.emoji, theirs.emoji"
    " FROM message AS one LEFT JOIN message AS other ON other.ordinal = one.about"
    " LEFT JOIN reaction AS mine ON mine.ordinal = one.ordinal AND mine.outgoing = 1"
    " LEFT JOIN reaction AS theirs ON theirs.ordinal = one.ordinal AND theirs.outgoing = 0"
    " WHERE one.kind = 'text' AND"
)


@dataclass(frozen=True, slots=True)
class Said:
    """A text that was written or came in."""

    number: int  # in the order of arrival; by it a person names it
    peer: str
    outgoing: bool
    id: bytes
    text: str  # as it is by now; empty when it was deleted
    timestamp: int  # by the sender's clock, seconds since 1970
    stored_at: int  # by ours
    state: str  # in: stored, shown, read; out: as in events.StateChanged, or queued
    reason: Code | None  # of a rejection
    edited: bool
    deleted: bool
    expires_at: int | None  # by our clock
    quote: Quote | None  # what it answers
    reactions: tuple[str, str]  # ours and theirs; empty for none

    @property
    def as_quote(self) -> Quote:
        """It, as something else is about it."""
        return Quote(self.number, self.outgoing, self.id, self.text, self.timestamp)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; an empty one is everything."""

    words: str | None = None  # each must stand in it, or begin a word that does; None: whatever stands there
    peer: str | None = None
    since: int = 0  # seconds since 1970, by our clock
    until: int = _END  # and before this


def wanted(words: str | None, peer: str | None, since: str | None, until: str | None) -> Wanted:
    """Return what is looked for, of days as people write them; None is no bound.

    Args:
        words: As in `Wanted`.
        peer: Whose conversation.
        since: The first day.
        until: The last.

    Raises:
        UsageError: There is no such day.
    """
    everything = Wanted()
    return Wanted(
        words,
        peer,
        everything.since if since is None else day(since),
        everything.until if until is None else day(until, after=1),
    )


class Archive:
    """Reads the table of messages."""

    def __init__(self, database: Database) -> None:
        """Read a database."""
        self._db = database

    def get(self, peer: str, number: int) -> Said | None:
        """Return the message of this number, if there is one in the conversation."""
        row = self._db.row(f"{_SELECT} one.ordinal = ? AND one.peer = ?", number, peer)
        return _said(row) if row else None

    def meant(self, peer: str, named: str | None, *, outgoing: bool) -> Said:
        """Return the message of a conversation that a person means: by number, with or without #, or by id.

        Args:
            peer: Whose conversation it is.
            named: How they name it; None for the last one.
            outgoing: Whether that is an own one; of two with the same id, too: the other side chooses its own.

        Raises:
            UsageError: There is none.
        """
        first, second = ("out", "in") if outgoing else ("in", "out")
        if named is None:
            said = self._last(peer, first)
        elif re.fullmatch("[0-9a-f]{32}", named):
            message_id = bytes.fromhex(named)
            said = self._by_id(peer, message_id, first) or self._by_id(peer, message_id, second)
        else:
            digits = re.fullmatch("#?([1-9][0-9]{0,17})", named)
            said = self.get(peer, int(digits[1])) if digits else None
        if said is None:
            message = "there is no such message yet" if named is None else f"there is no message {named} here"
            raise UsageError(message, hint="/history shows the numbers")
        return said

    def sent(self, peer: str, message_id: bytes) -> Said | None:
        """Return the own text of an id; None where it is not here, or changes another."""
        return self._by_id(peer, message_id, "out")

    def _by_id(self, peer: str, message_id: bytes, direction: str) -> Said | None:
        row = self._db.row(f"{_SELECT} one.direction = ? AND one.id = ? AND one.peer = ?", direction, message_id, peer)
        return _said(row) if row is not None else None

    def latest(self, peer: str, *, limit: int) -> list[Said]:
        """Return the last messages with somebody, in the order of arrival."""
        rows = self._db.rows(f"{_SELECT} one.peer = ? ORDER BY one.ordinal DESC LIMIT ?", peer, limit)
        return [_said(row) for row in reversed(rows)]

    def count(self, peer: str) -> int:
        """Return how many messages there are with somebody."""
        ((count,),) = self._db.rows("SELECT count(*) FROM message WHERE peer = ? AND kind = 'text'", peer)
        return int(count)

    def unread(self) -> dict[str, int]:
        """Return how many messages of each contact were stored and not read, by their names."""
        return dict(
            self._db.rows(
                "SELECT peer, count(*) FROM (SELECT peer FROM message WHERE state = 'stored' AND kind = 'text'"
                " UNION ALL SELECT peer FROM message WHERE state = 'shown' AND kind = 'text')"
                " GROUP BY peer ORDER BY peer"
            )
        )

    def last_sent(self, peer: str) -> Said | None:
        """Return the newest own message to somebody that was not deleted."""
        return self._last(peer, "out")

    def _last(self, peer: str, direction: str) -> Said | None:
        newest = self._newest(peer, direction, 1)
        return newest[0] if newest else None

    def _newest(self, peer: str, direction: str, limit: int) -> list[Said]:
        rows = self._db.rows(
            f"{_SELECT} one.peer = ? AND one.direction = ? AND one.deleted_at IS NULL"
            " ORDER BY one.ordinal DESC LIMIT ?",
            peer, direction, limit,
        )  # fmt: skip
        return [_said(row) for row in rows]

    def sent_lately(self, peer: str) -> list[Said]:
        """Return the newest own messages to somebody that were not deleted, the newest first."""
        return self._newest(peer, "out", OF_LATE)

    def last_way(self, peer: str) -> tuple[Said, list[tuple[str, int]]]:
        """Return the newest own message to somebody, and how far it came when.

        Raises:
            UsageError: There is none.
        """
        said = self.last_sent(peer)
        if said is None:
            message = f"you have not written to {peer}"
            raise UsageError(message, hint="/contacts lists whom you have met")
        return said, self.steps(said)

    def steps(self, said: Said) -> list[tuple[str, int]]:
        """Return the states that an own message has reached, and when, seconds since 1970 by our clock."""
        rows = self._db.rows("SELECT state, at FROM step WHERE ordinal = ?", said.number)
        return sorted([(state, at) for state, at in rows], key=lambda step: (step[1], _ORDER.index(step[0])))

    def proof(self, said: Said) -> bytes | None:
        """Return the server's signed word about an own message, canonical JSON, if it has given one."""
        row = self._db.row("SELECT acceptance FROM proof WHERE ordinal = ?", said.number)
        return row[0] if row else None

    def find(self, wanted: Wanted, *, limit: int) -> list[Said]:
        """Return the newest messages of those that are looked for, in the order of arrival.

        Raises:
            UsageError: There is nothing in the words to look for.
        """
        return list(reversed(self._select(wanted, "one.ordinal <", "DESC", _END, limit)))

    def each(self, wanted: Wanted) -> Iterator[Said]:
        """Return all messages that are looked for, in the order of arrival, read in pages.

        Raises:
            UsageError: There is nothing in the words to look for.
        """
        after = 0
        while page := self._select(wanted, "one.ordinal >", "ASC", after, PAGE):
            yield from page
            after = page[-1].number

    def _select(self, wanted: Wanted, side: str, order: str, bound: int, limit: int) -> list[Said]:
        matching: list[str] = []
        words = ""
        if wanted.words is not None:
            matching = [expression(wanted.words)]
            words = "one.ordinal IN (SELECT rowid FROM message_text WHERE message_text MATCH ?) AND"
        rows = self._db.rows(
            f"{_SELECT} {words} (? IS NULL OR one.peer = ?) AND one.stored_at >= ? AND one.stored_at < ? AND {side} ?"
            f" ORDER BY one.ordinal {order} LIMIT ?",
            *matching, wanted.peer, wanted.peer, wanted.since, wanted.until, bound, limit,
        )  # fmt: skip
        return [_said(row) for row in rows]


def expression(words: str) -> str:
    """Return words as a query of FTS5: all of them, each as the beginning of a word; no letter in them is an operator.

    Raises:
        UsageError: There is no word, or too many.
    """
    if not any(letter.isalnum() for letter in words):
        message = "there is no word to look for"
        raise UsageError(message, hint="give at least one: letters or digits")
    if len(words.split()) > MAX_WORDS:
        message = f"that is more than {MAX_WORDS} words"
        raise UsageError(message, hint="look for some of them")
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
        message = f"{text!r} is no day"
        raise UsageError(message, hint="write it so: 2026-12-31") from None


def _said(row: tuple[Any, ...]) -> Said:
    number, peer, direction, message_id, text, timestamp, stored_at, state, code, *more = row
    edited_at, deleted_at, expires_at, *quoted, mine, theirs = more
    return Said(
        number,
        peer,
        direction == "out",
        message_id,
        text,
        timestamp,
        stored_at,
        state,
        Code(code) if code else None,
        edited=edited_at is not None,
        deleted=deleted_at is not None,
        expires_at=expires_at,
        quote=quoted_of(quoted),
        reactions=(mine or "", theirs or ""),
    )
