"""`make bench`: every scenario for every server that is installed, in one run, and one table of ratios."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from bench import client, limits, passing, scenarios, turns
from bench.machine import machine, versions
from bench.peers.mosquitto import MosquittoServer
from bench.peers.nats import NatsServer
from bench.peers.xmpp import EjabberdServer, ProsodyServer
from bench.picture import picture
from bench.processes import open_many_files
from bench.report import CROWD, median, table
from bench.scenarios import Figures
from bench.securechat import SecureChatServer

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "bench" / "results"
PARTIAL: Final = "partial.json"  # of a run that left something out
LEAST_ROUNDS: Final = 3
OURS: Final = "SecureChat"
PEERS: Final = (  # command, Debian package, name, class
    ("mosquitto", "mosquitto", "Mosquitto", MosquittoServer),
    ("nats-server", "nats-server", "NATS JetStream", NatsServer),
    ("ejabberdctl", "ejabberd", "ejabberd", EjabberdServer),
    ("prosody", "prosody", "Prosody", ProsodyServer),
)
BULK: Final = "S3, 100,000 messages"
TOO_SLOW: Final = ("ejabberd", "Prosody")  # for that: they store some thousand a second, and fewer the more wait
NEAREST: Final = "Mosquitto, TLS"
LIMITS: Final = ("S1, limits", "S3, limits")  # of passing on and of storing as we do it: no server is asked
FAILURES: Final = (OSError, AssertionError, subprocess.SubprocessError)  # a peer that does not come up, or stops
T = TypeVar("T")


def servers() -> dict[str, scenarios.MakeServer]:
    """Return what there is to measure."""
    found: dict[str, scenarios.MakeServer] = {OURS: SecureChatServer}
    for command, _, name, peer in PEERS:
        if shutil.which(command):
            found[f"{name}, TLS"] = partial(peer, tls=True)
            found[f"{name}, plain"] = partial(peer, tls=False)
    return found


def plan(seconds: float, seed: int) -> dict[str, Callable[[scenarios.MakeServer], Figures]]:
    """Return the scenarios by name."""
    s1 = partial(scenarios.throughput, seconds=seconds)
    return {
        "S1, 10 clients": partial(s1, clients=10),
        "S1, 100 clients": s1,
        "S1, 1,000 clients": partial(s1, clients=1000),
        CROWD: partial(scenarios.crowd, seconds=seconds),
        "S1, 200 B": partial(s1, size=200),
        "S1, 16 KiB": partial(s1, size=16 * 1024),
        "S1, 64 KiB": partial(s1, size=64 * 1024),
        "S1, limits": lambda _make: passing.figures(seconds=seconds),
        "S2": partial(scenarios.latency, seconds=2 * seconds),
        "S3": scenarios.store_and_drain,
        BULK: partial(scenarios.store_and_drain, messages=100_000),
        "S3, limits": lambda _make: limits.figures(),
        "crash": partial(scenarios.crash, seed=seed),
        **{f"rows, {rows:,}": partial(scenarios.rows, waiting=rows) for rows in (1000, 10_000, 100_000, 1_000_000)},
    }


def wanted(options: argparse.Namespace) -> dict[str, scenarios.MakeServer]:
    """Return the servers that the options name."""
    return {name: make for name, make in servers().items() if name.startswith(tuple(options.servers))}


def chosen(options: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[], Figures]]]:
    """Return what the options name: server, scenario, and what measures the one in the other."""
    makers = wanted(options)
    for scenario, run in plan(options.seconds, options.seed).items():
        for name, make in makers.items():
            if scenario.startswith(tuple(options.only)) and takes_part(name, scenario):
                yield name, scenario, partial(run, make)


def takes_part(name: str, scenario: str) -> bool:
    """Tell whether a scenario is for a server."""
    if scenario.startswith("rows") or scenario in LIMITS:
        return name == OURS
    return scenario != BULK or not name.startswith(TOO_SLOW)


def measure(options: argparse.Namespace) -> tuple[dict[str, dict[str, Figures]], list[str]]:
    """Run what the options name, all of it once and then again: a machine that slows down does so for everybody.

    Returns:
        The medians by server and scenario, and what failed.
    """
    runs: dict[str, dict[str, list[Figures]]] = {name: {} for name, _, _ in chosen(options)}  # ours is the first
    failed: list[str] = []
    for number in range(1, options.rounds + 1):
        for name, scenario, run in chosen(options):
            figures = attempt(f"{name}, {scenario}", run, failed)
            if figures is not None:
                runs[name].setdefault(scenario, []).append(figures)
                show(f"{number} {name} {scenario}", figures)
    return {name: {scenario: median(each) for scenario, each in of.items()} for name, of in runs.items()}, failed


def in_turns(options: argparse.Namespace, failed: list[str]) -> dict[str, turns.Comparison]:
    """Measure ours beside the peer that comes nearest, in turns."""
    beside = {name: make for name, make in wanted(options).items() if name in {OURS, NEAREST}}
    if OURS not in beside:
        return {}
    compared: dict[str, turns.Comparison] = {}
    for scenario, contenders in turns.plan(beside).items():
        comparison = attempt(f"{OURS}, in turns, {scenario}", partial(turns.side_by_side, contenders), failed)
        if comparison is not None:
            compared[scenario] = comparison
            for name, figures in comparison.items():
                show(f"in turns {scenario} {name}", figures)
    return compared


def attempt(what: str, run: Callable[[], T], failed: list[str]) -> T | None:
    """Measure something; when that fails, say so, and let the rest go on."""
    try:
        return run()
    except FAILURES as error:
        failed.append(f"{what}: {type(error).__name__} {error}"[:300])
        print(failed[-1], flush=True)
        return None


def show(what: str, figures: Figures) -> None:
    """Print figures as soon as they are there."""
    print(what, {key: round(value, 2) for key, value in figures.items()}, flush=True)


def is_whole(options: argparse.Namespace, failed: list[str]) -> bool:
    """Tell whether all was measured, often enough; what failed of a peer is named in the figures, and no reason."""
    everything = options.only == options.servers == [""]
    return everything and options.rounds >= LEAST_ROUNDS and not any(each.startswith(OURS) for each in failed)


def keep(kept: dict[str, Any], *, whole: bool) -> Path:
    """Write the figures; those of a part never take the place of those of a whole run."""
    path = RESULTS / (f"{time.strftime('%Y-%m-%d')}-{kept['commit']}.json" if whole else PARTIAL)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return path


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help="medians of so many (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1, help="a window (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="when the crash comes")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        metavar="NAME",
        help="scenarios that begin so, `turns`: ours beside the nearest, or `client`: the client's side",
    )
    parser.add_argument("--servers", nargs="+", default=[""], metavar="NAME", help="servers that begin so")
    return parser.parse_args()


def main() -> int:
    """Measure, print the table, keep the figures, and draw them when the run was whole."""
    options = arguments()
    open_many_files()
    os.sched_setaffinity(0, {scenarios.LOAD_CORE})
    results, failed = measure(options)
    of_turns = in_turns(options, failed) if "turns".startswith(tuple(options.only)) else {}
    of_client = client.figures() if "client".startswith(tuple(options.only)) else {}
    known = versions({name: package for _, package, name, _ in PEERS})
    if any(results.values()):
        print(table(results, known))
    if of_turns:
        print(turns.table(of_turns, known))
    if of_client:
        print(client.table(of_client))
    whole = is_whole(options, failed)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kept = {
        "commit": commit.stdout.strip(), "seed": options.seed, "rounds": options.rounds, "seconds": options.seconds,
        "machine": machine(), "versions": known, "results": results, "turns": of_turns,
        "client": of_client, "failed": failed,
    }  # fmt: skip
    path = keep(kept, whole=whole)
    print(f"figures in {path.relative_to(ROOT)}")
    if whole:
        (ROOT / "docs" / "performance.svg").write_text(picture(kept), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
