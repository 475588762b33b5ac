"""Where a benchmark ran, without naming it: the machine, and which version of each server was there."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import ssl
import subprocess
import tempfile
import time
import timeit
from pathlib import Path
from typing import Any

from command_line import VERSION


def machine() -> dict[str, Any]:
    """Describe it."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "python_loop_ns": round(python_loop_ns()),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        "fsync_us": round(fsync_us()),
    }


def python_loop_ns() -> float:
    """Return what a turn of a loop that calls something takes: how fast the machine runs Python just now."""
    number = 1_000_000
    return 1e9 * min(timeit.repeat("sum(1, 2)", "def sum(a, b): return a + b", number=number)) / number


def fsync_us() -> float:
    """Return what writing 4 KiB and waiting for the disk takes: the limit of one commit a message."""
    with tempfile.NamedTemporaryFile() as file:
        began = time.perf_counter()
        for _ in range(100):
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
        return (time.perf_counter() - began) / 100 * 1e6


def versions(packages: dict[str, str]) -> dict[str, str]:
    """Return our version and those of the peers, by name, as Debian's package database has them.

    Args:
        packages: The package of each peer, by its name.
    """
    return {"SecureChat": VERSION} | {name: package_version(package) for name, package in packages.items()}


def package_version(package: str) -> str:
    """Return a package's version less what Debian adds to it; a question mark when it is not known."""
    if not shutil.which("dpkg-query"):
        return "?"
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
    )
    found = re.match(r"(?:\d+:)?([^-+~]+)", asked.stdout)
    return found[1] if found else "?"
