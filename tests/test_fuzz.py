"""The targets of `make fuzz`, without atheris: their seeds, and some thousand changes of each."""

from __future__ import annotations

import pytest

from fuzz.targets import TARGETS, mutated
from tests.trial import Trial


@pytest.mark.parametrize("name", TARGETS)
def test_only_documented_errors_escape(name: str, trial: Trial) -> None:
    run, seeds = TARGETS[name]
    for seed in seeds():
        run(seed)
        for _ in range(trial.size(300, 20_000)):
            run(mutated(seed, trial.random.randrange))
    for data in (b"", b"\0", b"{}", b"\xff" * 100):
        run(data)
