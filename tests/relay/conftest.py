from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crypto_utils import PrivateKeys
from relay.limits import Limits
from tests.relay.world import World


@pytest.fixture
def make_world(tmp_path: Path, some_keys: list[PrivateKeys]) -> Iterator[Callable[..., World]]:
    """Make worlds with other limits than the usual."""
    made: list[World] = []

    def make(**limits: object) -> World:
        made.append(World(tmp_path / f"relay{len(made)}.db", some_keys, Limits(**limits)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture
def pair(world: World) -> World:
    """Alice and Bob, registered; Alice is logged in."""
    return world.with_pair()
