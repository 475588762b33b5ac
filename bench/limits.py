"""What S3 cannot do without: its two largest parts alone, without a network, TLS, a rule or a reply.

Microseconds of processor time a message, to hold against what a server uses for one: its `store_server_busy` by its
`store_per_s`. Waiting for the disk is not in them.
"""

from __future__ import annotations

import base64
import gc
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bench.scenarios import Figures
from bench.securechat import envelope_id, template
from protocol import LENGTH_SIZE, decode_frames
from relay.storage import Address, Arrival
from relay.storage.mailbox_table import Batch, MailboxTable
from relay.storage.sqlite import SETTINGS, SqliteStore

TOGETHER: Final = 20  # messages a row: what comes with one read of a link that has a hundred to say
GROUP: Final = 100 * TOGETHER  # messages a transaction
ADDED: Final = ("PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 0")  # the log is copied when it is told to


def figures(*, groups: int = 10) -> Figures:
    """Return what it takes to parse a message, to put it into the table, both, and to copy it out of the log.

    Group by group, as the relay does it: memory that is used again is cheaper than what the system has to give first.
    """
    received = [body(number) for number in range(groups * GROUP)]
    parsing = inserting = 0.0
    with tempfile.TemporaryDirectory() as folder:
        connection = table(Path(folder) / "relay.db")
        for at in range(0, len(received), GROUP):
            group = received[at : at + GROUP]
            parsing += spent(partial(parse, group))
            inserting += spent(partial(insert, connection, batches(group, at)))
        copying = spent(lambda: connection.execute("PRAGMA wal_checkpoint(FULL)"))
        connection.close()
    parts = {"parsed": parsing, "inserted": inserting, "both": parsing + inserting, "copied": copying}
    return {f"{name}_us": 1e6 * part / len(received) for name, part in parts.items()}


def spent(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that something takes, collecting garbage left out."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()


def body(number: int) -> bytes:
    """Return a message of 1 KiB as the relay receives it."""
    sender, recipient = pair(number)
    before, after = template(sender, recipient, 1024)
    return before[LENGTH_SIZE:] + base64.b64encode(envelope_id(number, 0)) + after


def parse(group: list[bytes]) -> None:
    """Read a group, and let go of each message: what waits is its bytes."""
    for begin in range(0, len(group), TOGETHER):
        for _ in decode_frames(group[begin : begin + TOGETHER]):
            pass


def table(path: Path) -> sqlite3.Connection:
    """Return the relay's database, empty."""
    SqliteStore(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in (*SETTINGS, *ADDED):
        connection.execute(setting)
    return connection


def insert(connection: sqlite3.Connection, rows: list[Batch]) -> None:
    """Put a group on the disk."""

    def write(statement: str, *values: object) -> sqlite3.Cursor:
        return connection.execute(statement, values)

    connection.execute("BEGIN IMMEDIATE")
    MailboxTable(write, write).insert(rows)
    connection.execute("COMMIT")


def batches(group: list[bytes], at: int) -> list[Batch]:
    """Return what the relay keeps of a group."""
    found = []
    for begin in range(0, len(group), TOGETHER):
        sender, recipient = pair(at + begin)
        arrivals = [
            Arrival(envelope_id(number, 0), data, bytes(32))
            for number, data in enumerate(group[begin : begin + TOGETHER], at + begin)
        ]
        found.append(Batch(Address(recipient, 1), sender, 0, at + begin + 1, arrivals))
    return found


def pair(number: int) -> tuple[str, str]:
    """Return who writes a message, and to whom: a hundred come from one sender before another's."""
    sender = 2 * (number // 100 % 50)
    return f"user{sender:05}", f"user{sender + 1:05}"
