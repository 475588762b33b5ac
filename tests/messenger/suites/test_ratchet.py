"""The ratchet: in any order, with losses, once each; and a state that nothing changes but what opens."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import CryptoError
from key_agreement import CIPHERTEXT_SIZE, PUBLIC_SIZE, PrivatePair, chain
from messenger.suites.ratchet import MAX_SKIP, Header, Opened, State, await_first, begin, open_with, seal

VECTORS = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "libsignal.json"
SHARED = bytes(range(32))


class Side:
    """One of two, with what it has set aside."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.skipped: dict[tuple[bytes, int], bytes] = {}

    def seal(self) -> tuple[Header, bytes]:
        self.state, header, key = seal(self.state)
        return header, key

    def open(self, header: Header) -> bytes:
        key = self.skipped.pop((header.ratchet_key, header.number), None)
        if key is not None:
            return key
        opened = open_with(self.state, header)
        self.state = opened.state
        self.skipped |= {(each.ratchet_key, each.number): each.key for each in opened.skipped}
        return opened.key


def found_again(side: Side, header: Header) -> set[bytes]:
    """What a header leads to that was opened before: nothing, or a key that is none."""
    assert (header.ratchet_key, header.number) not in side.skipped
    try:
        return {open_with(side.state, header).key}
    except CryptoError:
        return set()


def pair() -> tuple[Side, Side]:
    prekey = PrivatePair.generate()
    return Side(begin(SHARED, prekey.public)), Side(await_first(SHARED, prekey))


def test_a_conversation_by_turns() -> None:
    alice, bob = pair()
    keys = set()
    for turn in range(6):
        one, other = (alice, bob) if turn % 2 == 0 else (bob, alice)
        for number in range(3):
            header, key = one.seal()
            assert (len(header.ratchet_key), len(header.ciphertext)) == (PUBLIC_SIZE, CIPHERTEXT_SIZE)
            assert header.number == number
            assert other.open(header) == key
            keys.add(key)
    assert len(keys) == 18


@given(seed=st.integers(0, 2**32))
def test_any_order_and_any_loss(seed: int) -> None:
    chance, sides = random.Random(seed), pair()
    under_way: list[list[tuple[Header, bytes]]] = [[], []]
    under_way[1].append(sides[0].seal())
    for _ in range(60):
        who = chance.randrange(2)
        if chance.random() < 0.5 and sides[who].state.sending:
            under_way[1 - who].append(sides[who].seal())
        elif under_way[who]:
            header, key = under_way[who].pop(chance.randrange(len(under_way[who])))
            if chance.random() < 0.8:
                assert sides[who].open(header) == key
                assert key not in found_again(sides[who], header)


def test_the_one_who_waits_cannot_write_first() -> None:
    _, bob = pair()
    assert bob.state.sending == b""


def test_what_is_too_far_ahead_is_refused_at_once_and_changes_nothing() -> None:
    alice, bob = pair()
    header, _ = alice.seal()
    before = bob.state
    for number, previous in ((MAX_SKIP + 1, 0), (2**31, 0), (2**32 - 1, 2**32 - 1)):
        with pytest.raises(CryptoError):
            open_with(bob.state, msgspec.structs.replace(header, number=number, previous=previous))
    bob.open(header)
    answer, _ = bob.seal()
    alice.open(answer)
    later, _ = alice.seal()
    with pytest.raises(CryptoError):  # in the chain that has ended
        open_with(bob.state, msgspec.structs.replace(later, previous=MAX_SKIP + 2))
    assert before.received == 0


def test_as_many_as_may_be_missing_are_set_aside() -> None:
    alice, bob = pair()
    sealed = [alice.seal() for _ in range(MAX_SKIP + 1)]
    assert bob.open(sealed[-1][0]) == sealed[-1][1]
    assert len(bob.skipped) == MAX_SKIP
    assert bob.open(sealed[500][0]) == sealed[500][1]


@pytest.mark.parametrize("field", ["ratchet_key", "ciphertext"])
def test_keys_that_are_none_are_refused(field: str) -> None:
    alice, bob = pair()
    header, _ = alice.seal()
    with pytest.raises(CryptoError):
        open_with(bob.state, msgspec.structs.replace(header, **{field: b"too short"}))
    with pytest.raises(CryptoError):  # a point of low order
        open_with(bob.state, msgspec.structs.replace(header, ratchet_key=bytes(32) + header.ratchet_key[32:]))


def test_another_ciphertext_leads_to_another_key() -> None:
    alice, bob = pair()
    header, key = alice.seal()
    _, other = bob.state, PrivatePair.from_bytes(bob.state.ours).public.encapsulate()[1]
    assert open_with(bob.state, msgspec.structs.replace(header, ciphertext=other)).key != key


def test_former_keys_are_not_in_the_state() -> None:
    """Forward secrecy: what opened a message can be made of nothing that is left."""
    alice, bob = pair()
    header, key = alice.seal()
    bob.open(header)
    for state in (alice.state, bob.state):
        left = msgspec.json.encode(state)
        assert key not in left
        assert chain(state.sending or state.receiving, b"\1") != key


def test_a_stolen_state_is_useless_after_a_round_trip() -> None:
    """Healing: the thief only listens."""
    alice, bob = pair()
    header, _ = alice.seal()
    bob.open(header)
    stolen = bob.state
    answer, _ = bob.seal()
    alice.open(answer)
    header, key = alice.seal()  # under a pair for which the thief has the other half
    assert open_with(stolen, header).key == key
    bob.open(header)
    answer, _ = bob.seal()
    alice.open(answer)
    header, key = alice.seal()
    assert bob.open(header) == key
    thief: Opened = open_with(stolen, header)
    assert thief.key != key


@pytest.mark.skipif(not VECTORS.is_file(), reason="no ../shared/vectors beside this clone")
def test_a_chain_is_signal_s() -> None:
    vector = json.loads(VECTORS.read_text())["chain_key"]
    seed = bytes.fromhex(vector["seed"])
    assert chain(seed, b"\2").hex() == vector["next_chain_key"]
