"""The table of prekeys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Statement = Callable[..., Any]  # SQL and its values: a cursor

Device = tuple[str, int]  # user id and device id

_OF = "user_id = ? AND device_id = ? AND one_time = ?"


class PrekeyTable:
    """The signed prekey of each device, and its one-time prekeys; canonical JSON."""

    def __init__(self, read: Statement, write: Statement) -> None:
        """Work in a store's transactions."""
        self._read = read
        self._write = write

    def signed(self, device: Device) -> bytes | None:
        """Return a device's signed prekey, or None."""
        row = self._read(f"SELECT prekey FROM prekey WHERE {_OF}", *device, 0).fetchone()  # noqa: S608 - constant
        return row[0] if row else None

    def set_signed(self, device: Device, number: int, prekey: bytes) -> None:
        """Put a signed prekey in the place of all that a device has left before."""
        self._write("DELETE FROM prekey WHERE user_id = ? AND device_id = ?", *device)
        self._write("INSERT INTO prekey VALUES (?, ?, 0, ?, ?)", *device, number, prekey)

    def count_one_time(self, device: Device) -> int:
        """Return how many one-time prekeys a device has left."""
        return int(self._read(f"SELECT count(*) FROM prekey WHERE {_OF}", *device, 1).fetchone()[0])  # noqa: S608 - constant

    def add_one_time(self, device: Device, number: int, prekey: bytes) -> None:
        """Add a one-time prekey; the same again changes nothing."""
        self._write("INSERT OR IGNORE INTO prekey VALUES (?, ?, 1, ?, ?)", *device, number, prekey)

    def take_one_time(self, device: Device) -> bytes | None:
        """Remove the oldest one-time prekey and return it, or None when there is none."""
        row = self._read(f"SELECT id, prekey FROM prekey WHERE {_OF} ORDER BY id LIMIT 1", *device, 1).fetchone()  # noqa: S608 - constant
        if row is None:
            return None
        self._write(f"DELETE FROM prekey WHERE {_OF} AND id = ?", *device, 1, row[0])  # noqa: S608 - constant
        return bytes(row[1])

    def drop(self, user_id: str) -> None:
        """Remove all of an account's."""
        self._write("DELETE FROM prekey WHERE user_id = ?", user_id)
