"""Row 38: whoever may look up as much as they like learns who is here (All the Numbers are US, 2021)."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto_utils import PrivateKeys
from protocol import FetchIdentity, Refusal
from relay.limits import Limits, Rate
from tests.relay.world import World


@pytest.mark.parametrize("asked", [1000])
def test_a_thousand_look_ups(tmp_path: Path, some_keys: list[PrivateKeys], weak: bool, asked: int) -> None:
    limits = Limits(lookups=Rate(10**6, 1)) if weak else Limits()
    world = World(tmp_path / "relay.db", some_keys, limits).with_pair()
    answers = [
        world.reply("alice", FetchIdentity(epoch=0, log_size=0, user_id=f"user{number}")) for number in range(asked)
    ]
    told = sum(isinstance(answer, Refusal) and answer.code == "unknown_user" for answer in answers)
    assert told == (asked if weak else Limits().lookups.burst)
    world.close()
