"""The one table of a run: figures of every server, ours as multiples of theirs, and how cost grows."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Final

from bench.scenarios import Figures

Results = Mapping[str, Mapping[str, Figures]]  # by server, by scenario
S1, CROWD, ROWS = "S1, 100 clients", "S1, S4, 5,000 clients", "rows, 1,000"
GROWTH: Final = (  # scenarios, and what each is compared with
    *((scenario, S1) for scenario in ("S1, 10 clients", "S1, 1,000 clients", CROWD)),
    *((scenario, S1) for scenario in ("S1, 200 B", "S1, 16 KiB", "S1, 64 KiB")),
    *((f"rows, {rows}", ROWS) for rows in ("10,000", "100,000", "1,000,000")),
)


def median(runs: list[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def compared(figure: str) -> bool:
    """Tell whether a ratio of it says something: not of how busy somebody was, nor of what was counted once."""
    return not figure.endswith(("_busy", "wire_bytes")) and figure not in {"accepted", "lost"}


def number(value: float) -> str:
    """Write a figure with no more digits than it has meaning."""
    return f"{value:,.2f}" if abs(value) < 10 and value != int(value) else f"{value:,.0f}"


def heading(name: str, versions: Mapping[str, str]) -> str:
    """Return a server's name with its version: `Mosquitto 2.0.11, TLS`."""
    product, comma, kind = name.partition(",")
    return f"{product} {versions[product]}{comma}{kind}" if product in versions else name


def table(results: Results, versions: Mapping[str, str]) -> str:
    """Return the figures of each server, in brackets the first's as a multiple of it, and then how cost grows."""
    names = list(results)
    lines = ["| | " + " | ".join(heading(name, versions) for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    rows = dict.fromkeys(
        (scenario, figure) for server in results.values() for scenario in server for figure in server[scenario]
    )
    for scenario, figure in rows:
        values = [server.get(scenario, {}).get(figure) for server in results.values()]
        lines.append(f"| {scenario}: {figure} | " + " | ".join(cells(values, ratios=compared(figure))) + " |")
    return "\n".join(lines + growth(results))


def cells(values: list[float | None], *, ratios: bool) -> Iterator[str]:
    """Write a row's figures, with the ratio to the first where that is wanted and there is one."""
    for place, value in enumerate(values):
        if value is None:
            yield ""
        elif ratios and place and value and values[0] is not None:
            yield f"{number(value)} ({values[0] / value:.2f})"
        else:
            yield number(value)


def growth(results: Results) -> list[str]:
    """Return the rows that say how much of its rate each server keeps when there is more of something."""
    lines = []
    for scenario, base in GROWTH:
        for figure in dict.fromkeys(figure for server in results.values() for figure in server.get(scenario, {})):
            shares = [kept(server, scenario, base, figure) for server in results.values()]
            if figure.endswith("per_s") and any(shares):
                lines.append(f"| {scenario}, of {base}: {figure} | " + " | ".join(shares) + " |")
    return lines


def kept(server: Mapping[str, Figures], scenario: str, base: str, figure: str) -> str:
    """Return a figure as a multiple of the same in another scenario."""
    value, whole = server.get(scenario, {}).get(figure), server.get(base, {}).get(figure)
    return f"{value / whole:.2f}" if value is not None and whole else ""
