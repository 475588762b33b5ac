"""What is particular to the SQLite file."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from errors import ExitCode, StorageError
from records import LogEntry
from relay.storage import Account, Address, Stored, Waiting
from relay.storage.sqlite import SCHEMA, SqliteStore
from tests.relay.storage.old_files import make_old, old_row
from tests.relay.world import known, put_one

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "relay.db"


def test_a_commit_is_on_disk_when_it_returns(path: Path) -> None:
    """R-02: every connection reports synchronous=2 (FULL) and WAL."""
    store = SqliteStore(path)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert path.stat().st_mode & 0o077 == 0
    store.close()


def test_every_table_is_strict(path: Path) -> None:
    store = SqliteStore(path)
    tables = store._db.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'").fetchall()
    assert {strict for name, strict in tables if not name.startswith("sqlite_")} == {1}
    store.close()


@pytest.mark.parametrize("name", ["relay.db", "relay.db-wal", "relay.db-shm"])
def test_nobody_else_may_read_the_file_or_what_stands_beside_it(path: Path, name: str) -> None:
    store = SqliteStore(path)
    assert path.with_name(name).stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM log_entry",
        "UPDATE log_entry SET kind = 'x'",
        "REPLACE INTO log_entry VALUES (0, x'', 'x', x'')",
        "INSERT INTO log_entry VALUES (7, x'', 'x', x'')",
        "INSERT INTO log_entry VALUES (0, x'', 'x', x'') ON CONFLICT DO UPDATE SET value = x''",
    ],
)
def test_the_key_log_only_grows(path: Path, statement: str) -> None:
    store = SqliteStore(path)
    with store.transaction():
        store.log.append([LogEntry(index=bytes(32), kind="identity", value=bytes(32))])
    with pytest.raises(StorageError, match="append-only"), store.transaction():
        store._db.execute(statement)
    assert store.log.entries(start=0, limit=9) == [LogEntry(index=bytes(32), kind="identity", value=bytes(32))]
    store.close()


def test_no_statement_looks_through_the_mailboxes_of_everybody(path: Path) -> None:
    """Time must not grow with what lies in the database: each statement finds its rows by an index."""
    store = SqliteStore(path)
    statements: list[str] = []
    bob = Address("bob", 1)
    put_one(store, bob, "carol", bytes(16), b"{}", Stored(bytes(32), 1))  # the first asks where the sequence stands
    store._db.set_trace_callback(statements.append)
    for count in (1, 100):
        store.acknowledge(bob, list(range(count)))
    store.pending(bob, after=0, limit=1, size=1)
    store.count_pending(bob, limit=1)
    store.count_pending(bob, limit=1, sender_id="alice")
    store.expire(before=1, limit=1)
    known(store, "alice", bytes(16))
    put_one(store, bob, "alice", b"\xff" * 16, b"{}", Stored(bytes(32), 1))
    known(store, "alice", bytes(16))
    store.is_waiting("alice", b"\xff" * 16)
    store.account("bob")
    store.code_failures("bob")
    store.has_written("bob", "alice")
    store._db.set_trace_callback(None)
    assert len(statements) > 10
    for statement in statements:
        if statement == "BEGIN IMMEDIATE":
            continue
        plan = [row[3] for row in store._db.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert not [step for step in plan if step.startswith("SCAN") and not re.search("subquery|json_each", step)], (
            statement
        )
    store.close()


def test_reopening_keeps_everything(path: Path) -> None:
    store = SqliteStore(path)
    with store.transaction():
        store.create_account("alice", created_at=1)
        store.append_identity("alice", 1, b"h" * 32, b"{}", recorded_at=1)
        store.add_code_failure("bob")
        store.note_written("alice", "bob")
        kept = put_one(store, Address("bob", 1), "alice", bytes(16), b"kept", Stored(bytes(32), 1))
        gone = put_one(store, Address("bob", 1), "alice", b"2" * 16, b"gone", Stored(bytes(32), 1))
    with store.transaction():
        store.acknowledge(Address("bob", 1), [gone])
    store.close()
    store = SqliteStore(path)
    assert store.account("alice") == Account(b"h" * 16, (Address("alice", 1),))
    assert (store.count_accounts(), store.identity_record("alice")) == (1, b"{}")
    assert (store.code_failures("bob"), store.has_written("alice", "bob")) == (1, True)
    assert store.pending(Address("bob", 1), after=0, limit=9, size=99) == [Waiting(kept, b"kept")]
    assert known(store, "alice", b"2" * 16) == Stored(bytes(32), 1)
    store.close()


def test_what_is_acknowledged_before_the_commit_is_never_written(path: Path) -> None:
    store = SqliteStore(path)
    bob = Address("bob", 1)
    with store.transaction():
        sequences = [
            put_one(store, bob, "alice", bytes([n]) * 16, b"x", Stored(bytes(32), 1), spared=True) for n in range(100)
        ]
        store.acknowledge(Address("carol", 1), sequences)  # not hers
        store.acknowledge(bob, sequences[1:])
    assert store._db.execute("SELECT sequence, envelopes FROM mailbox").fetchall() == [(sequences[0], b"x")]
    assert known(store, "alice", bytes([7]) * 16) == Stored(bytes(32), 1)  # sent again, it is known
    with pytest.raises(ZeroDivisionError), store.transaction():
        lost = put_one(store, bob, "alice", b"l" * 16, b"x", Stored(bytes(32), 1), spared=True)
        store.acknowledge(bob, [lost])
        raise ZeroDivisionError
    assert known(store, "alice", b"l" * 16) is None
    with store.transaction():
        assert put_one(store, bob, "alice", b"n" * 16, b"x", Stored(bytes(32), 1)) > lost
    store.close()


def test_only_so_many_unwritten_envelopes_are_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("sqlite.MAX_REMEMBERED", "spared.MAX_NAMES"):
        monkeypatch.setattr(f"relay.storage.{place}", 10)
    store = SqliteStore(path)
    bob = Address("bob", 1)
    with store.transaction():
        for number in range(30):
            sequence = put_one(store, bob, "alice", bytes([number]) * 16, b"x", Stored(bytes(32), 1), spared=True)
            store.note_written("alice", f"user{number}")
            if number != 1:
                store.acknowledge(bob, [sequence])
        assert known(store, "alice", bytes([1]) * 16) is not None  # not written yet, and so never forgotten
    assert known(store, "alice", bytes([2]) * 16) is None
    assert known(store, "alice", bytes([20]) * 16) is not None
    assert store._spared._lately.count + store._spared._before.count <= 24
    assert len(store._remembered.written) <= 30
    assert store.has_written("alice", "user0")  # it was forgotten, and is on disk
    store.close()


def test_what_was_acknowledged_unwritten_is_known_after_others_expire_and_after_much_was_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, bob = SqliteStore(path), Address("bob", 1)
    with store.transaction():
        put_one(store, bob, "carol", b"o" * 16, b"old", Stored(bytes(32), 1))
    with store.transaction():
        for sender, received_at in (("alice", 100), ("dave", 1)):
            stored = Stored(bytes(32), received_at)
            store.acknowledge(bob, [put_one(store, bob, sender, b"n" * 16, b"new", stored, spared=True)])
    with store.transaction():
        assert store.expire(before=50, limit=9) == 1
    assert known(store, "carol", b"o" * 16) is None
    assert known(store, "dave", b"n" * 16) is None
    assert known(store, "alice", b"n" * 16) == Stored(bytes(32), 100)
    monkeypatch.setattr("relay.storage.sqlite.MAX_REMEMBERED", 1)
    for other in ("dora", "erin"):  # too many senders: the highest id of each is forgotten, more than once
        assert known(store, other, b"n" * 16) is None
    assert list(store._highest_ids) == ["erin"]
    assert known(store, "alice", b"n" * 16) == Stored(bytes(32), 100)
    store.close()


@pytest.mark.parametrize("missing", [0, 1, 100, 5000])
def test_a_copy_torn_in_the_log_holds_all_that_was_committed_before(path: Path, missing: int) -> None:
    """R-02: the power fails while a commit is written; the commits before it are whole."""
    store = SqliteStore(path)
    log = path.with_name("relay.db-wal")
    for number in range(20):
        with store.transaction():
            put_one(store, Address("bob", 1), "alice", bytes(15) + bytes([number]), bytes(3000), Stored(bytes(32), 1))
    committed = log.stat().st_size
    with store.transaction():
        put_one(store, Address("bob", 1), "alice", b"last" * 4, bytes(3000), Stored(bytes(32), 1))
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    copy.with_name("copy.db-wal").write_bytes(log.read_bytes()[: log.stat().st_size - missing])
    store.close()
    assert log.name not in {entry.name for entry in path.parent.iterdir()}
    torn = SqliteStore(copy)
    assert committed > 20 * 3000
    assert torn.count_pending(Address("bob", 1), limit=99) == (20 if missing else 21)
    assert torn._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    torn.close()


def test_a_file_of_a_newer_program_is_refused(path: Path) -> None:
    """R-32."""
    SqliteStore(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="newer version"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_damaged_file_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, and it is long enough to be told apart" * 20)
    before = path.read_bytes()
    with pytest.raises(StorageError) as raised:
        SqliteStore(path)
    assert raised.value.exit_code is ExitCode.STORAGE
    assert path.read_bytes() == before


def test_a_file_damaged_in_the_middle_is_one_error_for_whoever_reads_there(path: Path) -> None:
    """R-21."""
    store = SqliteStore(path)
    with store.transaction():
        for number in range(100):
            put_one(store, Address("bob", 1), "alice", number.to_bytes(16, "big"), bytes(2000), Stored(bytes(32), 1))
    store.close()
    data = bytearray(path.read_bytes())
    data[8192:-8192] = b"\xff" * (len(data) - 16384)
    path.write_bytes(data)
    with pytest.raises(StorageError) as raised, closing(SqliteStore(path)) as store, store.transaction():
        store.pending(Address("bob", 1), after=0, limit=999, size=10**9)
    assert raised.value.exit_code is ExitCode.STORAGE
    assert "malformed" in str(raised.value)


def test_a_folder_that_cannot_be_is_one_error(tmp_path: Path) -> None:
    """R-08: nothing half written."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot open"):
        SqliteStore(tmp_path / "file" / "relay.db")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_the_place_of_the_file_is_one_error(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot open"):
        SqliteStore(path)
    assert list(path.parent.iterdir()) == [path]


READ_ONLY = """
import os, sys
from pathlib import Path
from errors import StorageError
from relay.storage.sqlite import SCHEMA, SqliteStore

schema = [(step.name, step.read_text(encoding="utf-8")) for step in sorted(SCHEMA.glob("*.sql"))]
folder, case = Path(sys.argv[1]), sys.argv[2]
if os.geteuid() == 0:  # root may write everywhere
    os.setgid(65534)
    os.setuid(65534)
copy = folder / "schema"
copy.mkdir()
for name, text in schema:
    (copy / name).write_text(text, encoding="utf-8")
import relay.storage.sqlite
relay.storage.sqlite.SCHEMA = copy
path = folder / "data" / "relay.db"
if case == "new":
    path.parent.mkdir()
else:
    SqliteStore(path).close()
if case == "file":
    path.chmod(0o400)
else:
    path.parent.chmod(0o500)

def state():
    kept = [path] if case == "file" else path.parent.iterdir()
    return {entry.name: entry.read_bytes() for entry in kept}

before = state()
try:
    SqliteStore(path)
except StorageError as error:
    print(str(error).partition(" ")[0], error.hint)
assert state() == before
path.parent.chmod(0o700)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize("case", ["new", "folder", "file"])
def test_what_may_not_be_written_is_one_error_at_the_start(case: str) -> None:
    """R-08: a folder or a file that belongs to the server but is read-only."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        ran = subprocess.run(
            [sys.executable, "-c", READ_ONLY, folder, case], cwd=ROOT, capture_output=True, text=True, check=True
        )
    assert ran.stdout == "cannot check the folder, its permissions and its space, or choose another with --home\n"


KILLED = """
import os, shutil, signal, sqlite3, sys
from pathlib import Path
from relay.storage.sqlite import SqliteStore

connect, left = sqlite3.connect, 0

def count(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def traced(*arguments, **options):
    db = connect(*arguments, **options)
    db.set_trace_callback(count)
    return db

sqlite3.connect = traced
for left in range(1, 100):
    path = Path(sys.argv[1], f"{left}.db")
    if len(sys.argv) > 2:
        shutil.copy(sys.argv[2], path)
    child = os.fork()
    if child == 0:
        SqliteStore(path).close()
        os._exit(0)
    if os.waitpid(child, 0)[1] != signal.SIGKILL:
        break
print(left)
"""


def version_and_tables(path: Path) -> tuple[int, int]:
    db = sqlite3.connect(path)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    return version, tables


def test_a_migration_that_is_killed_leaves_the_old_schema_or_the_new_one(tmp_path: Path) -> None:
    """R-32: kill -9 before each statement of it in turn."""
    ran = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, capture_output=True, check=True)
    seen = set()
    for statement in range(1, int(ran.stdout) + 1):  # the last one was not killed
        path = tmp_path / f"{statement}.db"
        if path.stat().st_size:
            seen.add(version_and_tables(path))
        SqliteStore(path).close()
        whole = version_and_tables(path)
    assert seen | {whole} == {(0, 0), whole}
    assert whole[0] == len(list(SCHEMA.glob("*.sql")))


def test_a_migration_of_what_is_there_that_is_killed_leaves_all_of_it(tmp_path: Path) -> None:
    """R-32: the same from the schema before, with envelopes that wait."""
    old = make_old(tmp_path, 5, *[old_row(number, number, 1, "zeroblob(999)") for number in range(1, 50)])
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(old)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    versions = set()
    for statement in range(1, int(ran.stdout) + 1):  # the last one was not killed
        path = tmp_path / f"{statement}.db"
        versions.add(version_and_tables(path)[0])
        store = SqliteStore(path)
        assert [row.sequence for row in store.pending(Address("bob", 1), after=0, limit=99, size=10**6)] == list(
            range(1, 50)
        )
        store.close()
    assert versions == {5, len(list(SCHEMA.glob("*.sql")))}


def test_a_schema_that_fails_half_way_leaves_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = path.parent / "schema"
    folder.mkdir(parents=True)
    (folder / "0001_initial.sql").write_text(
        (SCHEMA / "0001_initial.sql").read_text(encoding="utf-8"), encoding="utf-8"
    )
    monkeypatch.setattr("relay.storage.sqlite.SCHEMA", folder)
    SqliteStore(path).close()
    (folder / "0002_broken.sql").write_text("CREATE TABLE half (x INTEGER) STRICT; CREATE TABLE account (x INTEGER);")
    with pytest.raises(StorageError):
        SqliteStore(path)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    db.close()


LOCK = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(3)
db.execute("ROLLBACK")
"""


def test_a_file_that_another_process_locks_for_three_seconds_is_waited_for(path: Path) -> None:
    """R-16."""
    store = SqliteStore(path)
    with subprocess.Popen([sys.executable, "-c", LOCK, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        began = time.monotonic()
        for number in range(5):
            with store.transaction():
                put_one(store, Address("bob", 1), "alice", bytes(15) + bytes([number]), b"{}", Stored(bytes(32), 1))
        assert time.monotonic() - began > 2
    assert store.count_pending(Address("bob", 1), limit=9) == 5
    store.close()


def test_a_file_that_stays_locked_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sql_file.BUSY_TIMEOUT_S", 0.05)
    store = SqliteStore(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="locked"), store.transaction():
        store.add_code_failure("alice")
    other.close()
    with store.transaction():
        store.add_code_failure("alice")
    assert store.code_failures("alice") == 1
    store.close()


def test_nothing_asks_for_the_lock_before_there_is_something_to_write(path: Path) -> None:
    store = SqliteStore(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with store.transaction():
        sequence = put_one(store, Address("bob", 1), "alice", bytes(16), b"{}", Stored(bytes(32), 1), spared=True)
        store.acknowledge(Address("bob", 1), [sequence])
        assert not store.unwritten
    other.close()
    store.close()
