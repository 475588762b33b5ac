"""Files as earlier programs have left them."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from records import ID_SIZE
from relay.storage import MARK_SIZE
from relay.storage.sqlite import SCHEMA, SqliteStore


def make_old(folder: Path, version: int, *statements: str) -> Path:
    """Make a file as an earlier program has left it."""
    schema, path = folder / "schema", folder / "old.db"
    schema.mkdir()
    for step in sorted(SCHEMA.glob("*.sql"))[:version]:
        shutil.copy(step, schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relay.storage.sqlite.SCHEMA", schema)
        SqliteStore(path).close()
    old = sqlite3.connect(path)
    for statement in statements:
        old.execute(statement)
    old.commit()
    old.close()
    return path


def old_row(sequence: int, number: int, device: int, body: str) -> str:
    """Return the statement that puts an envelope from alice to bob as it was put up to the fifth schema."""
    name, mark = (f"x'{number.to_bytes(size, 'big').hex()}'" for size in (ID_SIZE, MARK_SIZE))
    return f"INSERT INTO mailbox VALUES ({sequence}, 'bob', {device}, 'alice', {name}, {mark}, 100, {body})"
