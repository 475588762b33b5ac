"""Row 20: one account takes all of Bob's one-time prekeys (Prekey Pogo, WOOT 2025)."""

from __future__ import annotations

from pathlib import Path

from crypto_utils import PrivateKeys
from errors import Code
from messenger.suites import own_prekeys
from protocol import FetchPrekeys, Prekeys, Refusal
from relay.limits import Limits, Rate
from tests.messenger.people import Town


def test_one_account_empties_the_shelf(weak: bool, tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    none = Rate(burst=10**6, every_s=1)
    limits = Limits(one_time_prekeys_each=none, prekey_fetches=none) if weak else Limits()
    town = Town(tmp_path, some_keys, limits)
    town.person("bob", away=True)
    town.person("mallory")
    town.world.visit("mallory again")
    town.world.do("mallory again", town.world.login_frame("mallory", town.world.visit("mallory again")))
    got = [town.world.reply("mallory again", FetchPrekeys(device_id=1, user_id="bob")) for _ in range(120)]
    assert all(isinstance(reply, Prekeys | Refusal) for reply in got)
    left = town.world.store.prekeys.count_one_time(("bob", 1))
    assert (left == 0) is weak
    assert left in {0, own_prekeys.ONE_TIME - 3}
    assert all(reply.code is Code.RATE_LIMITED for reply in got if isinstance(reply, Refusal))
    town.close()
