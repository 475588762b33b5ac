"""What is measured: S1 to S4 and the crash, the same for every server."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from bench.load import Busy, Client, Load

WINDOW: Final = 16  # messages in flight a sender
CORES: Final = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]


class Server(Protocol):
    """A server under load."""

    process: Any

    def start(self) -> None:
        """Start it, on the files that are there."""

    def log_in(self, user_id: str, partner: str, *, size: int = 1024) -> Client:
        """Return a logged-in client."""

    def kill(self) -> None:
        """Kill it, without a chance to write anything."""

    def stop(self) -> None:
        """End it."""


MakeServer = Callable[..., Server]


@dataclass(slots=True)
class Town:
    """A running server and the names of its accounts; each even one writes to the odd one after it."""

    server: Server
    names: list[str]

    def clients(self, which: slice = slice(None), *, size: int = 1024) -> list[Client]:
        """Log accounts in."""
        places = range(len(self.names))[which]
        return [self.server.log_in(self.names[place], self.names[place ^ 1], size=size) for place in places]


@contextmanager
def town(make: MakeServer, clients: int) -> Iterator[Town]:
    """Run a server with so many accounts."""
    folder = Path(tempfile.mkdtemp())
    names = [f"user{number:05}" for number in range(clients)]
    server = make(folder / "server", names, pin=SERVER_CORE)
    try:
        yield Town(server, names)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def throughput(make: MakeServer, *, clients: int = 100, seconds: float = 3, size: int = 1024) -> dict[str, float]:
    """S1 and S5: messages a second that were accepted and arrived; three windows, their median."""
    with town(make, clients) as place:
        load = Load(place.clients(size=size))
        load.keep_in_flight(load.clients[::2], WINDOW)
        load.run(seconds / 2)
        rates, busy = [], Busy()
        for _ in range(3):
            began, accepted, delivered = time.perf_counter(), load.accepted, load.delivered
            load.run(seconds)
            taken = time.perf_counter() - began
            rates.append(min(load.accepted - accepted, load.delivered - delivered) / taken)
        share = busy.share()
        load.stop_sending()
        load.run_until("delivered", load.sent, timeout_s=30)
        load.close()
    return {"per_s": statistics.median(rates), "load_busy": share}


def latency(make: MakeServer, *, rate: int = 500, seconds: float = 5) -> dict[str, float]:
    """S2: from the sender's socket to the recipient's, at a steady rate, in microseconds."""
    with town(make, 100) as place:
        load = Load(place.clients())
        load.watched = True
        senders = load.clients[::2]
        sent: list[float] = []
        began = time.perf_counter()
        while (now := time.perf_counter()) < began + seconds:
            if now >= began + len(sent) / rate:
                sent.append(now)
                load.send(senders[len(sent) % len(senders)])
            load.step(max(0.0, began + len(sent) / rate - time.perf_counter()))
        load.run_until("delivered", load.sent, timeout_s=30)
        taken = sorted(1e6 * (arrived - sent[number]) for number, arrived in load.arrivals)
        load.close()
    return {"p50_us": taken[len(taken) // 2], "p99_us": taken[len(taken) * 99 // 100]}


def store_and_drain(make: MakeServer, *, messages: int = 10_000) -> dict[str, float]:
    """S3: messages a second for accounts that are offline, and then to them when they come back."""
    with town(make, 100) as place:
        Load(place.clients(slice(1, None, 2))).close()  # they were there once
        time.sleep(0.5)
        load = Load(place.clients(slice(0, None, 2)))
        began = time.perf_counter()
        for sender in load.clients:
            load.send(sender, messages // len(load.clients))
        load.run_until("accepted", messages, timeout_s=60)
        stored = time.perf_counter() - began
        load.close()
        began = time.perf_counter()
        drain = Load(place.clients(slice(1, None, 2)))
        drain.run_until("delivered", messages, timeout_s=60)
        drained = time.perf_counter() - began
        drain.close()
    return {"store_per_s": messages / stored, "drain_per_s": messages / drained}


def memory(make: MakeServer, *, clients: int = 1000) -> dict[str, float]:
    """S4: bytes of resident memory an idle link."""
    with town(make, clients) as place:
        before = resident(place.server.process.pid)
        load = Load(place.clients())
        load.run(1)
        used = resident(place.server.process.pid) - before
        load.close()
    return {"bytes_per_link": used / clients}


def resident(pid: int) -> int:
    """Return a process's resident memory in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def crash(make: MakeServer, *, seed: int) -> dict[str, float]:
    """Kill -9 in the middle of storing for offline accounts; count what was accepted and never arrives."""
    with town(make, 100) as place:
        Load(place.clients(slice(1, None, 2))).close()
        time.sleep(0.5)
        load = Load(place.clients(slice(0, None, 2)))
        load.keep_in_flight(load.clients, WINDOW)
        load.run(random.Random(seed).uniform(0.5, 1.5))
        place.server.kill()
        accepted = load.accepted_numbers()
        load.close()
        place.server.start()
        drain = Load(place.clients(slice(1, None, 2)))
        drain.watched = True
        while drain.delivered < len(accepted):
            before = drain.delivered
            drain.run(1)
            if drain.delivered == before:
                break
        lost = accepted - {number for number, _ in drain.arrivals}
        drain.close()
    return {"accepted": len(accepted), "lost": len(lost)}
