"""Row 33: whoever can guess often enough registers any number."""

from __future__ import annotations

from pathlib import Path

from crypto_utils import PrivateKeys
from protocol import Registered
from relay.limits import Limits
from tests.relay.world import World


def test_the_right_code_comes_too_late(tmp_path: Path, some_keys: list[PrivateKeys], weak: bool) -> None:
    world = World(tmp_path / "relay.db", some_keys, Limits(code_guesses=10**6) if weak else Limits())
    world.visit("thief")
    record = world.identity("victim", 0)
    right = world.code("thief", record)
    for guess in range(5):
        world.register_with("thief", record, f"{(int(right) + 1 + guess) % 10**6:06}")
    assert isinstance(world.register_with("thief", record, right), Registered) is weak
    world.close()
