"""What the relay's SQLite file holds of one account: shown to it, and removed when it wants that."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from crypto_utils import encode_base64, sha256
from protocol import Row
from relay.storage import Page

SHOWN_SIZE: Final = 64  # bytes of a binary value; a longer one is given by its size and hash


class Table(NamedTuple):
    """A table, and which of its rows are about an account."""

    name: str
    about: str  # a condition on :user_id, or :log_index
    order: str  # by which pages follow each other
    moves: bool = False  # whether rows go away between two pages: the first column is then where to go on
    erased: bool = True


_OWN: Final = "user_id = :user_id"
TABLES: Final = (  # those that point at others come before them
    Table("prekey", _OWN, "device_id, one_time, id"),
    Table("device", _OWN, "device_id"),
    Table("identity", _OWN, "epoch"),
    Table("revocation", _OWN, "user_id"),
    Table("account", _OWN, "user_id"),
    Table("code_failure", _OWN, "user_id"),
    Table("acquaintance", "writer = :user_id OR reader = :user_id", "writer, reader"),
    Table(
        "mailbox",
        # looks through an index that holds all that is asked: the table itself is twenty times as large
        "sequence IN (SELECT sequence FROM mailbox INDEXED BY mailbox_age"
        " WHERE sender_id = :user_id OR recipient_id = :user_id)",
        "sequence",
        moves=True,
    ),
    Table("log_entry", "log_index = :log_index", "position", erased=False),
)


def rows_of(
    connection: sqlite3.Connection, names: dict[str, str | bytes], page: Page, limit: int
) -> tuple[list[Row], Page]:
    """Return a page of the rows that are about an account, and where the next begins.

    Args:
        connection: The database.
        names: `user_id` and `log_index` of the account.
        page: Where to begin.
        limit: How many rows at most.
    """
    found: list[Row] = []
    for number, table in enumerate(TABLES[page.table :], page.table):
        start = page.after if number == page.table else 0
        room = limit - len(found)
        where = f"({table.about}) AND {table.order} > :start" if table.moves else table.about
        cursor = connection.execute(
            f"SELECT * FROM {table.name} WHERE {where} ORDER BY {table.order} LIMIT :room OFFSET :skipped",  # noqa: S608 - constants
            {**names, "room": room, "start": start, "skipped": 0 if table.moves else start},
        )
        columns = [description[0] for description in cursor.description]
        rows = cursor.fetchall()
        found += [Row(columns=_shown(columns, row), table=table.name) for row in rows]
        if len(rows) == room:
            return found, Page(number, rows[-1][0] if table.moves else start + room)
    return found, Page(0, 0)


def _shown(columns: list[str], values: tuple[object, ...]) -> dict[str, int | str]:
    """Return a row as it is shown: the contents of envelopes that were delivered are `empty`."""
    shown: dict[str, int | str] = {}
    for column, value in zip(columns, values, strict=True):
        if isinstance(value, bytes):
            short = len(value) <= SHOWN_SIZE
            shown[column] = encode_base64(value) if short else f"{len(value)} bytes, SHA-256 {sha256(value).hex()}"
        elif isinstance(value, int | str):
            shown[column] = value
        else:
            shown[column] = "empty"
    return shown


def erasures(user_id: str) -> list[tuple[str, dict[str, str]]]:
    """Return the statements that remove all rows about an account, but for the key log's, with their values."""
    return [
        (f"DELETE FROM {table.name} WHERE {table.about}", {"user_id": user_id})  # noqa: S608 - constants
        for table in TABLES
        if table.erased
    ]
