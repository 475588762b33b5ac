"""The key log as far as it was read, what contacts have said of it, and whether the server is still believed."""

from __future__ import annotations

from typing import Final

from crypto_utils import RSAPublicKey, load_rsa_public_der
from key_log import EMPTY, State
from log_tables import LogTables
from messenger.database import Database
from records import LogEntry, TreeHead

_TABLES: Final = ("log_entry", "log_node", "log_state", "log_claim")


class LogReplica(LogTables):
    """The tables of the log, and what is thought of it. Every change runs inside the caller's transaction."""

    def __init__(self, database: Database) -> None:
        """Work on a database."""
        super().__init__(database.rows, database.rows)
        self._db = database

    # ------------------------------------------------------------ the state

    @property
    def key(self) -> bytes | None:
        """The log's key, SubjectPublicKeyInfo; None before the first login."""
        row = self._db.row("SELECT key FROM log_state")
        return row[0] if row else None

    @property
    def public_key(self) -> RSAPublicKey:
        """The log's key, once there is one."""
        key = self.key
        assert key is not None  # noqa: S101 - it comes with the login
        return load_rsa_public_der(key)

    @property
    def known(self) -> State:
        """Size and root of the log, as the server has signed it last."""
        row = self._db.row("SELECT size, root FROM log_state")
        return (row[0], row[1]) if row else EMPTY

    @property
    def signed_at(self) -> int:
        """When the server has signed that, seconds since 1970 by its clock; 0: never."""
        row = self._db.row("SELECT timestamp FROM log_state")
        return row[0] if row else 0

    @property
    def alarm(self) -> str | None:
        """Why the server is not believed any more, or None: it is."""
        row = self._db.row("SELECT alarm FROM log_state")
        return row[0] if row else None

    def begin(self, key: bytes) -> None:
        """Begin with a log of which nothing is known but its key."""
        self._db.run(
            "INSERT INTO log_state (only_row, key, size, root, timestamp, checked) VALUES (1, ?, ?, ?, 0, 0)",
            key, *EMPTY,
        )  # fmt: skip

    def remember(self, head: TreeHead) -> None:
        """Remember a head that was verified."""
        self._db.run("UPDATE log_state SET size = ?, root = ?, timestamp = ?", head.size, head.root, head.timestamp)

    def raise_alarm(self, reason: str) -> bool:
        """Believe the server no more; return whether that is news."""
        return bool(self._db.run("UPDATE log_state SET alarm = ? WHERE alarm IS NULL", reason))

    def forget(self) -> None:
        """Begin anew at the next login: the person's decision."""
        for table in _TABLES:
            self._db.run(f"DELETE FROM {table}")  # noqa: S608 - constants
        self._db.run("UPDATE contact SET log_index = NULL")  # another log has others

    # ------------------------------------------------------------ the entries

    def take_unchecked(self) -> list[LogEntry]:
        """Return, once, the entries that were not looked at."""
        row = self._db.row("SELECT checked FROM log_state")
        assert row is not None  # noqa: S101 - entries come after the key
        self._db.run("UPDATE log_state SET checked = ?", self.size)
        return self.entries(start=row[0], limit=self.size)

    # ------------------------------------------------------------ own identities

    def add_own(self, hashes: list[bytes]) -> None:
        """Remember identities of this account."""
        for each in hashes:
            self._db.run("INSERT OR IGNORE INTO own_identity VALUES (?)", each)

    def is_own(self, identity_hash: bytes) -> bool:
        """Return whether an identity is known to be this account's."""
        return self._db.row("SELECT 1 FROM own_identity WHERE identity_hash = ?", identity_hash) is not None

    # ------------------------------------------------------------ what contacts say

    def claim(self, peer: str, state: State) -> None:
        """Remember a state of the log that a contact has named and that cannot be compared yet; the largest counts."""
        self._db.run(
            "INSERT INTO log_claim (peer, size, root, asked, agrees) VALUES (?, ?, ?, 0, NULL)"
            " ON CONFLICT (peer) DO UPDATE SET size = excluded.size, root = excluded.root, asked = 0, agrees = NULL"
            " WHERE agrees IS NOT 0 AND excluded.size > size",
            peer, *state,
        )  # fmt: skip

    def note_asked(self) -> None:
        """Note that the server is asked for its log: what it answers must go as far as contacts know it."""
        self._db.run("UPDATE log_claim SET asked = 1 WHERE agrees IS NULL")

    def open_claims(self) -> list[tuple[str, State, bool]]:
        """Return what contacts have named and was not compared: who, what, and whether the server was asked since."""
        rows = self._db.rows("SELECT peer, size, root, asked FROM log_claim WHERE agrees IS NULL ORDER BY peer")
        return [(peer, (size, root), bool(asked)) for peer, size, root, asked in rows]

    def settle_claim(self, peer: str, state: State, *, agrees: bool) -> bool:
        """Note whether a contact knows the same log, and return whether that is news.

        That it does not stays so. That it does says nothing of a larger state that it has named and that is open.
        """
        return bool(
            self._db.run(
                "INSERT INTO log_claim (peer, size, root, asked, agrees) VALUES (?, ?, ?, 0, ?)"
                " ON CONFLICT (peer) DO UPDATE SET size = excluded.size, root = excluded.root, agrees = excluded.agrees"
                " WHERE agrees IS NOT 0 AND (excluded.agrees = 0 OR agrees = 1 OR excluded.size >= size)",
                peer, *state, int(agrees),
            )
        )  # fmt: skip

    def settled_claims(self) -> list[tuple[str, bool]]:
        """Return the contacts whose word was compared, and whether they know the same log."""
        rows = self._db.rows("SELECT peer, agrees FROM log_claim WHERE agrees IS NOT NULL ORDER BY peer")
        return [(peer, bool(agrees)) for peer, agrees in rows]
