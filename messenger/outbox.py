"""What was sent and not yet accepted: on disk before it goes out, sealed once, sent again as it is."""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from messenger.database import Database
from records import ID_SIZE

RECEIPTS_KEPT_S: Final = 7 * 24 * 3600
TYPING: Final = "typing"  # the notice that is not kept
BEGINNING: Final = -(2**63)  # below every ordinal
PREFIX: Final = struct.Struct(">II")  # of an id


_SELECT: Final = "SELECT ordinal, id, peer, kind, receipts, about, envelope, again FROM outbox"


class Kind(StrEnum):
    """What goes out."""

    MESSAGE = "message"
    RECEIPT = "receipt"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that is to go out."""

    ordinal: int
    id: bytes  # 16 bytes, of its envelope
    peer: str
    kind: Kind
    receipts: list[bytes]  # of a receipt: the messages it confirms
    about: str  # of a notice; of a receipt, unless the messages were delivered
    envelope: bytes | None  # canonical JSON, once it is sealed
    again: bool  # whether it is a receipt that was asked for again


class Outbox:
    """The table of what is to go out."""

    def __init__(self, database: Database) -> None:
        """Work on a database; every change runs inside the caller's transaction."""
        self._db = database
        self._second, self._made = 0, 0  # ids made in that second

    def new_id(self, now: int) -> bytes:
        """Make the id of an envelope, 16 bytes: the time, a count, and 8 random bytes (docs/PROTOCOL.md section 6.1).

        What one sender writes lies together in the relay's index then, and so is written to disk together.
        """
        if now != self._second:  # begun anew, so that an id does not tell how much was written to others before
            self._second, self._made = now, 0
        self._made += 1
        prefix = PREFIX.pack(now % 2**32, self._made % 2**32)
        return prefix + secrets.token_bytes(ID_SIZE - PREFIX.size)

    def add_message(self, message_id: bytes, peer: str) -> None:
        """Queue an own message of the history."""
        self._db.run("INSERT INTO outbox (id, peer, kind) VALUES (?, ?, 'message')", message_id, peer)

    def add_receipt(self, envelope_id: bytes, peer: str, message_ids: list[bytes], state: str = "delivered") -> None:
        """Queue a receipt for some of a contact's messages."""
        self._db.run(
            "INSERT INTO outbox (id, peer, kind, receipts, about) VALUES (?, ?, 'receipt', ?, ?)",
            envelope_id, peer, b"".join(message_ids), state,
        )  # fmt: skip

    def add_notice(self, envelope_id: bytes, peer: str, about: str) -> None:
        """Queue what tells a contact of a new identity, before everything else that waits."""
        self._db.run(
            "INSERT INTO outbox (ordinal, id, peer, kind, about)"
            " SELECT min(0, coalesce(min(ordinal), 0)) - 1, ?, ?, 'notice', ? FROM outbox",
            envelope_id, peer, about,
        )  # fmt: skip

    def keep_receipt(self, entry: Entry, *, now: int) -> None:
        """Remember a receipt that the relay has: its recipient may ask for it again, for some days."""
        if entry.kind is Kind.RECEIPT and not entry.again:
            self._db.run(
                "INSERT OR REPLACE INTO sent_receipt VALUES (?, ?, ?, ?, ?)",
                entry.id, entry.peer, b"".join(entry.receipts), entry.about, now,
            )  # fmt: skip

    def forget_receipts(self, *, now: int) -> None:
        """Forget the receipts that nobody may ask for any more."""
        self._db.run("DELETE FROM sent_receipt WHERE sent_at < ?", now - RECEIPTS_KEPT_S)

    def renew_receipt(self, peer: str, envelope_id: bytes, new_id: bytes, *, now: int) -> bool:
        """Queue a receipt once more, and that once; return whether there is one."""
        row = self._db.row(
            "SELECT receipts, about FROM sent_receipt WHERE id = ? AND peer = ? AND sent_at > ?",
            envelope_id, peer, now - RECEIPTS_KEPT_S,
        )  # fmt: skip
        if row is None:
            return False
        self._db.run("DELETE FROM sent_receipt WHERE id = ?", envelope_id)
        self._db.run(
            "INSERT INTO outbox (id, peer, kind, receipts, about, again) VALUES (?, ?, 'receipt', ?, ?, 1)",
            new_id, peer, *row,
        )  # fmt: skip
        return True

    def waiting(self, *, after: int, limit: int) -> list[Entry]:
        """Return what is queued above an ordinal, in order."""
        rows = self._db.rows(f"{_SELECT} WHERE ordinal > ? ORDER BY ordinal LIMIT ?", after, limit)
        return [_entry(row) for row in rows]

    def waiting_for(self, peer: str) -> list[Entry]:
        """Return what is queued for one contact, in order."""
        rows = self._db.rows(f"{_SELECT} WHERE peer = ? ORDER BY ordinal", peer)
        return [_entry(row) for row in rows]

    def find(self, envelope_id: bytes) -> Entry | None:
        """Return an entry, or None when it was answered before."""
        row = self._db.row(f"{_SELECT} WHERE id = ?", envelope_id)
        return _entry(row) if row else None

    def keep_envelope(self, envelope_id: bytes, envelope: bytes) -> None:
        """Store the sealed form, before it is sent first."""
        self._db.run("UPDATE outbox SET envelope = ? WHERE id = ?", envelope, envelope_id)

    def unseal(self, peer: str | None = None) -> None:
        """Have what is for a contact, or for everybody, sealed anew: an identity has changed."""
        self._db.run("UPDATE outbox SET envelope = NULL WHERE ?1 IS NULL OR peer = ?1", peer)

    def remove(self, envelope_id: bytes) -> None:
        """Forget an entry that was answered, or will never go out."""
        self._db.run("DELETE FROM outbox WHERE id = ?", envelope_id)

    def count_messages(self) -> int:
        """Return how many messages wait, not counting receipts and notices."""
        return self._count(Kind.MESSAGE)

    def notified(self) -> set[str]:
        """Return the contacts who wait to be told of a new identity."""
        rows = self._db.rows("SELECT peer FROM outbox WHERE kind = ? AND about != ?", Kind.NOTICE, TYPING)
        return {peer for (peer,) in rows}

    def add_typing(self, envelope_id: bytes, peer: str) -> None:
        """Queue what tells a contact that the person is typing."""
        self._db.run("INSERT INTO outbox (id, peer, kind, about) VALUES (?, ?, 'notice', ?)", envelope_id, peer, TYPING)

    def forget_typing(self) -> None:
        """Forget who should have heard that the person was typing."""
        self._db.run("DELETE FROM outbox WHERE kind = ? AND about = ?", Kind.NOTICE, TYPING)

    def _count(self, kind: Kind) -> int:
        row = self._db.row("SELECT count(*) FROM outbox WHERE kind = ?", kind)
        return row[0] if row else 0


def _entry(row: tuple[Any, ...]) -> Entry:
    ordinal, envelope_id, peer, kind, receipts, about, envelope, again = row
    ids = [receipts[at : at + ID_SIZE] for at in range(0, len(receipts), ID_SIZE)] if receipts else []
    return Entry(ordinal, envelope_id, peer, Kind(kind), ids, about or "", envelope, bool(again))
