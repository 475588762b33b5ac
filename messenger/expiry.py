"""Messages whose time is over: those that disappear for both sides, and those that a conversation keeps no longer."""

from __future__ import annotations

from typing import Final

from messenger.changes import Changes
from messenger.database import Database

BATCH: Final = 500  # messages removed in one transaction, so that a person does not wait for it

_OUT: Final = (
    "NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.id = message.id AND direction = 'out')"  # it stays until then
)
_DUE: Final = f"FROM message WHERE expires_at <= ? AND {_OUT}"


class Expiry:
    """Removes messages. Every change runs inside the caller's transaction."""

    def __init__(self, database: Database, changes: Changes) -> None:
        """Work on a database."""
        self._db = database
        self._changes = changes

    def is_due(self, *, now: int) -> bool:
        """Tell whether something disappears by now."""
        return self._db.row(f"SELECT 1 {_DUE}", now) is not None

    def disappear(self, *, now: int) -> dict[str, int]:
        """Remove some of what disappears by now.

        Returns:
            How many texts of each contact.
        """
        removed: dict[str, int] = {}
        for ordinal, peer in self._db.rows(f"SELECT ordinal, peer {_DUE} LIMIT ?", now, BATCH):
            self._changes.forget(ordinal)
            removed[peer] = removed.get(peer, 0) + 1
        return removed

    def tidy(self, *, now: int) -> bool:
        """Remove some of what is older than what its conversation keeps; what is unread or not sent yet stays.

        Returns:
            Whether there may be more.
        """
        is_more = False
        for peer, kept_s in self._db.rows("SELECT peer, kept_s FROM conversation WHERE kept_s > 0"):
            rows = self._db.rows(
                "SELECT ordinal FROM message WHERE peer = ? AND stored_at <= ?"  # noqa: S608 - constants
                f" AND state NOT IN ('stored', 'shown') AND {_OUT} ORDER BY ordinal LIMIT ?",
                peer, now - kept_s, BATCH,
            )  # fmt: skip
            for (ordinal,) in rows:
                self._changes.forget(ordinal)
            is_more |= len(rows) == BATCH
        return is_more
