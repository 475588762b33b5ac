"""What is particular to the SQLite file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from errors import ExitCode, StorageError
from relay.storage import Address
from relay.storage.sqlite import SCHEMA, SqliteStore


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


@pytest.mark.parametrize("statement", ["DELETE FROM identity_log", "UPDATE identity_log SET epoch = 7"])
def test_the_identity_log_only_grows(path: Path, statement: str) -> None:
    store = SqliteStore(path)
    with store.transaction():
        store.create_account("alice", created_at=1)
        store.append_identity("alice", 1, bytes(32), b"{}", recorded_at=1)
    with pytest.raises(StorageError, match="append-only"), store.transaction():
        store._db.execute(statement)
    store.close()


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


def test_a_folder_that_cannot_be_is_one_error(tmp_path: Path) -> None:
    """R-08: nothing half written."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot open"):
        SqliteStore(tmp_path / "file" / "relay.db")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


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
        with store.transaction():
            store.put(Address("bob", 1), "alice", bytes(16), b"{}", bytes(32), received_at=1)
        assert time.monotonic() - began > 1
    assert store.count_pending(Address("bob", 1), limit=9) == 1
    store.close()


def test_a_file_that_stays_locked_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.storage.sqlite.BUSY_TIMEOUT_S", 0.05)
    store = SqliteStore(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="locked"), store.transaction():
        pass
    other.close()
    with store.transaction():
        pass
    store.close()
