"""Row 25: a public key of low order, with which everybody knows the secret (vodozemac, 2026)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from errors import CryptoError
from key_agreement import PrivatePair
from messenger.account import Account
from messenger.suites import handshake, ratchet
from messenger.suites.handshake import Party, Theirs

LOW = [bytes(32), b"\1" + bytes(31), bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")]


def all_zero(ours: X25519PrivateKey, theirs: X25519PublicKey) -> bytes:
    try:
        return ours.exchange(theirs)
    except ValueError:
        return bytes(32)


@pytest.mark.parametrize("point", LOW)
def test_a_prekey_that_gives_the_secret_away(
    weak: bool, point: bytes, monkeypatch: pytest.MonkeyPatch, accounts: tuple[Account, Account]
) -> None:
    alice, bob = accounts
    low = replace(PrivatePair.generate().public, x25519=X25519PublicKey.from_public_bytes(point))
    if weak:
        monkeypatch.setattr(handshake, "exchange", all_zero)
        monkeypatch.setattr(ratchet, "exchange", all_zero)
    begun = True
    try:
        handshake.begin(alice, Party(bob.record, 1), Theirs(1, low))
        ratchet.begin(bytes(32), low)
    except CryptoError:
        begun = False
    assert begun is weak
