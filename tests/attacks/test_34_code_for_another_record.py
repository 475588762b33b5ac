"""Row 34: a code that was sent for one person's keys registers somebody else's (a proxy that swaps the record)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from crypto_utils import PrivateKeys, RSAPrivateKey
from identity import identity_hash, open_code
from protocol import Registered
from tests.relay.world import World


def test_a_code_is_moved_to_another_record(
    tmp_path: Path, some_keys: list[PrivateKeys], weak: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where both are given the same six digits: the code is encrypted for one identity."""
    monkeypatch.setattr("relay.accounts.secrets.randbelow", lambda _: 731942)
    world = World(tmp_path / "relay.db", some_keys)
    victims, thiefs = world.identity("victim", 0), world.identity("victim", 1)
    if weak:

        def for_anybody(key: RSAPrivateKey, encrypted: bytes, _identity: bytes) -> str:
            return open_code(key, encrypted, identity_hash(victims))

        monkeypatch.setattr("relay.accounts.open_code", for_anybody)
    world.visit("victim")
    world.visit("thief", "198.51.100.7")
    intercepted = world.register_frame(victims, world.code("victim", victims))
    world.code("thief", thiefs)  # which comes to the victim, not to the thief
    answer = world.reply("thief", msgspec.structs.replace(intercepted, record=thiefs))
    assert isinstance(answer, Registered) is weak
    world.close()
