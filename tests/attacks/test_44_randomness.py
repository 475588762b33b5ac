"""Row 44: keys from a generator that can be guessed, or with fewer bits than they seem to have."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests.test_architecture import ROOT, SOURCES, imports, name_of

SPREADS_RECONNECTS = {"session"}  # and nothing else there
WEAK = ["import random\nkey = random.randbytes(32)", "from random import getrandbits", "from numpy.random import bytes"]


def guessable(found: set[str]) -> bool:
    return any("random" in name.split(".") for name in found)


@pytest.mark.parametrize("text", WEAK)
def test_a_program_with_weak_keys_is_found(text: str, tmp_path: Path) -> None:
    path = tmp_path / "weak.py"
    path.write_text(text)
    assert guessable(imports(path))


def test_randomness_comes_from_the_operating_system() -> None:
    assert {name_of(path) for path in SOURCES if guessable(imports(path))} == SPREADS_RECONNECTS


def test_no_secret_is_shorter_than_128_bits() -> None:
    """But for the six digits of a code, of which there are three guesses."""
    sizes = [size for path in SOURCES for size in drawn(path)]
    assert len(sizes) >= 3
    assert min(sizes) >= 16


def constant(path: Path, name: str) -> int:
    """Return a number that a module has given a name, or has imported."""
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    value = getattr(module, name)
    assert isinstance(value, int)
    return value


def drawn(path: Path) -> list[int]:
    """Return how many bytes are drawn where a number says so, or a constant whose name ends in SIZE."""
    sizes: list[int] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "secrets.token_bytes":
            (size,) = node.args
            if isinstance(size, ast.Constant):
                assert isinstance(size.value, int)
                sizes.append(size.value)
            elif isinstance(size, ast.Name):
                sizes.append(constant(path, size.id))
    return sizes
