from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_utils import PrivateKeys
from tests.relay.world import World


@pytest.fixture
def world(tmp_path: Path, some_keys: list[PrivateKeys]) -> Iterator[World]:
    made = World(tmp_path / "relay.db", some_keys)
    yield made
    made.store.close()
