from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_utils import PrivateKeys
from tests.messenger.people import Town


@pytest.fixture
def town(tmp_path: Path, some_keys: list[PrivateKeys]) -> Iterator[Town]:
    made = Town(tmp_path, some_keys)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(quick_database: None) -> None:
    """Towns are made for every test."""
