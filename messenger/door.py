"""Who is let in: strangers hear nothing of their messages until they are, and nothing is seen of who is blocked."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from errors import UsageError
from messenger.database import Database


class Standing(StrEnum):
    """What a contact is to this account."""

    REQUEST = "request"  # has written, and was neither written to nor allowed
    KNOWN = "known"
    BLOCKED = "blocked"


_SELECT: Final = (
    "SELECT user_id, CASE WHEN blocked THEN 'blocked' WHEN allowed OR coalesce(written_to, 0) THEN 'known'"
    " ELSE 'request' END FROM contact LEFT JOIN conversation ON peer = user_id"
)


class Door:
    """Keeps the door. Every change runs inside the caller's transaction."""

    def __init__(self, database: Database, *, ajar: bool) -> None:
        """Work on a database; `ajar` lets everybody in who is not blocked."""
        self._db = database
        self._ajar = ajar

    def of(self, user_id: str) -> Standing:
        """Return what somebody is to us; who was never met is a stranger."""
        row = self._db.row(f"{_SELECT} WHERE user_id = ?", user_id)
        return self._named(row[1] if row else Standing.REQUEST)

    def all(self) -> dict[str, Standing]:
        """Return what every contact is, by their names."""
        return {user_id: self._named(standing) for user_id, standing in self._db.rows(_SELECT)}

    def _named(self, standing: str) -> Standing:
        return Standing.KNOWN if self._ajar and standing == Standing.REQUEST else Standing(standing)

    def allow(self, user_id: str) -> None:
        """Let a contact in.

        Raises:
            UsageError: They are none.
        """
        self._set(user_id, "allowed = 1, blocked = 0")

    def note_written(self, user_id: str) -> None:
        """Let somebody in because the person writes to them, who may not have been met yet."""
        self._db.run(
            "INSERT INTO conversation (peer, written_to) VALUES (?, 1) ON CONFLICT (peer) DO UPDATE SET written_to = 1",
            user_id,
        )

    def block(self, user_id: str) -> None:
        """See nothing of a contact any more.

        Raises:
            UsageError: They are none.
        """
        self._set(user_id, "blocked = 1")

    def _set(self, user_id: str, what: str) -> None:
        if not self._db.run(f"UPDATE contact SET {what} WHERE user_id = ?", user_id):  # noqa: S608 - a constant
            message = f"{user_id} is no contact"
            raise UsageError(message, hint="/contacts lists those who are")
