"""The relay's store in one SQLite file: WAL, and on disk when a transaction ends."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from relay.storage import Address, Stored, Waiting
from sql_file import SqlFile

SCHEMA: Final = Path(__file__).with_name("schema")


class SqliteStore(SqlFile):
    """A store in a file. One thread uses it."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            StorageError: It cannot be opened or written, is damaged, or was written by a newer program.
        """
        super().__init__(path, SCHEMA, sqlite3)

    # ------------------------------------------------------------ accounts and the key directory

    def count_accounts(self) -> int:
        """Return how many accounts there are."""
        return int(self._db.execute("SELECT count(*) FROM account").fetchone()[0])

    def create_account(self, user_id: str, *, created_at: int) -> None:
        """Add an account with its first device, number 1."""
        self._db.execute("INSERT INTO account (user_id, created_at) VALUES (?, ?)", (user_id, created_at))
        self._db.execute("INSERT INTO device (user_id, device_id, created_at) VALUES (?, 1, ?)", (user_id, created_at))

    def devices(self, user_id: str) -> list[int]:
        """Return the devices of an account, ascending."""
        rows = self._db.execute("SELECT device_id FROM device WHERE user_id = ? ORDER BY device_id", (user_id,))
        return [device_id for (device_id,) in rows]

    def append_identity(
        self, user_id: str, epoch: int, identity_hash: bytes, record: bytes, *, recorded_at: int
    ) -> None:
        """Add an identity record to the log."""
        self._db.execute(
            "INSERT INTO identity_log (user_id, epoch, identity_hash, record, recorded_at) VALUES (?, ?, ?, ?, ?)",
            (user_id, epoch, identity_hash, record, recorded_at),
        )

    def identity_hash(self, user_id: str) -> bytes | None:
        """Return the hash of an account's current identity record."""
        return self._newest("identity_hash", user_id)

    def identity_record(self, user_id: str) -> bytes | None:
        """Return an account's current identity record."""
        return self._newest("record", user_id)

    def _newest(self, column: str, user_id: str) -> bytes | None:
        row = self._db.execute(
            f"SELECT {column} FROM identity_log WHERE user_id = ? ORDER BY epoch DESC LIMIT 1",  # noqa: S608 - two constants
            (user_id,),
        ).fetchone()
        return row[0] if row else None

    def code_failures(self, user_id: str) -> int:
        """Return how many wrong verification codes a number has had."""
        row = self._db.execute("SELECT failures FROM code_failure WHERE user_id = ?", (user_id,)).fetchone()
        return row[0] if row else 0

    def add_code_failure(self, user_id: str) -> None:
        """Count a wrong verification code."""
        self._db.execute(
            "INSERT INTO code_failure (user_id, failures) VALUES (?, 1)"
            " ON CONFLICT (user_id) DO UPDATE SET failures = failures + 1",
            (user_id,),
        )

    # ------------------------------------------------------------ mailboxes

    def accepted(self, sender_id: str, envelope_id: bytes) -> Stored | None:
        """Return what is known of an envelope that was accepted."""
        row = self._db.execute(
            "SELECT digest, received_at FROM mailbox WHERE sender_id = ? AND envelope_id = ? LIMIT 1",
            (sender_id, envelope_id),
        ).fetchone()
        return Stored(*row) if row else None

    def put(  # noqa: PLR0913 - a row has as many columns
        self, to: Address, sender_id: str, envelope_id: bytes, envelope: bytes, digest: bytes, *, received_at: int
    ) -> int:
        """Add an envelope to a mailbox and return its sequence."""
        cursor = self._db.execute(
            "INSERT INTO mailbox (recipient_id, device_id, sender_id, envelope_id, digest, received_at, envelope)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*to, sender_id, envelope_id, digest, received_at, envelope),
        )
        return int(cursor.lastrowid or 0)

    def pending(self, address: Address, *, after: int, limit: int, size: int) -> list[Waiting]:
        """Return what waits in a mailbox above a sequence, in order."""
        rows = self._db.execute(
            "SELECT sequence, envelope FROM mailbox WHERE recipient_id = ? AND device_id = ? AND sequence > ?"
            " AND envelope IS NOT NULL ORDER BY sequence LIMIT ?",
            (*address, after, limit),
        )
        waiting: list[Waiting] = []
        for row in rows:  # read one by one: the rest of a large page stays on disk
            waiting.append(Waiting(*row))
            size -= len(waiting[-1].envelope)
            if size <= 0:
                break
        return waiting

    def count_pending(self, address: Address, *, limit: int, sender_id: str | None = None) -> int:
        """Return how many envelopes wait (from one sender), counting no further than `limit`."""
        row = self._db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM mailbox INDEXED BY mailbox_pending WHERE recipient_id = ?1"
            " AND device_id = ?2 AND envelope IS NOT NULL AND (?3 IS NULL OR sender_id = ?3) LIMIT ?4)",
            (*address, sender_id, limit),
        ).fetchone()
        return int(row[0])

    def acknowledge(self, address: Address, sequences: list[int]) -> None:
        """Forget the contents of envelopes in this mailbox."""
        self._db.executemany(
            "UPDATE mailbox SET envelope = NULL WHERE sequence = ? AND recipient_id = ? AND device_id = ?",
            [(sequence, *address) for sequence in sequences],
        )

    def expire(self, *, before: int, limit: int) -> int:
        """Remove at most `limit` of the oldest envelopes received before a time."""
        cursor = self._db.execute(
            "DELETE FROM mailbox WHERE sequence IN"
            " (SELECT sequence FROM mailbox WHERE received_at < ? ORDER BY received_at LIMIT ?)",
            (before, limit),
        )
        return int(cursor.rowcount)

    def note_written(self, writer: str, reader: str) -> None:
        """Remember that one account has written to another."""
        self._db.execute("INSERT OR IGNORE INTO acquaintance (writer, reader) VALUES (?, ?)", (writer, reader))

    def has_written(self, writer: str, reader: str) -> bool:
        """Return whether one account has ever written to another."""
        row = self._db.execute(
            "SELECT 1 FROM acquaintance WHERE writer = ? AND reader = ?", (writer, reader)
        ).fetchone()
        return row is not None
