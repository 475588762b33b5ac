from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_utils import PrivateKeys
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


@pytest.fixture(params=["weak", "ours"])
def weak(request: pytest.FixtureRequest) -> bool:
    """Whether the target lacks the defence: there the attack must work, or the test would show nothing."""
    return bool(request.param == "weak")


@pytest.fixture(autouse=True)
def quick(quick_database: None, few_prekeys: None) -> None:
    """Towns are made for every test."""
