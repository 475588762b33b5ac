"""What processes use: CPU time and memory of a server with all its children, and of the load generator."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")  # a second
PAGE: Final = os.sysconf("SC_PAGE_SIZE")  # bytes


def _fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on (proc(5)): the second may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            children.setdefault(int(_fields(int(path.name))[1]), []).append(int(path.name))
        except OSError:  # it has ended
            continue
    return list(_descendants(pid, children))


def _descendants(pid: int, children: dict[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in children.get(pid, []):
        yield from _descendants(child, children)


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process and its children have used, those that ended too."""
    return sum(sum(map(int, _fields(each)[11:15])) for each in family(pid)) / TICKS


def resident(pid: int) -> int:
    """Return the resident memory of a process and its children in bytes."""
    return sum(int(_fields(each)[21]) for each in family(pid)) * PAGE


def own_cpu_s() -> float:
    """Return the seconds of CPU that this process has used, finer than /proc counts."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Busy:
    """How busy the generator and the server were since a moment, each as a share of a core, 0 to 1."""

    def __init__(self, pid: int) -> None:
        """Begin to count.

        Args:
            pid: The server.
        """
        self._pid = pid
        self._wall_s, self._load_s, self._server_s = time.perf_counter(), own_cpu_s(), cpu_s(pid)

    def shares(self) -> dict[str, float]:
        """Return the shares since then."""
        load_s, server_s = own_cpu_s() - self._load_s, cpu_s(self._pid) - self._server_s
        taken = time.perf_counter() - self._wall_s
        return {"load_busy": load_s / taken, "server_busy": server_s / taken}


def open_many_files() -> None:
    """Let this process and those that it starts have as many files as the system allows: each link is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
