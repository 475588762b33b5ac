"""Row 23: a thief of all of Bob's secrets poses to him as Alice."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from errors import CryptoError
from key_agreement import PrivatePair, exchange
from messenger.account import Account
from messenger.suites import handshake
from messenger.suites.handshake import Handshake, Ours, Party


def test_a_session_in_the_name_of_somebody_whose_keys_are_safe(
    weak: bool, monkeypatch: pytest.MonkeyPatch, accounts: tuple[Account, Account]
) -> None:
    alice, bob = accounts
    if weak:
        monkeypatch.setattr(handshake, "verify", lambda *_: None)
    prekey, ephemeral = PrivatePair.generate(), X25519PrivateKey.generate()
    secret, ciphertext = prekey.public.encapsulate()
    begun = Handshake(ephemeral.public_key().public_bytes_raw(), 1, 0, ciphertext, bytes(3309))
    transcript = handshake._transcript(
        Party(alice.record, 1), Party(bob.record, 1), handshake.Theirs(1, prekey.public), begun.ephemeral, ciphertext
    )
    forged = handshake._agree(
        [  # the first without Alice's private key, by Bob's
            exchange(prekey.x25519, alice.keys.x25519.public_key()),
            exchange(ephemeral, bob.keys.x25519.public_key()),
            exchange(ephemeral, prekey.public.x25519),
            secret,
        ],
        transcript,
    )
    try:
        accepted = handshake.answer(bob, Party(alice.record, 1), Ours(prekey), begun) == forged
    except CryptoError:
        accepted = False
    assert accepted is weak
