"""Row 26: a header with a huge number has the recipient compute keys until it falls over."""

from __future__ import annotations

import msgspec
import pytest

from errors import CryptoError
from key_agreement import PrivatePair
from messenger.suites import ratchet

MANY = 30_000


@pytest.mark.parametrize("field", ["number", "previous"])
def test_many_keys_for_one_message(weak: bool, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr(ratchet, "MAX_SKIP", 10**9)
    prekey = PrivatePair.generate()
    alice, bob = ratchet.begin(bytes(32), prekey.public), ratchet.await_first(bytes(32), prekey)
    alice, header, _ = ratchet.seal(alice)
    bob = ratchet.open_with(bob, header).state
    bob, answer, _ = ratchet.seal(bob)
    alice = ratchet.open_with(alice, answer).state
    _, header, _ = ratchet.seal(alice)
    try:
        kept = len(ratchet.open_with(bob, msgspec.structs.replace(header, **{field: MANY})).skipped)
    except CryptoError:
        kept = 0
    assert (kept >= MANY - 1) is weak
