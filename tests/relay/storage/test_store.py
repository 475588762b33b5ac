"""One contract for every back end of the relay's store."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from errors import StorageError
from relay.storage import Account, Address, Arrival, Store, Stored, Waiting
from relay.storage.sqlite import MAX_REMEMBERED, SqliteStore
from tests.relay.world import known, put_one

BACK_ENDS: dict[str, Callable[[Path], Store]] = {"sqlite": lambda folder: SqliteStore(folder / "relay.db")}
BOB = Address("bob", 1)


@pytest.fixture(params=BACK_ENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = BACK_ENDS[request.param](tmp_path)
    yield made
    made.close()


def put(store: Store, to: Address = BOB, *, sender: str = "alice", envelope: bytes = b"{}", at: int = 100) -> int:
    return put_one(store, to, sender, secrets.token_bytes(16), envelope, Stored(bytes(32), at))


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with store.transaction():
        sequence = put(store)
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.create_account("alice", created_at=1)
        store.append_identity("alice", 1, bytes(32), b"{}", recorded_at=1)
        store.add_code_failure("alice")
        store.note_written("alice", "bob")
        store.acknowledge(BOB, [sequence])
        put(store)
        raise ZeroDivisionError
    assert (store.count_accounts(), store.account("alice"), store.identity_record("alice")) == (0, None, None)
    assert (store.code_failures("alice"), store.has_written("alice", "bob")) == (0, False)
    assert [row.sequence for row in store.pending(BOB, after=0, limit=10, size=10**6)] == [sequence]


def test_a_transaction_after_a_failed_one_works(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        raise ZeroDivisionError
    with store.transaction():
        put(store)
    assert store.count_pending(BOB, limit=10) == 1


def test_an_account_is_created_once(store: Store) -> None:
    with store.transaction():
        store.create_account("alice", created_at=1)
    with pytest.raises(StorageError), store.transaction():
        store.create_account("alice", created_at=2)
    assert store.account("alice") == Account(b"", (Address("alice", 1),))


def test_an_envelope_is_in_a_mailbox_once(store: Store) -> None:
    with store.transaction():
        put_one(store, BOB, "alice", bytes(16), b"{}", Stored(bytes(32), 1))
        put_one(store, Address("bob", 2), "alice", bytes(16), b"{}", Stored(bytes(32), 1))
    with pytest.raises(ValueError, match="already"), store.transaction():
        put_one(store, BOB, "alice", bytes(16), b"other", Stored(bytes(32), 2))
    assert store.pending(BOB, after=0, limit=10, size=10**6) == [Waiting(1, b"{}")]


def test_an_epoch_of_an_identity_is_entered_once_and_never_overwritten(store: Store) -> None:
    with store.transaction():
        store.create_account("alice", created_at=1)
        store.append_identity("alice", 1, b"1" * 32, b"one", recorded_at=1)
    with pytest.raises(StorageError), store.transaction():
        store.append_identity("alice", 1, b"2" * 32, b"two", recorded_at=2)
    assert store.identity_record("alice") == b"one"


def test_there_is_no_identity_without_an_account(store: Store) -> None:
    with pytest.raises(StorageError), store.transaction():
        store.append_identity("nobody", 1, bytes(32), b"{}", recorded_at=1)


def test_knows_what_was_accepted_also_after_the_acknowledge(store: Store) -> None:
    with store.transaction():
        sequence = put_one(store, BOB, "alice", b"i" * 16, b"{}", Stored(b"d" * 32, 7))
    assert known(store, "alice", b"i" * 16) == Stored(b"d" * 32, 7)
    with store.transaction():
        store.acknowledge(BOB, [sequence])
    assert known(store, "alice", b"i" * 16) == Stored(b"d" * 32, 7)
    assert known(store, "carol", b"i" * 16) is None
    with store.transaction():
        assert store.expire(before=8, limit=10) == 1
    assert known(store, "alice", b"i" * 16) is None


@pytest.mark.parametrize("forgotten", [1, MAX_REMEMBERED])
def test_knows_ids_also_when_much_was_forgotten_before_they_were_written(
    store: Store, forgotten: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alice's higher id is only in memory when somebody registers, or when there is no room for more senders."""
    monkeypatch.setattr("relay.storage.sqlite.MAX_REMEMBERED", forgotten)
    high, low = b"9" * 16, b"1" * 16
    with store.transaction():
        put_one(store, BOB, "alice", high, b"{}", Stored(bytes(32), 1), spared=True)
        store.create_account("carol", created_at=1)
        put_one(store, BOB, "carol", low, b"{}", Stored(bytes(32), 1))
        put_one(store, BOB, "alice", low, b"{}", Stored(bytes(32), 1))
    assert known(store, "alice", high) == known(store, "alice", low) == Stored(bytes(32), 1)


@pytest.mark.parametrize("spared", [False, True])
def test_an_envelope_waits_until_it_is_acknowledged(store: Store, spared: bool) -> None:
    with store.transaction():
        sequence = put_one(store, BOB, "alice", b"i" * 16, b"{}", Stored(bytes(32), 1), spared=spared)
        assert store.is_waiting("alice", b"i" * 16)
        assert not store.is_waiting("alice", b"j" * 16)
        store.acknowledge(BOB, [sequence])
    assert not store.is_waiting("alice", b"i" * 16)


@pytest.mark.parametrize("acknowledged", [False, True])
@pytest.mark.parametrize("numbers", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_knows_ids_in_any_order(store: Store, numbers: tuple[int, ...], acknowledged: bool) -> None:
    """They mostly grow, and are not looked for then; a clock that was set back must not make a re-sent one new."""
    for number in numbers:
        envelope_id = bytes([number]) * 16
        with store.transaction():
            assert known(store, "alice", envelope_id) is None
            sequence = put_one(store, BOB, "alice", envelope_id, b"{}", Stored(bytes(32), number))
            if acknowledged:
                store.acknowledge(BOB, [sequence])
    for number in (1, 2, 3):
        assert known(store, "alice", bytes([number]) * 16) == Stored(bytes(32), number)
        assert known(store, "bob", bytes([number]) * 16) is None
    assert known(store, "alice", bytes(16)) is None
    assert known(store, "alice", bytes([2]) * 15 + b"\0") is None


def test_a_page_ends_after_so_many_envelopes_or_bytes(store: Store) -> None:
    with store.transaction():
        sequences = [put(store, envelope=bytes(100)) for _ in range(5)]

    def page(after: int, limit: int, size: int) -> list[int]:
        return [row.sequence for row in store.pending(BOB, after=after, limit=limit, size=size)]

    assert page(0, 3, 10**6) == sequences[:3]
    assert page(sequences[1], 10, 10**6) == sequences[2:]
    assert page(0, 10, 200) == sequences[:2]
    assert page(0, 10, 201) == sequences[:3]
    assert page(0, 10, 1) == sequences[:1]  # never nothing while something waits
    assert page(sequences[-1], 10, 10**6) == []


def test_accounts_and_their_first_device(store: Store) -> None:
    with store.transaction():
        store.create_account("alice", created_at=1)
    assert store.account("alice") == Account(b"", (Address("alice", 1),))
    assert (store.count_accounts(), store.account("bob")) == (1, None)


def test_the_newest_identity_counts(store: Store) -> None:
    with store.transaction():
        store.create_account("alice", created_at=1)
        assert store.identity_record("alice") is None
        store.append_identity("alice", 1, b"1" * 32, b"one", recorded_at=1)
        store.append_identity("alice", 2, b"2" * 32, b"two", recorded_at=2)
    assert store.identity_record("alice") == b"two"
    assert store.account("alice") == Account(b"2" * 16, (Address("alice", 1),))


def test_wrong_codes_add_up(store: Store) -> None:
    assert store.code_failures("alice") == 0
    with store.transaction():
        store.add_code_failure("alice")
        store.add_code_failure("alice")
    assert store.code_failures("alice") == 2


def test_acquaintance_has_a_direction(store: Store) -> None:
    with store.transaction():
        store.note_written("alice", "bob")
        store.note_written("alice", "bob")
    assert (store.has_written("alice", "bob"), store.has_written("bob", "alice")) == (True, False)


def test_counts_no_further_than_asked_and_by_sender(store: Store) -> None:
    with store.transaction():
        for sender in ("alice", "alice", "carol"):
            put(store, sender=sender)
    assert store.count_pending(BOB, limit=10) == 3
    assert store.count_pending(BOB, limit=2) == 2
    assert store.count_pending(BOB, limit=10, sender_id="alice") == 2


def test_sequences_are_never_used_again(store: Store) -> None:
    with store.transaction():
        first = put(store)
        assert store.expire(before=1000, limit=10) == 1
        assert put(store) > first


def test_age_counts_and_not_the_place_in_the_order(store: Store) -> None:
    """R-09: the clock was ahead for a while."""
    with store.transaction():
        for at in (900, 900, 900, 10, 20):
            put(store, at=at)
        assert store.expire(before=100, limit=1) == 1
        assert store.expire(before=100, limit=2) == 1
    assert len(store.pending(BOB, after=0, limit=10, size=10**6)) == 3


def test_the_oldest_expire_first_and_a_round_is_bounded(store: Store) -> None:
    with store.transaction():
        for at in (10, 20, 30, 40):
            put(store, at=at)
        assert store.expire(before=35, limit=2) == 2
        assert store.expire(before=35, limit=2) == 1
        assert store.expire(before=35, limit=2) == 0
    assert len(store.pending(BOB, after=0, limit=10, size=10**6)) == 1


def test_what_is_kept_is_written_and_what_is_spared_is_not(store: Store) -> None:
    carol = Address("carol", 1)

    def arrivals(*numbers: int) -> list[Arrival]:
        return [Arrival(bytes(15) + bytes([number]), b"%d" % number, bytes(32)) for number in numbers]

    with store.attempt():
        store.put(BOB, "alice", arrivals(1, 2, 3, 4), at=1, spared=4)
        store.put(BOB, "alice", arrivals(5, 6), at=1, spared=2)
        store.put(carol, "alice", arrivals(7, 8), at=1, spared=2)
        store.acknowledge(BOB, [2, 6])
        assert not store.unwritten
        store.keep(BOB)
        store.commit(spared=False)
    assert [row.sequence for row in store.pending(BOB, after=0, limit=9, size=99)] == [1, 3, 4, 5]
    assert store.pending(carol, after=0, limit=9, size=99) == []
    assert (store.count_pending(BOB, limit=9), store.count_pending(carol, limit=9)) == (4, 2)
    with store.transaction():
        store.acknowledge(carol, [7])
    assert [row.envelope for row in store.pending(carol, after=0, limit=9, size=99)] == [b"8"]


BODIES = st.lists(st.binary(min_size=1, max_size=40).filter(lambda body: b"\n" not in body), min_size=1, max_size=9)


class Mailboxes(RuleBasedStateMachine):
    """Put, fetch, acknowledge, expire, fail and reopen, against a dictionary."""

    envelopes = Bundle("envelopes")

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("relay.storage.mailbox_table.BATCH_ENVELOPES", 4)  # so that rows are full, and many
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "relay.db"
        self.store: Store = SqliteStore(self.path)
        self.waiting: dict[int, tuple[Address, str, bytes, bytes, int]] = {}
        self.accepted: dict[tuple[str, bytes], Stored] = {}
        self.in_memory: set[tuple[str, bytes]] = set()  # of these, what was acknowledged before it was written
        self.highest = 0
        self.now = 100

    def arrivals(self, bodies: list[bytes], *, ascend: bool) -> list[Arrival]:
        """Return envelopes with ids that grow, above all others, or with any."""
        ids = [secrets.token_bytes(16) for _ in bodies]
        if ascend:
            highest = max((envelope_id for _, envelope_id in self.accepted), default=bytes(16))
            ids = [(int.from_bytes(highest[:8], "big") + n + 1).to_bytes(8, "big") + bytes(8) for n in range(len(ids))]
        return [Arrival(name, body, secrets.token_bytes(32)) for name, body in zip(ids, bodies, strict=True)]

    @rule(
        target=envelopes,
        user=st.sampled_from(["bob", "carol"]),
        devices=st.sampled_from([(1,), (2,), (1, 2), (2, 1)]),
        sender=st.sampled_from(["alice", "dave"]),
        bodies=BODIES,
        ascend=st.booleans(),
        spared=st.integers(0, 9),
        gone=st.sets(st.integers(0, 8)),
        keep=st.booleans(),
        jump=st.integers(-3, 3),
        fails=st.booleans(),
    )
    def put(
        self,
        user: str,
        devices: tuple[int, ...],
        sender: str,
        bodies: list[bytes],
        ascend: bool,
        spared: int,
        gone: set[int],
        keep: bool,
        jump: int,
        fails: bool,
    ) -> int:
        self.now += jump
        if fails:
            with suppress(ZeroDivisionError), self.store.transaction():
                self.store.put(Address(user, devices[0]), sender, self.arrivals(bodies, ascend=ascend), at=self.now)
                raise ZeroDivisionError
            self.forget()
        arrivals = self.arrivals(bodies, ascend=ascend)
        spared = min(spared, len(arrivals))
        with self.store.transaction():
            for device in devices:
                sequences = self.store.put(Address(user, device), sender, arrivals, at=self.now, spared=spared)
                assert sequences[0] > self.highest
                self.highest = sequences[-1]
                for sequence, arrival in zip(sequences, arrivals, strict=True):
                    self.waiting[sequence] = (Address(user, device), sender, arrival.id, arrival.envelope, self.now)
            for place in {place for place in gone if place < spared}:  # acknowledged before it is written
                early = sequences[place]
                self.store.acknowledge(self.waiting[early][0], [early])
                del self.waiting[early]
                if len(devices) == 1:
                    self.in_memory.add((sender, arrivals[place].id))
            if keep:
                self.store.keep(Address(user, devices[0]))
            self.accepted |= {(sender, arrival.id): Stored(arrival.mark, self.now) for arrival in arrivals}
        return sequences[-1]

    @rule(sequence=envelopes, user=st.sampled_from(["bob", "carol"]), device=st.integers(1, 2))
    def acknowledge(self, sequence: int, user: str, device: int) -> None:
        with self.store.transaction():
            self.store.acknowledge(Address(user, device), [sequence, 10**9])
        if sequence in self.waiting and self.waiting[sequence][0] == (user, device):
            del self.waiting[sequence]

    @rule(data=st.data())
    def acknowledge_own(self, data: st.DataObject) -> None:
        """Acknowledge some of one mailbox's: what two times in four misses above."""
        if self.waiting:
            sequence = data.draw(st.sampled_from(sorted(self.waiting)))
            self.acknowledge(sequence, *self.waiting[sequence][0])

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteStore(self.path)
        self.forget()
        self.highest = max(self.waiting, default=0)  # what was never written may be given out again

    def forget(self) -> None:
        self.accepted = {name: stored for name, stored in self.accepted.items() if name not in self.in_memory}
        self.in_memory.clear()

    @rule(age=st.integers(0, 5))
    def expire(self, age: int) -> None:
        before = self.now - age
        with self.store.transaction():
            self.store.expire(before=before, limit=1000)
            assert self.store.expire(before=before, limit=1000) == 0
        self.waiting = {key: row for key, row in self.waiting.items() if row[4] >= before}
        self.accepted = {key: known for key, known in self.accepted.items() if known.received_at >= before}

    @invariant()
    def agrees(self) -> None:
        for address in (Address(user, device) for user in ("bob", "carol") for device in (1, 2)):
            rows = {key: row for key, row in sorted(self.waiting.items()) if row[0] == address}
            expected = [Waiting(key, row[3]) for key, row in rows.items()]
            assert self.store.pending(address, after=0, limit=10**6, size=10**6) == expected
            assert self.store.count_pending(address, limit=10**6) == len(expected)
            for sender in ("alice", "dave"):
                count = sum(row[1] == sender for row in rows.values())
                assert self.store.count_pending(address, limit=10**6, sender_id=sender) == count
            if expected:
                first = expected[0].sequence
                assert self.store.pending(address, after=first, limit=2, size=10**6) == expected[1:3]
        for (sender, envelope_id), stored in self.accepted.items():
            assert known(self.store, sender, envelope_id) == stored
            waits = any(row[1:3] == (sender, envelope_id) for row in self.waiting.values())
            assert self.store.is_waiting(sender, envelope_id) == waits

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()
        self.patch.undo()


Mailboxes.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None, print_blob=True)
TestMailboxes = Mailboxes.TestCase
