"""What is measured: S1 to S5 and the crash, the same for every server; and what our own does while many rows wait."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from bench.load import Client, Load
from bench.processes import Busy, resident

Figures = dict[str, float]
WINDOW: Final = 16  # messages in flight a sender
AT_ONCE: Final = 200  # messages that a sender of S3 sends before it waits for the replies
LOGINS_AT_ONCE: Final = 64  # so many that no server waits for a client, or for TCP's delayed acknowledgements
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
        """Log accounts in, many at a time: one after the other, each side would wait for the other one."""
        places = range(len(self.names))[which]
        with ThreadPoolExecutor(LOGINS_AT_ONCE) as threads:
            return list(
                threads.map(
                    lambda place: self.server.log_in(self.names[place], self.names[place ^ 1], size=size), places
                )
            )

    def busy(self) -> Busy:
        """Begin to count how busy the two sides are."""
        return Busy(self.server.process.pid)


@contextmanager
def town(make: MakeServer, clients: int) -> Iterator[Town]:
    """Run a server with so many accounts."""
    folder = Path(tempfile.mkdtemp())
    names = [f"user{number:05}" for number in range(clients)]
    try:
        server = make(folder / "server", names, pin=SERVER_CORE)
        try:
            yield Town(server, names)
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def throughput(make: MakeServer, *, clients: int = 100, seconds: float = 2, size: int = 1024) -> Figures:
    """S1 and S5: messages a second that were accepted and arrived."""
    with town(make, clients) as place:
        load = Load(place.clients(size=size))
        figures = full_windows(place, load, seconds)
        load.close()
    return figures


def full_windows(place: Town, load: Load, seconds: float) -> Figures:
    """Keep every sender's window full, and count for some seconds, once the first of each were answered.

    Where thousands write it goes on until as many as are in flight have come: they come in waves.
    """
    before = load.sent
    load.keep_in_flight(load.clients[::2], WINDOW)
    wave = load.sent - before
    load.run_until("accepted", load.sent, timeout_s=60)
    load.run(seconds / 2)
    busy, began, accepted, delivered = place.busy(), time.perf_counter(), load.accepted, load.delivered
    load.run(seconds)
    load.run_until("accepted", accepted + wave, timeout_s=60)
    load.run_until("delivered", delivered + wave, timeout_s=60)
    taken, shares = time.perf_counter() - began, busy.shares()
    rate = min(load.accepted - accepted, load.delivered - delivered) / taken
    load.stop_sending()
    load.run_until("delivered", load.sent, timeout_s=60)
    return {"per_s": rate, "wire_bytes": len(load.clients[0].message(0)), **shares}


def latency(make: MakeServer, *, rate: int = 500, seconds: float = 4) -> Figures:
    """S2: from the sender's socket to the recipient's, at a steady rate, in microseconds."""
    with town(make, 100) as place:
        load = Load(place.clients())
        load.watched = True
        senders = load.clients[::2]
        sent: list[float] = []
        busy, began = place.busy(), time.perf_counter()
        while (now := time.perf_counter()) < began + seconds:
            if now >= began + len(sent) / rate:
                sent.append(now)
                load.send(senders[len(sent) % len(senders)])
            load.step(max(0.0, began + len(sent) / rate - time.perf_counter()))
        shares = busy.shares()
        load.run_until("delivered", load.sent, timeout_s=30)
        taken = sorted(1e6 * (arrived - sent[number]) for number, arrived in load.arrivals)
        load.close()
    return {"p50_us": taken[len(taken) // 2], "p99_us": taken[len(taken) * 99 // 100], **shares}


def store_and_drain(make: MakeServer, *, messages: int = 10_000) -> Figures:
    """S3: messages a second for accounts that are offline, and then to them when they come back."""
    with town(make, 100) as place:
        return offline(place, slice(0, None, 2), slice(1, None, 2), messages)


def offline(place: Town, senders: slice, recipients: slice, messages: int) -> Figures:
    """Store messages for some accounts that are offline, and then have as many come to them."""
    Load(place.clients(recipients)).close()  # they were there once
    time.sleep(0.5)
    load = Load(place.clients(senders))
    busy, began = place.busy(), time.perf_counter()
    while load.sent < messages:
        for sender in load.clients:
            load.send(sender, AT_ONCE)
        load.run_until("accepted", load.sent, timeout_s=60)
    stored, storing = time.perf_counter() - began, busy.shares()
    load.close()
    busy, began = place.busy(), time.perf_counter()
    drain = Load(place.clients(recipients))
    drain.run_until("delivered", messages, timeout_s=60)
    drained, draining = time.perf_counter() - began, busy.shares()
    drain.close()
    return {
        "store_per_s": messages / stored, "drain_per_s": messages / drained,
        **{f"store_{name}": share for name, share in storing.items()},
        **{f"drain_{name}": share for name, share in draining.items()},
    }  # fmt: skip


def rows(make: MakeServer, *, waiting: int, messages: int = 100_000) -> Figures:
    """S3 while so many rows wait: half in the mailboxes of others, half in a large one, which is then used too.

    The large mailbox gets the messages from one sender, and its owner then takes as many of the oldest. What is
    measured comes second: in its first seconds a server gets its memory from the system, and after a large file was
    written that takes half as long again, whatever stands in it.
    """
    with town(partial(make, waiting=waiting), 102) as place:
        offline(place, slice(2, None, 2), slice(3, None, 2), messages)
        many = offline(place, slice(2, None, 2), slice(3, None, 2), messages)
        large = offline(place, slice(0, 1), slice(1, 2), messages)
    return {**many, **{f"large_{name}": value for name, value in large.items() if name.endswith("_per_s")}}


def crowd(make: MakeServer, *, seconds: float, clients: int = 5000) -> Figures:
    """S4 and S5: log-ins, memory an idle link (with a fifth of the clients, and with all), then S1 with all of them."""
    with town(make, clients) as place:
        before = resident(place.server.process.pid)
        links = place.clients(slice(0, clients // 5))
        time.sleep(1)
        at_first = (resident(place.server.process.pid) - before) / len(links)
        busy, began = place.busy(), time.perf_counter()
        links += place.clients(slice(clients // 5, None))
        logins = (clients - clients // 5) / (time.perf_counter() - began)
        shares = busy.shares()
        load = Load(links)
        load.run(1)
        at_last = (resident(place.server.process.pid) - before) / len(links)
        figures = full_windows(place, load, seconds)
        load.close()
    return {
        "logins_per_s": logins, **{f"login_{name}": share for name, share in shares.items()},
        "link_bytes_at_a_fifth": at_first, "link_bytes": at_last, **figures,
    }  # fmt: skip


def crash(make: MakeServer, *, seed: int) -> Figures:
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
