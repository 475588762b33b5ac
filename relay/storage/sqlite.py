"""The relay's store in one SQLite file: WAL, and on disk when a transaction ends.

Each step of a statement lets another thread have the interpreter, which may then keep it for milliseconds. So
envelopes that come and go are collected and written in few large statements, at the latest when the transaction ends.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from log_tables import LogTables
from protocol import Row
from records import KEY_ID_SIZE
from relay.storage import Account, Address, Arrival, Page, Stored, Waiting
from relay.storage.mailbox_table import Batch, MailboxTable
from relay.storage.prekey_table import PrekeyTable
from relay.storage.spared import Spared
from relay.storage.sqlite_rows import erasures, rows_of
from sql_file import SqlFile

SCHEMA: Final = Path(__file__).with_name("schema")
PAGE_SIZE: Final = 8 * 1024  # bytes, in files made from now on: each page of the log takes two calls of the system
WAL_SIZE: Final = 64 * 1024 * 1024  # bytes: a page that is written again and again is copied into the database once
CACHE_SIZE: Final = 8 * 1024 * 1024  # bytes: holds what a group writes, or some of it would be written twice
SETTINGS: Final = (
    f"PRAGMA page_size = {PAGE_SIZE}",
    f"PRAGMA wal_autocheckpoint = {WAL_SIZE // PAGE_SIZE}",
    f"PRAGMA cache_size = -{CACHE_SIZE // 1024}",
    "PRAGMA secure_delete = ON",  # what is removed is overwritten, and not only let go of
)
MAX_REMEMBERED: Final = 100_000  # accounts, and acquaintances: some 30 MB


class Remembered:
    """What was read and is asked for with every envelope: accounts, and who has written to whom."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.accounts: dict[str, Account] = {}
        self.written: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Start anew."""
        self.accounts.clear()
        self.written.clear()

    def make_room(self) -> None:
        """Start anew where it has become too much; it is soon read again."""
        if max(len(self.accounts), len(self.written)) > MAX_REMEMBERED:
            self.forget()


class SqliteStore(SqlFile):
    """A store in a file. One thread at a time uses it."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            StorageError: It cannot be opened or written, is damaged, or was written by a newer program.
        """
        self._sequence: int | None = None  # the highest that was ever given out
        self._put: list[Batch] = []  # what is yet to be written
        self._spared = Spared()
        self._gone: defaultdict[Address, set[int]] = defaultdict(set)  # sequences that are yet to be emptied
        self._erased = False  # since the last commit
        self._remembered = Remembered()
        self._highest_ids: dict[str, bytes] = {}  # by their sender; higher than that is new
        self._highest_forgotten = b""  # of all senders who are not in there any more
        super().__init__(path, SCHEMA, sqlite3, first=SETTINGS)
        self.log = LogTables(self._query, self._change)
        self.prekeys = PrekeyTable(self._query, self._change)
        self._mailboxes = MailboxTable(self._query, self._change)

    @property
    def unwritten(self) -> bool:
        """Whether there is anything for a commit to write, apart from what is spared."""
        return bool(self._put or self._gone or self._db.in_transaction)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Let something happen; when it fails, nothing since the last commit has happened.

        Raises:
            StorageError: The store has failed.
        """
        try:
            yield
        except BaseException as error:
            self._undo()
            if isinstance(error, sqlite3.Error):
                raise self._failure("write", error) from error
            raise

    def _undo(self) -> None:
        with suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")
        self._remembered.forget()  # some of it may never have been written
        self._mailboxes.forget()
        for collected in (self._put, self._spared, self._gone):
            collected.clear()

    def commit(self, *, spared: bool) -> None:
        """Bring all since the last commit to disk, also what was spared or not; goes into an `attempt`."""
        if spared:
            self._keep_all()
        self._write_out()
        if self._db.in_transaction:
            self._db.execute("COMMIT")
        if self._erased:  # the log holds copies of the pages as they were
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._erased = False
        self._remembered.make_room()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that happens inside, or nothing of it.

        Raises:
            StorageError: It could not be committed.
        """
        with self.attempt():
            yield
            self.commit(spared=True)

    def _query(self, query: str, *values: object) -> sqlite3.Cursor:
        return self._db.execute(query, values)  # type: ignore[no-any-return]

    def _change(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._write(statement, values)

    def _write(self, statement: str, values: Sequence[Any] | Mapping[str, Any]) -> sqlite3.Cursor:
        """Change something; the first change since a commit begins a transaction."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")  # not plain BEGIN: that fails at once when it turns to writing
        cursor: sqlite3.Cursor = self._db.execute(statement, values)
        return cursor

    def _write_out(self) -> None:
        """Write what was collected, before somebody looks at what is there."""
        self._write_put()
        for address, sequences in self._gone.items():
            self._mailboxes.empty(address, sequences)
        self._gone.clear()

    def _write_put(self) -> None:
        """Write what came; what has gone since can be left out by whoever looks."""
        if self._put:
            self._mailboxes.insert(self._put)
            self._put.clear()

    # ------------------------------------------------------------ accounts and the key directory

    def count_accounts(self) -> int:
        """Return how many accounts there are."""
        return int(self._db.execute("SELECT count(*) FROM account").fetchone()[0])

    def create_account(self, user_id: str, *, created_at: int) -> None:
        """Add an account with its first device, number 1."""
        self._remembered.forget()
        self._write("INSERT INTO account (user_id, created_at) VALUES (?, ?)", (user_id, created_at))
        self._write("INSERT INTO device (user_id, device_id, created_at) VALUES (?, 1, ?)", (user_id, created_at))

    def account(self, user_id: str) -> Account | None:
        """Return an account, or None when there is none."""
        account = self._remembered.accounts.get(user_id)
        if account is None:
            account = self._read_account(user_id)
            if account is not None:  # names that are nobody's come from outside, in any number
                self._remembered.accounts[user_id] = account
        return account

    def _read_account(self, user_id: str) -> Account | None:
        rows = self._db.execute("SELECT device_id FROM device WHERE user_id = ? ORDER BY device_id", (user_id,))
        mailboxes = tuple(Address(user_id, device_id) for (device_id,) in rows)
        identity_hash = (self._newest("identity_hash", user_id) if self.revocation(user_id) is None else None) or b""
        return Account(identity_hash[:KEY_ID_SIZE], mailboxes) if mailboxes else None

    def append_identity(
        self, user_id: str, epoch: int, identity_hash: bytes, record: bytes, *, recorded_at: int
    ) -> None:
        """Add an identity record."""
        self._remembered.forget()
        self._write(
            "INSERT INTO identity (user_id, epoch, identity_hash, record, recorded_at) VALUES (?, ?, ?, ?, ?)",
            (user_id, epoch, identity_hash, record, recorded_at),
        )

    def identities(self) -> Iterator[bytes]:
        """Return all identity records, in the order in which they came."""
        for (record,) in self._db.execute("SELECT record FROM identity ORDER BY rowid"):
            yield record

    def revocations(self) -> Iterator[bytes]:
        """Return all certificates that ended accounts."""
        for (certificate,) in self._db.execute("SELECT certificate FROM revocation ORDER BY revoked_at, user_id"):
            yield certificate

    def identity_record(self, user_id: str) -> bytes | None:
        """Return an account's current identity record."""
        return self._newest("record", user_id)

    def identity_records(self, user_id: str, *, epoch: int, limit: int) -> list[bytes]:
        """Return an account's identity records from an epoch on."""
        rows = self._db.execute(
            "SELECT record FROM identity WHERE user_id = ? AND epoch >= ? ORDER BY epoch LIMIT ?",
            (user_id, epoch, limit),
        )
        return [record for (record,) in rows]

    def identity_with_hash(self, user_id: str, identity_hash: bytes) -> bytes | None:
        """Return that of an account's identity records whose hash this is."""
        row = self._db.execute(
            "SELECT record FROM identity WHERE user_id = ? AND identity_hash = ?", (user_id, identity_hash)
        ).fetchone()
        return row[0] if row else None

    def revocation(self, user_id: str) -> bytes | None:
        """Return the certificate that ended an account."""
        row = self._db.execute("SELECT certificate FROM revocation WHERE user_id = ?", (user_id,)).fetchone()
        return row[0] if row else None

    def add_revocation(self, user_id: str, certificate: bytes, *, revoked_at: int) -> None:
        """End an account."""
        self._remembered.forget()
        self._write("INSERT INTO revocation VALUES (?, ?, ?)", (user_id, certificate, revoked_at))

    def _newest(self, column: str, user_id: str) -> bytes | None:
        row = self._db.execute(
            f"SELECT {column} FROM identity WHERE user_id = ? ORDER BY epoch DESC LIMIT 1",  # noqa: S608 - two constants
            (user_id,),
        ).fetchone()
        return row[0] if row else None

    def code_failures(self, user_id: str) -> int:
        """Return how many wrong verification codes a number has had."""
        row = self._db.execute("SELECT failures FROM code_failure WHERE user_id = ?", (user_id,)).fetchone()
        return row[0] if row else 0

    def add_code_failure(self, user_id: str) -> None:
        """Count a wrong verification code."""
        self._write(
            "INSERT INTO code_failure (user_id, failures) VALUES (?, 1)"
            " ON CONFLICT (user_id) DO UPDATE SET failures = failures + 1",
            (user_id,),
        )

    # ------------------------------------------------------------ what is held of an account

    def rows(self, user_id: str, log_index: bytes, page: Page, *, limit: int) -> tuple[list[Row], Page]:
        """Return at most so many of the rows that an account is named in, and where the next page begins."""
        self._keep_all()
        self._write_out()
        return rows_of(self._db, {"user_id": user_id, "log_index": log_index}, page, limit)

    def erase(self, user_id: str) -> int:
        """Remove all rows that name an account, but for the key log's; return how many they were."""
        self._keep_all()
        self._write_out()
        gone = sum(self._write(statement, values).rowcount for statement, values in erasures(user_id))
        self._erased = True
        self._remembered.forget()
        self._highest_ids.pop(user_id, None)
        self._spared.forget(user_id)
        return gone

    # ------------------------------------------------------------ mailboxes

    def accepted(self, sender_id: str, envelope_ids: list[bytes]) -> dict[bytes, Stored]:
        """Return what is known of those of a sender's envelopes that were accepted.

        Ids of one sender mostly grow (docs/PROTOCOL.md section 6.1): what is above all others needs no look-up.
        """
        highest = self._highest_id(sender_id)
        if min(envelope_ids) > highest:
            return {}
        self._write_put()
        found = {each: self._look_up(sender_id, each) for each in envelope_ids if each <= highest}
        return {each: stored for each, stored in found.items() if stored is not None}

    def _look_up(self, sender_id: str, envelope_id: bytes) -> Stored | None:
        return self._spared.find(sender_id, envelope_id) or self._mailboxes.stored(sender_id, envelope_id)

    def is_waiting(self, sender_id: str, envelope_id: bytes) -> bool:
        """Return whether a sender's envelope waits in a mailbox."""
        self._write_out()
        return self._spared.holds(sender_id, envelope_id) or self._mailboxes.is_waiting(sender_id, envelope_id)

    def _highest_id(self, sender_id: str) -> bytes:
        highest = self._highest_ids.get(sender_id)
        if highest is None:
            if len(self._highest_ids) >= MAX_REMEMBERED:  # first: each that is remembered is above what was forgotten
                self._highest_forgotten = max(self._highest_ids.values())
                self._highest_ids.clear()
            # some of what it is the highest of was never written
            highest = max(self._mailboxes.highest_id(sender_id), self._highest_forgotten)
            self._highest_ids[sender_id] = highest
        return highest

    def put(self, to: Address, sender_id: str, arrivals: list[Arrival], *, at: int, spared: int = 0) -> range:
        """Add envelopes to a mailbox, the first of them for now only in memory, and return their sequences."""
        first = (self._mailboxes.last_sequence() if self._sequence is None else self._sequence) + 1
        batch = Batch(to, sender_id, at, first, arrivals)
        self._sequence = batch.end - 1  # never given out again, not even when this transaction fails
        if spared:
            self._spared.add(batch.part(0, spared))
        if spared < len(arrivals):
            self._collect(batch.part(spared, len(arrivals)))
        self._highest_ids[sender_id] = max(self._highest_id(sender_id), *batch.ids)
        return batch.sequences

    def _collect(self, new: Batch) -> None:
        """Write envelopes with the next commit, and with those that come directly before them."""
        last = self._put[-1] if self._put else None
        if last is not None and last.is_continued_by(new):
            last.arrivals += new.arrivals
        else:
            self._put.append(new)

    def keep(self, mailbox: Address) -> None:
        """Spare what is in a mailbox no longer: the next commit writes it."""
        for batch in self._spared.take(mailbox):
            self._collect(batch)

    def _keep_all(self) -> None:
        for batch in self._spared.take_all():
            self._collect(batch)

    def pending(self, address: Address, *, after: int, limit: int, size: int) -> list[Waiting]:
        """Return what waits in a mailbox above a sequence, in order."""
        self._write_put()
        return self._mailboxes.pending(
            address, after=after, limit=limit, size=size, gone=self._gone.get(address, set())
        )

    def count_pending(self, address: Address, *, limit: int, sender_id: str | None = None) -> int:
        """Return how many envelopes wait (from one sender), counting no further than `limit`."""
        self._write_out()
        written = self._mailboxes.count(address, limit=limit, sender_id=sender_id)
        return min(limit, written + self._spared.count(address, sender_id))

    def acknowledge(self, address: Address, sequences: list[int]) -> None:
        """Forget the contents of envelopes in this mailbox; those that are spared are never written."""
        written = self._spared.drop(address, sequences)
        if written:
            self._gone[address] |= written

    def expire(self, *, before: int, limit: int) -> int:
        """Remove envelopes received before a time, the oldest first, at most `limit` rows."""
        self._write_out()
        gone = self._mailboxes.expire(before=before, limit=limit)
        if gone:  # what is gone may come again
            self._spared.expire(before)
        return gone

    def note_written(self, writer: str, reader: str) -> None:
        """Remember that one account has written to another."""
        if (writer, reader) not in self._remembered.written:
            self._write("INSERT OR IGNORE INTO acquaintance (writer, reader) VALUES (?, ?)", (writer, reader))
            self._remembered.written.add((writer, reader))

    def has_written(self, writer: str, reader: str) -> bool:
        """Return whether one account has ever written to another."""
        if (writer, reader) in self._remembered.written:
            return True
        row = self._db.execute(
            "SELECT 1 FROM acquaintance WHERE writer = ? AND reader = ?", (writer, reader)
        ).fetchone()
        if row is not None:
            self._remembered.written.add((writer, reader))
        return row is not None
