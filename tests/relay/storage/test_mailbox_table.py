"""What one row holds, how an envelope is found in it, and how rows of before become such."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from errors import StorageError
from records import ID_SIZE
from relay.storage import MARK_SIZE, Address, Arrival, Stored, Waiting
from relay.storage.mailbox_table import BATCH_ENVELOPES, BATCH_SIZE
from relay.storage.sqlite import SqliteStore
from tests.relay.storage.old_files import make_old, old_row
from tests.relay.world import known, put_one

BOB = Address("bob", 1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "relay.db")
    yield opened
    opened.close()


def name(number: int) -> bytes:
    return number.to_bytes(ID_SIZE, "big")


def arrival(number: int, *, size: int = 10) -> Arrival:
    return Arrival(name(number), b"%*d" % (size, number), number.to_bytes(MARK_SIZE, "big"))


def rows(store: SqliteStore, columns: str = "first, sequence") -> list[tuple[object, ...]]:
    return list(store._db.execute(f"SELECT {columns} FROM mailbox ORDER BY sequence"))


def waiting(store: SqliteStore, address: Address = BOB) -> list[int]:
    return [each.sequence for each in store.pending(address, after=0, limit=10**6, size=10**9)]


def test_what_comes_together_is_one_row_until_it_is_full(store: SqliteStore) -> None:
    with store.transaction():
        store.put(BOB, "alice", [arrival(number) for number in range(1, 6)], at=1)
        store.put(BOB, "alice", [arrival(number) for number in range(6, BATCH_ENVELOPES + 4)], at=1)
        store.put(BOB, "carol", [arrival(1)], at=1)
        store.put(Address("dora", 1), "carol", [arrival(2)], at=1)
        store.put(BOB, "carol", [arrival(3)], at=1)
        store.put(BOB, "carol", [arrival(4)], at=2)
        store.put(BOB, "carol", [arrival(5, size=BATCH_SIZE - 10), arrival(6), arrival(7)], at=2)
    end = BATCH_ENVELOPES + 3
    assert [(first, last) for first, last in rows(store) if isinstance(last, int)] == [
        (1, BATCH_ENVELOPES), (BATCH_ENVELOPES + 1, end), (end + 1, end + 1),
        (end + 2, end + 2), (end + 3, end + 3), (end + 4, end + 5), (end + 6, end + 7),
    ]  # fmt: skip
    assert waiting(store) == [sequence for sequence in range(1, end + 8) if sequence != end + 2]
    assert store.pending(BOB, after=3, limit=2, size=999) == [Waiting(4, b"%10d" % 4), Waiting(5, b"%10d" % 5)]


def test_a_part_that_is_acknowledged_is_overwritten_and_the_rest_waits(store: SqliteStore) -> None:
    with store.transaction():
        store.put(BOB, "alice", [arrival(number) for number in range(1, 5)], at=1)
    for gone, left, lines in (
        ({2, 99}, [1, 3, 4], b"%10d\n\n%10d\n%10d" % (1, 3, 4)),
        ({2, 1}, [3, 4], b"\n\n%10d\n%10d" % (3, 4)),
        ({3, 4}, [], None),
    ):
        with store.transaction():
            store.acknowledge(BOB, sorted(gone))
            assert waiting(store) == left
        assert waiting(store) == left
        assert rows(store, "waiting, envelopes") == [(len(left), lines)]
        assert store.count_pending(BOB, limit=9) == len(left)
        for number in (1, 2, 3, 4):
            assert known(store, "alice", name(number)) == Stored(arrival(number).mark, 1)
            assert store.is_waiting("alice", name(number)) == (number in left)


def test_an_acknowledge_reaches_only_its_own_mailbox(store: SqliteStore) -> None:
    with store.transaction():
        for number in range(1, 7):
            store.put(Address("bob", 1 + number % 2), "alice", [arrival(number)], at=1)
        store.acknowledge(BOB, list(range(1, 7)))
    assert (waiting(store), waiting(store, Address("bob", 2))) == ([], [1, 3, 5])


@pytest.mark.parametrize("second", [[1, 2, 3], [1, 3], [3, 2, 1], [0, 1, 2, 3, 4], [2], [2, 5]])
def test_what_two_devices_get_is_known_once_and_waits_for_both(store: SqliteStore, second: list[int]) -> None:
    """Some of it may have been acknowledged by one of them before it was written."""
    with store.transaction():
        store.put(BOB, "alice", [arrival(number) for number in (1, 2, 3)], at=1)
        store.put(Address("bob", 2), "alice", [arrival(number) for number in second], at=1)
    with store.transaction():
        store.acknowledge(BOB, [1, 2, 3])
    for number in range(6):
        expected = Stored(arrival(number).mark, 1) if number in {1, 2, 3, *second} else None
        assert known(store, "alice", name(number)) == expected
        assert store.is_waiting("alice", name(number)) == (number in second)
    with store.transaction():
        store.acknowledge(Address("bob", 2), waiting(store, Address("bob", 2)))
    assert not any(store.is_waiting("alice", name(number)) for number in range(6))


def test_an_id_inside_another_row_and_one_that_lies_across_two_ids_are_told_apart(store: SqliteStore) -> None:
    low, high = b"\x01" * 15 + b"\x02", b"\x03" + b"\x04" * 15
    across = (low + high)[8:24]
    with store.transaction():
        store.put(BOB, "alice", [Arrival(each, b"{}", bytes(32)) for each in (low, high)], at=1)
        put_one(store, BOB, "alice", across, b"{}", Stored(b"m" * 32, 2))
        store.acknowledge(BOB, [3])
    assert known(store, "alice", across) == Stored(b"m" * 32, 2)
    assert not store.is_waiting("alice", across)
    assert store.is_waiting("alice", low)


def test_what_would_break_a_row_is_not_taken(store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="line break"), store.transaction():
        put_one(store, BOB, "alice", name(1), b"{\n}", Stored(bytes(32), 1))
    assert rows(store) == []


def test_only_so_many_senders_are_remembered(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.storage.mailbox_table.MAX_SENDERS", 3)
    for number in range(10):
        with store.transaction():
            put_one(store, BOB, f"user{number}", name(2), b"{}", Stored(bytes(32), 1))
    assert len(store._mailboxes._highest_ids) <= 3
    for number in (1, 3):
        with store.transaction():
            put_one(store, BOB, "user0", name(number), b"{}", Stored(bytes(32), 1))
    assert rows(store, "ascending")[-2:] == [(0,), (1,)]


def test_a_sender_is_not_forgotten_while_rows_of_theirs_are_not_written(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.storage.mailbox_table.MAX_SENDERS", 1)
    with store.transaction():
        store.put(BOB, "alice", [arrival(15)], at=1, spared=1)
        store.put(Address("carol", 1), "alice", [arrival(10), arrival(20)], at=1)
        store.put(Address("carol", 1), "dave", [arrival(1)], at=1)
    for number in (10, 15, 20):
        assert known(store, "alice", name(number)) == Stored(arrival(number).mark, 1)


@pytest.mark.parametrize("again", [[5], [5, 5], [3, 5], [5, 9]])
def test_nothing_is_put_twice_where_it_is(store: SqliteStore, again: list[int]) -> None:
    """The relay's rules ask before; this is what holds if they ever do not (delivery contract G2)."""
    with store.transaction():
        store.put(BOB, "alice", [arrival(5), arrival(3)], at=1)
    with pytest.raises((ValueError, StorageError)), store.transaction():
        store.put(BOB, "alice", [arrival(number) for number in again], at=1)
    with pytest.raises((ValueError, StorageError)), store.transaction():
        store.put(BOB, "carol", [arrival(5)], at=1)
        store.put(BOB, "carol", [arrival(5)], at=1)
    assert waiting(store) == [1, 2]


def test_what_was_not_committed_leaves_no_trace_in_what_comes_again(store: SqliteStore) -> None:
    for fails in (True, False):
        with suppress(ZeroDivisionError), store.transaction():
            store.put(BOB, "alice", [arrival(1), arrival(2)], at=1)
            store.count_pending(BOB, limit=1)
            if fails:
                raise ZeroDivisionError
    assert rows(store, "ascending, waiting") == [(1, 2)]


def test_rows_of_before_are_found_wait_and_expire_as_those_of_now(tmp_path: Path) -> None:
    """R-32: a file of the schema before, with what waits, what was acknowledged, and copies for two devices."""
    path = make_old(
        tmp_path, 5, old_row(9, 1, 1, "NULL"), "DELETE FROM mailbox",
        old_row(1, 9, 1, "CAST('nine' AS BLOB)"), old_row(2, 9, 2, "CAST('nine' AS BLOB)"),
        old_row(3, 4, 1, "CAST('four' AS BLOB)"), old_row(7, 5, 1, "NULL"), old_row(8, 6, 1, "NULL"),
        "UPDATE mailbox SET mark = zeroblob(64) WHERE sequence = 8",
    )  # fmt: skip
    store = SqliteStore(path)
    assert store.pending(BOB, after=0, limit=9, size=99) == [Waiting(1, b"nine"), Waiting(3, b"four")]
    assert store.pending(Address("bob", 2), after=0, limit=9, size=99) == [Waiting(2, b"nine")]
    for number in (4, 5, 9):
        assert known(store, "alice", name(number)) == Stored(arrival(number).mark, 100)
        assert store.is_waiting("alice", name(number)) == (number != 5)
    assert known(store, "alice", name(6)) == Stored(bytes(MARK_SIZE), 100)
    with store.transaction():
        assert put_one(store, BOB, "alice", name(7), b"seven", Stored(bytes(32), 101)) == 10
        store.acknowledge(BOB, [1, 3])
        store.acknowledge(Address("bob", 2), [2])
    assert store.pending(BOB, after=0, limit=9, size=99) == [Waiting(10, b"seven")]
    assert not store.is_waiting("alice", name(9))
    with store.transaction():
        assert store.expire(before=101, limit=9) == 5
    assert known(store, "alice", name(9)) is None
    assert known(store, "alice", name(7)) is not None
    store.close()
