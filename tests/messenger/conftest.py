from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crypto_utils import PrivateKeys
from messenger.suites import SPOKEN
from tests.messenger.people import Town


@pytest.fixture
def town(request: pytest.FixtureRequest, tmp_path: Path, some_keys: list[PrivateKeys]) -> Iterator[Town]:
    suites = (1,) if request.node.get_closest_marker("suite_1") else SPOKEN
    made = Town(tmp_path, some_keys, suites=suites)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(quick_database: None, few_prekeys: None) -> None:
    """Towns are made for every test."""
