"""What every fault test shares: a seed that repeats it, two sizes, and figures that `make soak` writes down."""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]


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


class Outcome(NamedTuple):
    """What became of a trial."""

    test: str
    outcome: str
    seconds: float
    figures: dict[str, Any]


def write_results(outcomes: list[Outcome], path: Path) -> None:
    """Write one JSON line a test."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = [
        {"test": each.test, "outcome": each.outcome, "seconds": round(each.seconds, 1), "commit": commit} | each.figures
        for each in outcomes
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def table(outcomes: list[Outcome]) -> list[str]:
    """Return the same for people."""
    rows = ["| test | outcome | s | figures |", "|---|---|---|---|"]
    for each in outcomes:
        figures = ", ".join(
            f"{name} {value:,}" if name != "seed" else f"seed {value}" for name, value in each.figures.items()
        )
        rows.append(f"| {each.test.rpartition('::')[2]} | {each.outcome} | {each.seconds:.0f} | {figures} |")
    return rows
