from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_utils import PrivateKeys
from identity import create_record
from messenger.account import Account
from tests.attacks.stage import Stage
from tests.messenger.people import Town


@pytest.fixture
def stage(tmp_path: Path, some_keys: list[PrivateKeys]) -> Iterator[Stage]:
    town = Town(tmp_path, some_keys, suites=(1,))
    yield Stage(town)
    town.close()


@pytest.fixture
def stage2(tmp_path: Path, some_keys: list[PrivateKeys]) -> Iterator[Stage]:
    """The same people, who speak suite 2."""
    town = Town(tmp_path, some_keys)
    yield Stage(town)
    town.close()


@pytest.fixture
def accounts(some_keys: list[PrivateKeys]) -> tuple[Account, Account]:
    """Alice and Bob without a network, who speak suite 2."""
    alice, bob = (
        Account(name, keys, create_record(keys, name, created=1, suites=[1, 2]))
        for name, keys in zip(("alice", "bob"), some_keys, strict=False)
    )
    return alice, bob


@pytest.fixture(params=["weak", "ours"])
def weak(request: pytest.FixtureRequest) -> bool:
    """Whether the target lacks the defence: there the attack must work, or the test would show nothing."""
    return bool(request.param == "weak")


@pytest.fixture(autouse=True)
def quick(quick_database: None, few_prekeys: None) -> None:
    """Towns are made for every test."""
