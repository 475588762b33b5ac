"""Row 22: Mallory registers Bob's public keys as hers; what Alice begins with Mallory is passed on to Bob."""

from __future__ import annotations

import pytest

from errors import CryptoError
from identity import create_record
from key_agreement import PrivatePair
from messenger.account import Account
from messenger.suites import handshake
from messenger.suites.handshake import Agreed, Ours, Party, Theirs


def test_what_was_meant_for_another_is_no_session_of_bob_s(
    weak: bool, monkeypatch: pytest.MonkeyPatch, accounts: tuple[Account, Account]
) -> None:
    alice, bob = accounts
    mallory = create_record(bob.keys, "mallory", created=1, suites=[1, 2])
    if weak:
        monkeypatch.setattr(handshake, "_transcript", lambda *_: b"")
    pair = PrivatePair.generate()
    agreed, begun = handshake.begin(alice, Party(mallory, 1), Theirs(1, pair.public))
    assert (shared_by_bob(bob, alice, pair, begun) == agreed) is weak


def shared_by_bob(bob: Account, alice: Account, pair: PrivatePair, begun: handshake.Handshake) -> Agreed | None:
    try:
        return handshake.answer(bob, Party(alice.record, 1), Ours(pair), begun)
    except CryptoError:
        return None
