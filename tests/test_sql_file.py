"""What the two databases have in common; their own tests are in tests/relay/storage and tests/messenger."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2 as sqlcipher

from errors import ExitCode, KeyFileError, StorageError
from messenger.database import Database
from sql_file import SqlFile

PASSWORD = b"it's a password"


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    folder = tmp_path / "schema"
    folder.mkdir()
    (folder / "0001_first.sql").write_text("CREATE TABLE thing (x INTEGER) STRICT; -- a comment; with a semicolon\n")
    return folder


@pytest.mark.parametrize("driver", [sqlite3, sqlcipher], ids=["sqlite3", "sqlcipher"])
def test_steps_and_transactions_are_the_same_for_both_drivers(tmp_path: Path, schema: Path, driver: object) -> None:
    path = tmp_path / "data" / "file.db"
    file = SqlFile(path, schema, driver)
    with file.transaction():
        file._db.execute("INSERT INTO thing VALUES (1)")
    with pytest.raises(ZeroDivisionError), file.transaction():
        file._db.execute("INSERT INTO thing VALUES (2)")
        raise ZeroDivisionError
    with pytest.raises(StorageError, match="cannot write"), file.transaction():
        file._db.execute("INSERT INTO thing VALUES ('text')")
    file.close()
    (schema / "0002_second.sql").write_text("ALTER TABLE thing ADD COLUMN y INTEGER;")
    file = SqlFile(path, schema, driver)
    assert file._db.execute("SELECT x, y FROM thing").fetchall() == [(1, None)]
    assert file._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert file._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()
    (schema / "0002_second.sql").unlink()
    with pytest.raises(StorageError, match="newer version"):
        SqlFile(path, schema, driver)


def test_the_client_s_database_opens_with_its_password_only(tmp_path: Path) -> None:
    path = tmp_path / "alice.db"
    Database(path, PASSWORD).close()
    before = path.read_bytes()
    assert b"SQLite format" not in before
    assert b"message" not in before
    with pytest.raises(KeyFileError) as raised:
        Database(path, b"another password")
    assert raised.value.exit_code is ExitCode.PASSWORD
    assert path.read_bytes() == before
    Database(path, PASSWORD).close()


def test_a_damaged_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """R-21."""
    path = tmp_path / "alice.db"
    path.write_bytes(b"not a database at all, but long enough" * 200)
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match="damaged"):
        Database(path, PASSWORD)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot open"):
        Database(tmp_path / "file" / "alice.db", PASSWORD)


def test_what_is_read_of_a_damaged_page_is_an_error_that_says_what_to_do(tmp_path: Path, schema: Path) -> None:
    path = tmp_path / "file.db"
    SqlFile(path, schema, sqlite3).close()
    with path.open("r+b") as damaged:
        damaged.seek(4096)  # of the first table; the schema is before it
        damaged.write(b"\xff" * 4096)
    with closing(SqlFile(path, schema, sqlite3)) as file:
        for attempt in (file.reading, file.transaction):
            with pytest.raises(StorageError, match=r"cannot read .*file\.db \(.*malformed\)") as raised, attempt():
                file._db.execute("SELECT x FROM thing").fetchall()
            assert raised.value.hint == "it is damaged: put back a copy of it"
