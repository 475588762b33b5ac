"""The key log's tables in both databases, real ones, against a list."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canonical_json import canonical
from log_tables import LogTables
from messenger.database import Database
from messenger.log_replica import LogReplica
from records import LogEntry
from relay.storage.sqlite import SqliteStore
from tests.test_merkle import by_definition

pytestmark = pytest.mark.usefixtures("quick_kdf")

ENTRIES = st.builds(
    LogEntry,
    index=st.sampled_from([bytes([owner]) * 32 for owner in range(3)]),
    kind=st.sampled_from(["identity", "revocation", "erasure"]),
    value=st.binary(min_size=32, max_size=32),
)
BATCHES = st.lists(st.lists(ENTRIES, max_size=9), max_size=5)


@pytest.fixture(params=["the relay's", "a client's"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteStore | Database:
    return SqliteStore(tmp_path / "db") if request.param == "the relay's" else Database(tmp_path / "db", b"password")


def tables(owner: SqliteStore | Database) -> LogTables:
    return owner.log if isinstance(owner, SqliteStore) else LogReplica(owner)


class UndoError(Exception):
    """Ends a transaction so that nothing of it stays."""


@given(batches=BATCHES)
def test_they_hold_what_was_appended(owner: SqliteStore | Database, batches: list[list[LogEntry]]) -> None:
    log, entries = tables(owner), list[LogEntry]()
    with pytest.raises(UndoError), owner.transaction():
        for batch in batches:
            log.append(batch)
            entries += batch
            leaves = [canonical(entry) for entry in entries]
            assert (log.size, log.root(len(entries))) == (len(entries), by_definition(leaves))
            assert log.root(len(entries) // 2) == by_definition(leaves[: len(entries) // 2])
        assert log.entries(start=1, limit=7) == entries[1:8]
        for position, entry in enumerate(entries):
            later = [other for other in entries[position + 1 :] if other.index == entry.index]
            assert log.entries_of(entry.index, after=position) == later
            assert log.position(entry) == entries.index(entry)
        raise UndoError
    assert log.size == 0


def test_an_entry_that_is_not_there_has_no_position(owner: SqliteStore | Database) -> None:
    assert tables(owner).position(LogEntry(index=bytes(32), kind="identity", value=bytes(32))) is None
