"""Ours beside the peer that comes nearest, and with many clients beside few: both run, a window of each in turn.

A core of a shared machine is half as fast again in one second as in the next. So the windows are short, those of a turn
follow each other directly, and a ratio is the median of what each turn gives.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from typing import Final

from bench.load import Load
from bench.report import heading, median, number
from bench.scenarios import Figures, MakeServer, full_windows, offline, town

TURNS: Final = 25
WINDOW_S: Final = 0.3
MESSAGES: Final = 10_000  # of S3
RATIO: Final = "ratio"  # ends the name of a figure: how many times theirs ours is
Measure = Callable[[], Figures]
Contender = AbstractContextManager[Measure]
Comparison = dict[str, Figures]  # by contender


@contextmanager
def writing(make: MakeServer, *, clients: int, seconds: float = WINDOW_S) -> Iterator[Measure]:
    """S1: run a server, and return what measures a window of it."""
    with town(make, clients) as place, closing(Load(place.clients())) as load:
        yield partial(full_windows, place, load, seconds)


@contextmanager
def storing(make: MakeServer, *, messages: int = MESSAGES) -> Iterator[Measure]:
    """S3: the same."""
    with town(make, 100) as place:
        yield partial(offline, place, slice(0, None, 2), slice(1, None, 2), messages)


def plan(makers: Mapping[str, MakeServer]) -> dict[str, dict[str, Contender]]:
    """Return who is measured beside whom, the first of the servers ours: S1, S3, and ours with many clients and few."""
    ours = next(iter(makers.values()))
    hundred, thousand = partial(writing, clients=100), partial(writing, clients=1000)
    comparisons: dict[str, dict[str, Contender]] = {
        "S1, 100 clients": {name: hundred(make) for name, make in makers.items()},
        "S1, 1,000 clients": {name: thousand(make) for name, make in makers.items()},
        "S3": {name: storing(make) for name, make in makers.items()},
        "S1, clients": {"1,000": thousand(ours), "100": hundred(ours)},
    }
    return {scenario: contenders for scenario, contenders in comparisons.items() if len(contenders) > 1}


def side_by_side(contenders: dict[str, Contender], turns: int = TURNS) -> Comparison:
    """Measure all in turn, the first of them ours.

    Returns:
        The medians of each, and of its rates how many times theirs ours is.
    """
    with ExitStack() as running:
        # Ours comes up last: it asks clients that are silent whether they are still there.
        measures = {name: running.enter_context(contenders[name]) for name in reversed(contenders)}
        for measure in measures.values():
            measure()  # in its first seconds a server gets its memory from the system
        taken = [{name: measures[name]() for name in contenders} for _ in range(turns)]
    first = next(iter(contenders))
    return {name: summary([turn[first] for turn in taken], [turn[name] for turn in taken]) for name in contenders}


def summary(ours: list[Figures], theirs: list[Figures]) -> Figures:
    """Return the medians of somebody's figures, and of the ratios of ours to theirs, turn by turn."""
    ratios = {
        f"{name}_{RATIO}": statistics.median(our[name] / their[name] for our, their in zip(ours, theirs, strict=True))
        for name in theirs[0]
        if name.endswith("per_s")
    }
    return median(theirs) | ratios


def table(compared: Mapping[str, Comparison], versions: Mapping[str, str]) -> str:
    """Return the rates of ours and of whoever is beside it, and how many times theirs ours is."""
    lines = ["| in turns | | | ratio |", "|---|---|---|---|"]
    for scenario, comparison in compared.items():
        (name_of_ours, ours), *others = comparison.items()
        lines += [
            f"| {scenario}: {rate} | {heading(name_of_ours, versions)} {number(ours[rate])} | "
            f"{heading(name, versions)} {number(theirs[rate])} | {theirs[f'{rate}_{RATIO}']:.2f} |"
            for name, theirs in others
            for rate in ours
            if rate.endswith("per_s")
        ]
    return "\n".join(lines)
