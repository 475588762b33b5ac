"""R-02: what is accepted is on the disk. kill -9 does not test that, because the system's cache survives it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import pytest

from bench.load import Load
from bench.scenarios import SERVER_CORE
from bench.securechat import SecureChatServer
from relay.storage import Address, Stored
from relay.storage.sqlite import SqliteStore
from tests.oracle import figures, judge
from tests.relay.world import put_one
from tests.trial import Trial

SECTOR = 512  # bytes: what a disk writes whole
LOG_HEADER = 32  # bytes (https://www.sqlite.org/fileformat2.html section 4.1)
COMMITS = 300  # of one database: each copy is read whole
BOB = Address("bob", 1)
Files = tuple[bytes, bytes]  # a database and its log


# ---------------------------------------------------------------- the order of the system's calls

CALLS = ("pwrite64", "fdatasync", "fsync", "write", "sendto")
_CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\(\d+<([^>]*)>)(.*)")


def replies_before_fsync(trace: Iterable[str]) -> tuple[int, int]:
    """Read a trace of `strace -f -y`.

    Returns:
        How often something was sent while the database's log held what was not on disk, and how many fsyncs there were.
    """
    dirty, early, synced, begun = False, 0, 0, dict[str, str]()
    for line in trace:
        if (match := _CALL.match(line)) is None:
            continue
        thread, call, file, rest = match.groups()
        file = begun.pop(thread, "") if file is None else file
        if rest.endswith("<unfinished ...>"):
            begun[thread] = file
        log = file.endswith("-wal")
        if call == "pwrite64" and log:
            dirty = True
        elif call in {"fdatasync", "fsync"} and log and rest.endswith("= 0"):
            dirty, synced = False, synced + 1
        elif call in {"write", "sendto"} and file.startswith("TCP"):
            early += dirty
    return early, synced


def test_the_reader_of_traces_sees_a_reply_that_is_too_early() -> None:
    write = '7 pwrite64(5</x/relay.db-wal>, "..."..., 4096, 0) = 4096'
    begins, ends = "7 fdatasync(5</x/relay.db-wal> <unfinished ...>", "7 <... fdatasync resumed>) = 0"
    sync, reply = "7 fdatasync(5</x/relay.db-wal>) = 0", '8 write(9<TCP:[1->2]>, "..."..., 90) = 90'
    other = "7 fdatasync(5</x/other>) = 0"
    assert replies_before_fsync([write, sync, reply]) == (0, 1)
    assert replies_before_fsync([write, reply, sync]) == (1, 1)
    assert replies_before_fsync([write, other, reply]) == (1, 0)
    assert replies_before_fsync([write, begins, reply, ends, reply]) == (1, 1)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_between_a_write_and_the_reply_there_is_an_fsync(tmp_path: Path, trial: Trial) -> None:
    server = SecureChatServer(tmp_path / "server", ["alice", "bobby"], pin=SERVER_CORE)
    load = Load([server.log_in("alice", "bobby")])
    trace, messages = tmp_path / "trace", trial.size(20, 500)
    try:
        with subprocess.Popen(
            ["strace", "-f", "-y", "-e", f"trace={','.join(CALLS)}", "-o", trace, "-p", str(server.process.pid)],
            stderr=subprocess.PIPE,
            text=True,
        ) as strace:
            assert strace.stderr is not None
            if "attached" not in strace.stderr.readline():
                pytest.skip("strace may not attach here")
            for count in range(messages):
                load.send(load.clients[0])
                load.run_until("accepted", count + 1, timeout_s=10)
            strace.send_signal(signal.SIGINT)
    finally:
        load.close()
        server.stop()
    early, synced = replies_before_fsync(trace.read_text().splitlines())
    trial.note(replies_before_fsync=early, fsyncs=synced)
    assert early == 0
    assert synced >= messages


# ---------------------------------------------------------------- the power fails


def torn(before: bytes, after: bytes, chance: Random) -> bytes:
    """Return a file of which some sectors were written and some were not."""
    after = after[: chance.randrange(len(after) + 1)] if chance.random() < 0.5 else after
    mixed = bytearray(before.ljust(len(after), b"\0"))
    for at in range(0, len(after), SECTOR):
        if chance.random() < 0.7:
            sector = after[at : at + SECTOR]
            mixed[at : at + len(sector)] = sector
    return bytes(mixed)


def torn_log(before: bytes, after: bytes, chance: Random) -> bytes:
    """Do the same to a log; one that begins anew has its header on the disk before its first frame is written.

    SQLite sees to that (walFrames in wal.c, `syncHeader`): under the header of before, the first frames of before would
    still count, although the database has later pages by now.
    """
    mixed = torn(before, after, chance)
    return mixed if after[:LOG_HEADER] == before[:LOG_HEADER] else after[:LOG_HEADER] + mixed[LOG_HEADER:]


def contents(path: Path) -> list[bytes]:
    """Open a copy as the server would; return the envelopes in Bob's mailbox."""
    store = SqliteStore(path)
    try:
        assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [envelope for _, envelope in store.pending(BOB, after=0, limit=10**6, size=10**9)]
    finally:
        store.close()


def torn_copies(before: Files, after: Files, chance: Random) -> Iterator[tuple[bytes, bytes, bool]]:
    """Return what the disk may hold between two moments, and whether the transaction between them had been accepted."""
    yield before[0], torn_log(before[1], after[1], chance), False
    if after[0] != before[0]:  # the log is copied back when the commit is over, and holds all of it
        yield torn(before[0], after[0], chance), after[1], True


def test_torn_copies_open_and_hold_all_that_was_accepted(tmp_path: Path, trial: Trial) -> None:
    """Before a commit has returned any of its sectors may be on the disk or not; so while the log is copied back."""
    found = Counter[str]()
    for number in range(trial.size(COMMITS, 17 * COMMITS) // COMMITS):
        found.update(torn_through_a_life(tmp_path / str(number), trial.random))
    trial.note(**found)
    assert found["copied_back"]


def torn_through_a_life(folder: Path, chance: Random) -> Counter[str]:
    """Tear a database at each of its commits."""
    store = SqliteStore(folder / "relay.db")
    store._db.execute("PRAGMA wal_autocheckpoint = 10")  # pages: copied back every few commits
    sent, found = list[bytes](), Counter[str]()
    for number in range(COMMITS):
        before, accepted = files_of(folder), list(sent)
        with store.transaction():
            for _ in range(chance.randrange(1, 4)):
                sent.append(f"{len(sent)}.".encode().ljust(chance.randrange(20, 6000), b"x"))
                put_one(store, BOB, "alice", len(sent).to_bytes(16, "big"), sent[-1], Stored(bytes(32), 1))
        after = files_of(folder)
        found["copied_back"] += before[0] != after[0]
        for database, log, is_over in torn_copies(before, after, chance):
            copy = folder / f"copy{number}" / "relay.db"
            copy.parent.mkdir()
            copy.write_bytes(database)
            copy.with_name("relay.db-wal").write_bytes(log)
            verdict = judge(sent=sent, accepted=sent if is_over else accepted, shown=contents(copy))
            assert verdict.kept, f"{len(verdict.lost)} lost"
            found.update(figures(verdict))
            shutil.rmtree(copy.parent)
    store.close()
    assert contents(folder / "relay.db") == sent
    return found


def files_of(folder: Path) -> Files:
    """Return the bytes of a database and of its log."""
    return (folder / "relay.db").read_bytes(), (folder / "relay.db-wal").read_bytes()
