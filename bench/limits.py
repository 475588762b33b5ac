"""What S3 cannot pass: its two largest parts alone, without a network, TLS, a rule or a reply.

Processor time on one core, so that waiting for the disk costs nothing: no relay that parses each frame strictly
and has each envelope in a table of SQLite stores more a second.
"""

from __future__ import annotations

import base64
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.scenarios import Figures
from bench.securechat import envelope_id, template
from protocol import LENGTH_SIZE, decode_frame
from relay.storage.sqlite import CACHE_SIZE, SqliteStore

GROUP: Final = 1000  # rows a transaction
SETTINGS: Final = (  # those of the relay, but that the log is copied into the file only when it is told to
    f"cache_size = -{CACHE_SIZE // 1024}",
    "secure_delete = ON",
    "synchronous = FULL",
    "wal_autocheckpoint = 0",
)
INSERT: Final = "INSERT INTO mailbox VALUES (?, ?, 1, ?, ?, ?, ?, ?)"

Row = tuple[int, str, str, bytes, bytes, int, bytes]


def figures(*, messages: int = 20_000) -> Figures:
    """Return messages a second: parsed; put into the relay's table; both one after the other; copied out of its log."""
    received = [body(number) for number in range(messages)]
    parsing = spent(lambda: [decode_frame(data) for data in received])
    with tempfile.TemporaryDirectory() as folder:
        inserting, copying = table(Path(folder) / "relay.db", received)
    return {
        "parsed_per_s": messages / parsing,
        "inserted_per_s": messages / inserting,
        "both_per_s": messages / (parsing + inserting),
        "copied_per_s": messages / copying,
    }


def spent(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that something takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def body(number: int) -> bytes:
    """Return a message of 1 KiB as the relay receives it."""
    sender, recipient = pair(number)
    before, after = template(sender, recipient, 1024)
    return before[LENGTH_SIZE:] + base64.b64encode(envelope_id(number, 0)) + after


def table(path: Path, received: list[bytes]) -> tuple[float, float]:
    """Insert rows in groups, each on disk before the next, and copy them into the file; return what either took."""
    SqliteStore(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    for setting in SETTINGS:
        connection.execute(f"PRAGMA {setting}")
    rows = [row(number, data) for number, data in enumerate(received)]

    def insert() -> None:
        for at in range(0, len(rows), GROUP):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, rows[at : at + GROUP])
            connection.execute("COMMIT")

    inserting = spent(insert)
    copying = spent(lambda: connection.execute("PRAGMA wal_checkpoint(FULL)"))
    connection.close()
    return inserting, copying


def row(number: int, data: bytes) -> Row:
    """Return what the relay keeps of a message."""
    sender, recipient = pair(number)
    return (number + 1, recipient, sender, envelope_id(number, 0), bytes(32), 0, data)


def pair(number: int) -> tuple[str, str]:
    """Return who writes a message, and to whom: a hundred come from one sender before another's."""
    sender = 2 * (number // 100 % 50)
    return f"user{sender:05}", f"user{sender + 1:05}"
