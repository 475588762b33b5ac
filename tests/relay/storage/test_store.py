"""One contract for every back end of the relay's store."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from relay.storage import Address, Store, Waiting
from relay.storage.sqlite import SqliteStore

BACK_ENDS = {"sqlite": lambda folder: SqliteStore(folder / "relay.db")}
BOB = Address("bob", 1)


@pytest.fixture(params=BACK_ENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = BACK_ENDS[request.param](tmp_path)
    yield made
    made.close()


def put(store: Store, to: Address = BOB, *, sender: str = "alice", envelope: bytes = b"{}", at: int = 100) -> int:
    return store.put(to, sender, secrets.token_bytes(16), envelope, bytes(32), received_at=at)


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.create_account("alice", created_at=1)
        raise ZeroDivisionError
    assert store.count_accounts() == 0


def test_accounts_and_their_first_device(store: Store) -> None:
    with store.transaction():
        store.create_account("alice", created_at=1)
    assert (store.count_accounts(), store.devices("alice"), store.devices("bob")) == (1, [1], [])


def test_the_newest_identity_counts(store: Store) -> None:
    with store.transaction():
        store.create_account("alice", created_at=1)
        assert (store.identity_hash("alice"), store.identity_record("alice")) == (None, None)
        store.append_identity("alice", 1, b"1" * 32, b"one", recorded_at=1)
        store.append_identity("alice", 2, b"2" * 32, b"two", recorded_at=2)
    assert (store.identity_hash("alice"), store.identity_record("alice")) == (b"2" * 32, b"two")


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


def test_the_oldest_expire_first_and_a_round_is_bounded(store: Store) -> None:
    with store.transaction():
        for at in (10, 20, 30, 40):
            put(store, at=at)
        assert store.expire(before=35, limit=2) == 2
        assert store.expire(before=35, limit=2) == 1
        assert store.expire(before=35, limit=2) == 0
    assert len(store.pending(BOB, after=0, limit=10, size=10**6)) == 1


class Mailboxes(RuleBasedStateMachine):
    """Put, fetch, acknowledge, expire and reopen, against a list."""

    envelopes = Bundle("envelopes")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "relay.db"
        self.store: Store = SqliteStore(self.path)
        self.model: dict[int, tuple[Address, str, bytes, int]] = {}
        self.accepted: dict[tuple[str, bytes], int] = {}
        self.now = 100

    @rule(
        target=envelopes,
        user=st.sampled_from(["bob", "carol"]),
        device=st.integers(1, 2),
        sender=st.sampled_from(["alice", "dave"]),
        body=st.binary(min_size=1, max_size=40),
    )
    def put(self, user: str, device: int, sender: str, body: bytes) -> int:
        self.now += 1
        envelope_id = secrets.token_bytes(16)
        with self.store.transaction():
            sequence = self.store.put(
                Address(user, device), sender, envelope_id, body, body.ljust(32, b"\0")[:32], received_at=self.now
            )
        assert sequence > max(self.model, default=0)
        self.model[sequence] = (Address(user, device), sender, body, self.now)
        self.accepted[sender, envelope_id] = self.now
        return sequence

    @rule(sequence=envelopes, user=st.sampled_from(["bob", "carol"]), device=st.integers(1, 2))
    def acknowledge(self, sequence: int, user: str, device: int) -> None:
        with self.store.transaction():
            self.store.acknowledge(Address(user, device), [sequence, 10**9])
        if sequence in self.model and self.model[sequence][0] == (user, device):
            del self.model[sequence]

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteStore(self.path)

    @rule(target=envelopes, age=st.integers(0, 5))
    def expire(self, age: int) -> Any:
        with self.store.transaction():
            self.store.expire(before=self.now - age, limit=1000)
        self.model = {key: row for key, row in self.model.items() if row[3] >= self.now - age}
        self.accepted = {key: at for key, at in self.accepted.items() if at >= self.now - age}
        return multiple()

    @invariant()
    def agrees(self) -> None:
        for user in ("bob", "carol"):
            for device in (1, 2):
                address = Address(user, device)
                expected = [Waiting(key, row[2]) for key, row in sorted(self.model.items()) if row[0] == address]
                assert self.store.pending(address, after=0, limit=10**6, size=10**6) == expected
                assert self.store.count_pending(address, limit=10**6) == len(expected)
                if expected:
                    first = expected[0].sequence
                    assert self.store.pending(address, after=first, limit=2, size=10**6) == expected[1:3]
        for (sender, envelope_id), at in self.accepted.items():
            stored = self.store.accepted(sender, envelope_id)
            assert stored is not None
            assert stored.received_at == at
        assert self.store.accepted("alice", bytes(16)) is None

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


TestMailboxes = Mailboxes.TestCase
