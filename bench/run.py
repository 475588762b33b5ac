"""`make bench`: every scenario for every server that is installed, in one run, and one table of ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
import ssl
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench import scenarios
from bench.peers.mosquitto import MosquittoServer
from bench.peers.nats import NatsServer
from bench.peers.xmpp import EjabberdServer, ProsodyServer
from bench.securechat import SecureChatServer

ROOT: Final = Path(__file__).resolve().parents[1]
Figures = dict[str, float]
PEERS: Final = (
    ("mosquitto", "Mosquitto", MosquittoServer),
    ("nats-server", "NATS JetStream", NatsServer),
    ("ejabberdctl", "ejabberd", EjabberdServer),
    ("prosody", "Prosody", ProsodyServer),
)


def servers() -> dict[str, scenarios.MakeServer]:
    """Return what there is to measure."""
    found: dict[str, scenarios.MakeServer] = {"SecureChat": SecureChatServer}
    for command, name, peer in PEERS:
        if shutil.which(command):
            found[f"{name}, TLS"] = partial(peer, tls=True)
            found[f"{name}, plain"] = partial(peer, tls=False)
    return found


def plan(seconds: float, seed: int) -> dict[str, Callable[[scenarios.MakeServer], Figures]]:
    """Return the scenarios by name."""
    return {
        "S1, 10 clients": partial(scenarios.throughput, clients=10, seconds=seconds),
        "S1, 100 clients": partial(scenarios.throughput, clients=100, seconds=seconds),
        "S1, 1,000 clients": partial(scenarios.throughput, clients=1000, seconds=seconds),
        "S1, 16 KiB": partial(scenarios.throughput, clients=100, seconds=seconds, size=16 * 1024),
        "S2": partial(scenarios.latency, seconds=seconds),
        "S3": scenarios.store_and_drain,
        "S4": scenarios.memory,
        "crash": partial(scenarios.crash, seed=seed),
    }


def machine() -> dict[str, Any]:
    """Describe where this ran, without naming it."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    version = (
        subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout
        if shutil.which("mosquitto")
        else ""
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        "mosquitto": version.partition("\n")[0],
        "fsync_us": round(fsync_us()),
    }


def fsync_us() -> float:
    """Return what writing 4 KiB and waiting for the disk takes: the limit of one commit a message."""
    with tempfile.NamedTemporaryFile(dir=tempfile.gettempdir()) as file:
        began = time.perf_counter()
        for _ in range(100):
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
        return (time.perf_counter() - began) / 100 * 1e6


def median(runs: list[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def table(results: dict[str, dict[str, Figures]]) -> str:
    """Return the figures of each server, and in brackets ours as a multiple of it."""
    names = list(results)
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for scenario, ours in results[names[0]].items():
        for figure, value in ours.items():
            cells = [f"{value:,.2f}" if value < 10 else f"{value:,.0f}"]
            for name in names[1:]:
                theirs = results[name][scenario][figure]
                ratio = f" ({value / theirs:.2f})" if theirs else ""
                cells.append(f"{theirs:,.2f}{ratio}" if theirs < 10 else f"{theirs:,.0f}{ratio}")
            lines.append(f"| {scenario}: {figure} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="medians of so many (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="a window (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", help="scenarios whose name begins so")
    options = parser.parse_args()
    os.sched_setaffinity(0, {scenarios.LOAD_CORE})
    results: dict[str, dict[str, Figures]] = {name: {} for name in servers()}
    for scenario, run in plan(options.seconds, options.seed).items():
        if options.only and not scenario.startswith(options.only):
            continue
        for name, make in servers().items():
            results[name][scenario] = median([run(make) for _ in range(options.rounds)])
            print(name, scenario, {key: round(value, 2) for key, value in results[name][scenario].items()}, flush=True)
    print(table(results))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kept = {"commit": commit.stdout.strip(), "seed": options.seed, "machine": machine(), "results": results}
    path = ROOT / "bench" / "results" / f"{time.strftime('%Y-%m-%d')}-{kept['commit']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
