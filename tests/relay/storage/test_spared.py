"""What is in memory only, against a dictionary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.storage import Address, Arrival, Stored
from relay.storage.mailbox_table import Batch
from relay.storage.spared import Spared

BOB, CAROL = Address("bob", 1), Address("carol", 1)


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def batch(to: Address, first: int, size: int, *, sender: str = "alice", at: int = 1) -> Batch:
    """Return envelopes whose ids are made of their sequences."""
    arrivals = [Arrival(name(number), b"%d" % number, name(number) * 2) for number in range(first, first + size)]
    return Batch(to, sender, at, first, arrivals)


def sequences(batches: list[Batch]) -> list[int]:
    """Return the sequences of envelopes, having looked whether these are still with them."""
    for each in batches:
        assert each.ids == [name(sequence) for sequence in each.sequences]
    return [sequence for each in batches for sequence in each.sequences]


@given(
    st.lists(st.tuples(st.sampled_from([BOB, CAROL]), st.integers(1, 6), st.sampled_from(["alice", "dave"]))),
    st.lists(st.tuples(st.sampled_from([BOB, CAROL]), st.sets(st.integers(1, 40), max_size=12))),
)
def test_what_is_acknowledged_of_a_mailbox_is_gone_and_nothing_else(
    put: list[tuple[Address, int, str]], acknowledged: list[tuple[Address, set[int]]]
) -> None:
    spared, expected, first = Spared(), dict[int, tuple[Address, str]](), 1
    for to, size, sender in put:
        spared.add(batch(to, first, size, sender=sender))
        expected |= dict.fromkeys(range(first, first + size), (to, sender))
        first += size
    for mailbox, named in acknowledged:
        others = {sequence for sequence in named if sequence not in expected or expected[sequence][0] != mailbox}
        for sequence in named - others:
            del expected[sequence]
        assert spared.drop(mailbox, named) == others
    for mailbox in (BOB, CAROL):
        for sender in ("alice", "dave"):
            count = sum(each == (mailbox, sender) for each in expected.values())
            assert spared.count(mailbox, sender) == count
        assert spared.count(mailbox, None) == sum(to == mailbox for to, _ in expected.values())
    for sequence in range(1, first):
        for sender in ("alice", "dave"):
            held = sequence in expected and expected[sequence][1] == sender
            assert spared.holds(sender, name(sequence)) == held
    assert sequences(spared.take(BOB)) == [sequence for sequence, (to, _) in expected.items() if to == BOB]
    assert sequences(spared.take_all()) == [sequence for sequence, (to, _) in expected.items() if to == CAROL]
    assert spared.take_all() == []


def test_all_that_is_spared_is_given_back_in_the_order_in_which_it_came() -> None:
    spared = Spared()
    for to, first in ((BOB, 1), (CAROL, 3), (BOB, 5)):
        spared.add(batch(to, first, 2))
    spared.drop(CAROL, {4})
    assert sequences(spared.take_all()) == [1, 2, 3, 5, 6]


def test_it_is_known_by_its_sender_and_id_also_when_it_is_gone() -> None:
    spared = Spared()
    spared.add(batch(BOB, 1, 2, at=7))
    spared.drop(BOB, {1, 2})
    assert spared.find("alice", name(2)) == Stored(name(2) * 2, 7)
    assert spared.find("dave", name(2)) is None
    assert spared.find("alice", name(3)) is None


def test_what_is_too_old_and_what_somebody_sent_is_forgotten() -> None:
    spared = Spared()
    for first, sender, at in ((1, "alice", 5), (2, "alice", 9), (3, "dave", 9)):
        spared.add(batch(BOB, first, 1, sender=sender, at=at))
    spared.expire(9)
    assert spared.find("alice", name(1)) is None
    assert spared.find("alice", name(2)) is not None
    spared.forget("alice")
    assert spared.find("alice", name(2)) is None
    assert spared.find("dave", name(3)) is not None


def test_names_are_forgotten_after_many_others_but_never_of_what_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.storage.spared.MAX_NAMES", 4)
    spared = Spared()
    spared.add(batch(CAROL, 1, 1))
    for first in range(2, 40, 2):
        spared.add(batch(BOB, first, 2))
        spared.drop(BOB, {first, first + 1})
        assert spared.find("alice", name(first)) is not None
    assert spared.find("alice", name(1)) is not None
    assert spared.find("alice", name(2)) is None
    assert spared._lately.count + spared._before.count <= 2 * (4 + 2)
