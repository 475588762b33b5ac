"""Row 21: the same secret under another KEM key (the analysis of PQXDH, 2024)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from key_agreement import PrivatePair
from messenger.account import Account
from messenger.suites import handshake
from messenger.suites.handshake import Party, Theirs


def test_a_secret_says_for_which_keys_it_was_made(
    weak: bool, monkeypatch: pytest.MonkeyPatch, accounts: tuple[Account, Account]
) -> None:
    """Whoever can have the same value come out of two encapsulations must not have the same secret come out of both."""
    alice, bob = accounts
    if weak:
        monkeypatch.setattr(handshake, "_transcript", lambda *_: b"")
    one, other = PrivatePair.generate().public, PrivatePair.generate().public
    secrets = [bytes(32)] * 4
    agreed = [
        handshake._agree(
            secrets,
            handshake._transcript(
                Party(alice.record, 1), Party(bob.record, 1), Theirs(1, replace(one, mlkem=key)), bytes(32), bytes(1088)
            ),
        )
        for key in (one.mlkem, other.mlkem)
    ]
    assert (agreed[0].shared == agreed[1].shared) is weak
