"""The client's side: what a message costs beside the sum of its primitives, and how long a start takes.

The engine is the real one, with its SQLCipher database on disk, and without a network: a step's frames are handed to
the other person. After each message its primitives and its own SQL statements are run again, bare, in the same order
and on copies of the databases.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Raw
from sqlcipher3 import dbapi2 as sqlcipher

from canonical_json import canonical
from crypto_utils import Label, decrypt_private_keys, open_sealed, seal, sign, verify
from messenger.account import Account, AccountFiles, generate, save
from messenger.content import NO_LOG, Text, pack
from messenger.conversation import NO_RECIPIENT
from messenger.database import Database
from messenger.engine import Messenger
from messenger.keyring import Keyring
from messenger.line import Output
from messenger.preferences import Preferences
from messenger.suites import SPOKEN
from protocol import Accepted, Delivery, Envelope, LoggedIn, Welcome, decode_frame, encode_frames

ROOT: Final = Path(__file__).resolve().parents[1]
PASSWORD: Final = "a password of the bench"
TEXT: Final = "See you at the station at half past seven, platform two."
MESSAGES: Final = 300
STARTS: Final = 5
START_TIMEOUT_S: Final = 20
STEPS: Final = {  # of one message, and the primitives of each beside its SQL
    "send": ("sign", "seal"),
    "accepted": (),
    "receive": ("verify", "open"),
    "shown": ("sign", "seal"),  # with the receipt
    "confirmed": ("verify", "open"),
}
Figures = dict[str, float]
Statement = tuple[str, tuple[object, ...]]


# ---------------------------------------------------------------- two people without a network


PREFERENCES: Final = Preferences(spoken=(1,), minimum_suite=1, requests=False)


class Recorded(Database):
    """A database that remembers which statements it ran."""

    def __init__(self, path: Path, password: bytes) -> None:
        """Open it."""
        self.statements: list[Statement] = []
        super().__init__(path, password)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a transaction."""
        self.statements.append(("BEGIN IMMEDIATE", ()))
        with super().transaction():
            yield
        self.statements.append(("COMMIT", ()))

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a query."""
        self.statements.append((sql, values))
        return super().rows(sql, *values)

    def row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        """Run a query."""
        self.statements.append((sql, values))
        return super().row(sql, *values)

    def run(self, sql: str, *values: object) -> int:
        """Run a statement."""
        self.statements.append((sql, values))
        return super().run(sql, *values)


class Person:
    """An engine that is logged in, and a copy of its database as it was before."""

    def __init__(self, folder: Path, account: Account, other: Account) -> None:
        path, password = folder / f"{account.user_id}.db", PASSWORD.encode()
        database = Database(path, password)
        messenger = Messenger(Keyring(account, database), database, PREFERENCES)
        with database.transaction():
            messenger.contacts.see([other.record], [], now=0)
        database.close()
        self.copy = Path(shutil.copy(path, path.with_suffix(".copy")))
        self.account = account
        self.database = Recorded(path, password)
        self.messenger = Messenger(Keyring(account, self.database), self.database, PREFERENCES)
        self.messenger.connected(bytes(32))
        self.messenger.receive([Welcome(nonce=bytes(32), version=1)], now=0)
        self.messenger.receive([LoggedIn(log_key=bytes(294), pending=0, retention_s=1)], now=0)


class Exchange:
    """Messages from one person to another: how long each step takes, and the SQL that it runs."""

    def __init__(self, sender: Person, recipient: Person) -> None:
        self.sender, self.recipient = sender, recipient
        self.taken: dict[str, list[float]] = {step: [] for step in STEPS}
        self.ran: list[tuple[str, Path, list[Statement]]] = []  # step, whose database, statements
        self.envelopes: list[Envelope] = []

    def _step(self, name: str, person: Person, act: Callable[[], Output]) -> Output:
        """Carry out a step up to the bytes that go on the wire."""
        person.database.statements.clear()
        began = time.perf_counter()
        output = act()
        encode_frames(*output.frames)
        self.taken.setdefault(name, []).append(time.perf_counter() - began)
        self.ran.append((name, person.copy, person.database.statements.copy()))
        return output

    def message(self, sequence: int) -> None:
        """Bring one message all the way, and its receipt back."""
        ours, theirs = self.sender.messenger, self.recipient.messenger
        sent = self._step(
            "send", self.sender, lambda: ours.writing.send_text(self.recipient.account.user_id, TEXT, now=sequence)[1]
        )
        envelope = _envelope(sent)
        self.envelopes.append(envelope)
        self._step(
            "accepted", self.sender, lambda: ours.receive([Accepted(ids=[envelope.id], timestamp=0)], now=sequence)
        )
        delivery = _delivery(envelope, sequence)
        self._step("receive", self.recipient, lambda: theirs.receive([decode_frame(delivery)], now=sequence))
        shown = [(self.sender.account.user_id, envelope.id)]
        receipt = _envelope(self._step("shown", self.recipient, lambda: theirs.shown(shown, now=sequence)))
        answer = Accepted(ids=[receipt.id], timestamp=0)
        self._step("receipt accepted", self.recipient, lambda: theirs.receive([answer], now=sequence))
        back = _delivery(receipt, sequence)
        self._step("confirmed", self.sender, lambda: ours.receive([decode_frame(back)], now=sequence))


def _envelope(output: Output) -> Envelope:
    (envelope,) = (frame for frame in output.frames if isinstance(frame, Envelope))
    return envelope


def _delivery(envelope: Envelope, sequence: int) -> bytes:
    return canonical(Delivery(envelope=Raw(canonical(envelope)), sequence=sequence))


# ---------------------------------------------------------------- what it could not do without


class Floor:
    """Does again what none of the steps can do without: its primitives, and its SQL on copies of the databases."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._databases = {person.copy: bare(person.copy) for person in (exchange.sender, exchange.recipient)}
        self._acts: dict[str, Callable[[], object]] = {}
        self.taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))  # by step and part

    def follow(self) -> None:
        """Do the steps of the exchange that it has not done yet."""
        if not self._acts:
            self._acts = primitives(self._exchange.sender.account, self._exchange.envelopes[0])
        for step, path, statements in self._exchange.ran:
            for name in STEPS.get(step, ()):
                self.taken[step][f"{name}_us"].append(timed(self._acts[name]))
            self.taken[step]["sql_us"].append(timed(partial(run, self._databases[path], statements)))
        self._exchange.ran.clear()

    def close(self) -> None:
        for database in self._databases.values():
            database.close()


def bare(path: Path) -> Any:
    """Open a copy of a database as `Database` does."""
    connection = sqlcipher.connect(str(path), isolation_level=None, cached_statements=64)
    for pragma in (f"key = '{PASSWORD}'", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def run(connection: Any, statements: list[Statement]) -> None:
    """Run statements, and read all that they find."""
    for sql, values in statements:
        connection.execute(sql, values).fetchall()


def primitives(account: Account, envelope: Envelope) -> dict[str, Callable[[], object]]:
    """Return signing, verifying, sealing (OAEP and CFB) and opening, of messages of this size."""
    key, signed, content, label = (
        account.keys.rsa,
        canonical(envelope),
        pack(Text(counter=1, log=NO_LOG, text=TEXT)),
        bytes(32),
    )
    signature = sign(key, Label.ENVELOPE_1, signed)
    public = key.public_key()
    sealed = seal(public, content, label)
    return {
        "sign": lambda: sign(key, Label.ENVELOPE_1, signed),
        "verify": lambda: verify(public, Label.ENVELOPE_1, signed, signature),
        "seal": lambda: seal(public, content, label),
        "open": lambda: open_sealed(key, *sealed, label),
    }


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def messages(folder: Path, count: int = MESSAGES) -> dict[str, Figures]:
    """Return each step's microseconds: in all, of its primitives, and the share of these."""
    alice, bob = (generate(name, suites=[1], now=0) for name in ("alice", "bob"))
    exchange = Exchange(Person(folder, alice, bob), Person(folder, bob, alice))
    floor, figures = Floor(exchange), {}
    for sequence in range(1, count + 1):
        exchange.message(sequence)
        floor.follow()  # in turn, so that both have the same machine
    floor.close()
    for person in (exchange.sender, exchange.recipient):
        person.database.close()
    for step in STEPS:
        parts = {name: _us(taken) for name, taken in floor.taken[step].items()}
        total = _us(exchange.taken[step])
        figures[step] = {"us": total, **parts, "share": sum(parts.values()) / total}
    return figures


def _us(taken: list[float]) -> float:
    return 1e6 * statistics.median(taken)


# ---------------------------------------------------------------- from the start to the prompt


def start(folder: Path, starts: int = STARTS) -> Figures:
    """Return the milliseconds from exec to the prompt on a terminal, the key derivations, what is left, and memory."""
    account, password = generate("alice", suites=list(SPOKEN), now=0), PASSWORD.encode()
    files, database = AccountFiles(folder / "keys", "alice"), folder / "data" / "alice.db"
    save(account, files, password)
    Database(database, password).close()
    (folder / "password").write_text(PASSWORD + "\n")
    (folder / "password").chmod(0o600)
    whole, derivations, memory = [], [], []
    for _ in range(starts):
        seconds, mebibytes = start_to_prompt(folder)
        whole.append(1e3 * seconds)
        memory.append(mebibytes)
        derivations.append(1e3 * timed(lambda: derive(files, database)))
    rest = [total - part for total, part in zip(whole, derivations, strict=True)]
    medians = map(statistics.median, (whole, derivations, rest, memory))
    return dict(zip(("start_ms", "key_derivation_ms", "rest_ms", "memory_mib"), medians, strict=True))


def derive(files: AccountFiles, database: Path) -> None:
    """Derive the keys that a start does, with the libraries that it does: four of the key file, one of the database."""
    decrypt_private_keys(files.private_key.read_bytes(), PASSWORD.encode())
    connection = sqlcipher.connect(str(database))
    connection.execute(f"PRAGMA key = '{PASSWORD}'")
    connection.execute("SELECT count(*) FROM sqlite_master")
    connection.close()


def start_to_prompt(home: Path) -> tuple[float, float]:
    """Start the real program on a terminal, without a server.

    Returns:
        The seconds until it asks for a recipient, and the MiB that it has in memory then, shared ones included.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 160))
    began = time.perf_counter()
    process = subprocess.Popen(
        [
            sys.executable, "client.py", "--home", str(home), "--user", "alice",
            "--password-file", str(home / "password"), "--server", f"securechat://{'0' * 64}@localhost:1",
        ],
        cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
    )  # fmt: skip
    try:
        seen = b""
        while NO_RECIPIENT.strip().encode() not in seen:
            assert select.select([ours], [], [], START_TIMEOUT_S)[0], seen
            seen += os.read(ours, 4096)
        return time.perf_counter() - began, resident_mib(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_TIMEOUT_S)
        os.close(ours)
        os.close(theirs)


def resident_mib(pid: int) -> float:
    """Return what a process has in memory, as Linux counts it."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


# ---------------------------------------------------------------- in all


def figures() -> dict[str, Figures]:
    """Return everything, by step."""
    with tempfile.TemporaryDirectory() as folder:
        return {**messages(Path(folder)), "start": start(Path(folder) / "home")}


def table(found: dict[str, Figures]) -> str:
    """Return the figures as a table."""
    lines = ["| client | µs | primitives | share of them |", "|---|---|---|---|"]
    for step in STEPS:
        parts = ", ".join(f"{name.removesuffix('_us')} {found[step][name]:,.0f}" for name in found[step] if "_" in name)
        lines.append(f"| {step} | {found[step]['us']:,.0f} | {parts} | {found[step]['share']:.2f} |")
    begun = found["start"]
    lines.append(
        f"| start to prompt, ms | {begun['start_ms']:,.0f} | key derivation {begun['key_derivation_ms']:,.0f} |"
        f" rest {begun['rest_ms']:,.0f}, limit 300 |"
    )
    lines.append(
        f"| memory at the prompt, MiB | {begun['memory_mib']:,.0f} | limit 60 | {begun['memory_mib'] / 60:.2f} |"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(figures()))
