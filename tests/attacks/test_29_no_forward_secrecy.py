"""Row 29: keys of the past can be made of what is left."""

from __future__ import annotations

import pytest

from key_agreement import PrivatePair, chain
from messenger.suites import ratchet

FIRST = ratchet._MESSAGE_KEY


def test_the_state_of_today_opens_what_came_yesterday(weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr(ratchet, "chain", lambda key, step: chain(key, step) if step == FIRST else key)
    prekey = PrivatePair.generate()
    alice, bob = ratchet.begin(bytes(32), prekey.public), ratchet.await_first(bytes(32), prekey)
    alice, header, key = ratchet.seal(alice)
    bob = ratchet.open_with(bob, header).state
    derived = {chain(secret, FIRST) for secret in (alice.sending, alice.root, bob.receiving, bob.root)}
    assert (key in derived) is weak
