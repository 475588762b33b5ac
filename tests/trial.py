"""What every fault test shares: a seed that repeats it, two sizes, and figures that `make soak` writes down."""

from __future__ import annotations

import json
import random
import re
import subprocess
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RELIABILITY = ROOT / "docs" / "RELIABILITY.md"


@dataclass
class Trial:
    """One run of a fault test."""

    seed: int
    soak: bool
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.figures["seed"] = self.seed

    def size(self, quick: int, soak: int) -> int:
        """Return how often to do something: in `make test`, and in `make soak`."""
        self.figures["size"] = soak if self.soak else quick
        return soak if self.soak else quick

    def note(self, **figures: float) -> None:
        """Keep what was seen."""
        self.figures.update(figures)
        print(self.figures)


def players() -> dict[str, str]:
    """Read in docs/RELIABILITY.md which test, or file of tests, plays which fault."""
    played, path = dict[str, str](), ""
    for row, tests in re.findall(r"^\| (R-\d\d) \| .+? \| (.+) \|$", RELIABILITY.read_text("utf-8"), re.MULTILINE):
        for file, test in re.findall(r"`(tests/[\w/]+\.py)?(::test_\w+)?`", tests):
            path = file or path
            played[path + test] = row
    return played


class Outcome(NamedTuple):
    """What became of a test."""

    test: str
    fault: str  # that it plays; empty for one that only lends a hand
    outcome: str
    seconds: float
    figures: dict[str, Any]


def summed(outcomes: list[Outcome]) -> list[Outcome]:
    """Make one of a test's many cases, in the order of the faults; it has passed if all of them have."""

    def name(each: Outcome) -> tuple[str, str]:
        return each.fault or "-", each.test.partition("[")[0]

    together = []
    for (_, test), cases in groupby(sorted(outcomes, key=name), name):
        (first, *others) = cases
        worst = next((each for each in (first, *others) if each.outcome != "passed"), first)
        figures = first.figures | ({"cases": 1 + len(others)} if others else {})
        seconds = sum(each.seconds for each in (first, *others))
        together.append(Outcome(test, first.fault, worst.outcome, seconds, figures))
    return together


def commit() -> str:
    """Return what was tested; `-dirty` says that it is not quite what was committed."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def write_results(outcomes: list[Outcome], path: Path) -> None:
    """Write one JSON line a test."""
    common = {"seed": None, "commit": commit()}
    lines = [
        {"figure": each.fault, "test": each.test, "outcome": each.outcome, "seconds": round(each.seconds, 1)}
        | common
        | each.figures
        for each in outcomes
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def table(outcomes: list[Outcome]) -> list[str]:
    """Return the same for people."""
    rows = ["| | test | outcome | s | figures |", "|---|---|---|---|---|"]
    for each in outcomes:
        figures = ", ".join(
            f"{name} {value:,}" if name != "seed" else f"seed {value}" for name, value in each.figures.items()
        )
        test = each.test.rpartition("::")[2]
        rows.append(f"| {each.fault} | {test} | {each.outcome} | {each.seconds:.0f} | {figures} |")
    return rows
