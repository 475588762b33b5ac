"""Row 35: whoever registers a number again gets what is written to it (SIM swaps; the seed forgot its users)."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto_utils import PrivateKeys
from errors import Code
from identity import identity_hash
from protocol import Registered, RequestCode
from relay.accounts import Accounts
from tests.relay.world import World


def test_a_number_is_registered_again(
    tmp_path: Path, some_keys: list[PrivateKeys], weak: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "relay.db", some_keys).with_pair()

    def make_room(_accounts: Accounts, user_id: str) -> None:
        world.store.erase(user_id)

    if weak:
        monkeypatch.setattr(Accounts, "_check_room", make_room)
    world.crash()  # also after a restart
    world.visit("thief")
    record = world.identity("bob", 2)
    if weak:
        assert isinstance(world.register_with("thief", record, world.code("thief", record)), Registered)
        return
    request = RequestCode(identity_hash=identity_hash(record), user_id="bob")
    assert world.refusal("thief", request) is Code.ALREADY_REGISTERED
    assert world.register_with("thief", record, "123456").code is Code.CODE_EXPIRED
    world.close()
