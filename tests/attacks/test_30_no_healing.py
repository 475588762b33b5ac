"""Row 30: who has once had a copy of the state reads along for ever."""

from __future__ import annotations

import pytest

from errors import CryptoError
from key_agreement import PrivatePair, chain
from messenger.suites import ratchet
from messenger.suites.ratchet import Header, State


def test_a_stolen_state_is_of_use_after_a_round_trip(weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr(ratchet, "_roots", lambda root, _exchanged, _secret: (chain(root, b"r"), chain(root, b"c")))
    prekey = PrivatePair.generate()
    alice, bob = ratchet.begin(bytes(32), prekey.public), ratchet.await_first(bytes(32), prekey)
    alice, header, _ = ratchet.seal(alice)
    bob = ratchet.open_with(bob, header).state
    stolen, wire = bob, list[Header]()
    for _ in range(3):
        bob, answer, _ = ratchet.seal(bob)
        alice = ratchet.open_with(alice, answer).state
        alice, header, key = ratchet.seal(alice)
        wire.append(header)
        bob = ratchet.open_with(bob, header).state
    assert (key in read_along(stolen, wire)) is weak


def read_along(stolen: State, wire: list[Header]) -> set[bytes]:
    """Go on with a stolen state, as far as it leads."""
    keys: set[bytes] = set()
    for header in wire:
        try:
            opened = ratchet.open_with(stolen, header)
        except CryptoError:
            continue
        stolen = opened.state
        keys.add(opened.key)
    return keys
