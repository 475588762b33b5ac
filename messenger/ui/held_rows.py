"""How the rows read that the server holds about an account: in groups, what all of a group have said once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from messenger.ui.text import CONTINUATION, clock, sanitise

Columns = dict[str, int | str]

HELD_ROWS: Final = (
    "* what the server holds about you, row by row; client.py server-knows --json has hashes and keys whole:"
)
NOT_KNOWN: Final = (
    "* That was every row. The server cannot see what you write, your private keys, your password, whom you have"
    " verified, and what you keep here. It sees when you are online and from where, and does not write that down."
    " Its operator could: a server is a program that somebody else runs."
)
_TABLES: Final = {
    "link, in memory": "what you are connected by",
    "prekey": "public keys with which others begin to write to you",
    "device": "where you log in from",
    "identity": "your public keys, which it hands out",
    "revocation": "the certificate that has ended your account",
    "account": "that you are there",
    "code_failure": "wrong verification codes",
    "acquaintance": "who has written to whom, and is no stranger to them",
    "mailbox": "envelopes from you and for you, those that came together in one row; where they are empty they were"
    " delivered: their ids, and their marks, parts of their signatures, stay for the retention, so that none is taken"
    " twice",
    "log_entry": "your entries in the key log, which names nobody",
}
_KILOBYTE: Final = 1000
_SIZE_AND_HASH: Final = re.compile(r"([0-9]{1,15}) bytes, SHA-256 ([0-9a-f]{8})[0-9a-f]{56}")
_BINARY: Final = re.compile(r"([A-Za-z0-9+/]{8})[A-Za-z0-9+/]{4,}={1,2}")  # base64 of 16 or 32 bytes


def held_lines(rows: Sequence[tuple[str, Columns]], *, last: bool) -> list[str]:
    """Return the lines that show a page of rows, each with its table, and after the last page what is not known."""
    lines: list[str] = []
    for table, group in groupby(rows, key=lambda row: row[0]):
        lines += _group_lines(table, [columns for _, columns in group])
    return [*lines, NOT_KNOWN] if last else lines


def _group_lines(table: str, rows: list[Columns]) -> list[str]:
    """Return the lines of some rows of a table, under what they are."""
    first, *others = rows
    common = {name: value for name, value in first.items() if others and all(row.get(name) == value for row in others)}
    shared = f", each with {_spelt(common)}" if common else ""
    number = f" ({len(rows)} rows{shared})" if others else ""
    what = f": {_TABLES[table]}" if table in _TABLES else ""
    heading = _printable(f"  {table}{number}{what}")
    return [heading] + [
        _printable("    " + _spelt({name: value for name, value in row.items() if name not in common})) for row in rows
    ]


def _spelt(columns: Columns) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_value(name, value)}" for name, value in columns.items())


def _value(name: str, value: int | str) -> str:
    """Return a value as a person reads it: a time, a size, the beginning of what is binary."""
    if isinstance(value, int):
        return clock(value) if name.endswith("_at") else str(value)
    if found := _SIZE_AND_HASH.fullmatch(value):
        return f"of {_size(int(found[1]))} (SHA-256 {found[2]}…)"
    found = _BINARY.fullmatch(value)
    return f"{found[1]}…" if found else value


def _size(count: int) -> str:
    return f"{count} bytes" if count < _KILOBYTE else f"{count / _KILOBYTE:.1f} kB"


def _printable(line: str) -> str:
    return sanitise(line).replace("\n", "\n" + CONTINUATION)
