"""The sessions of suite 2: their states, and keys of messages that have not come (docs/PROTOCOL.md section 11.5)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from crypto_utils import sha256
from messenger.database import Database
from messenger.suites.handshake import Handshake
from messenger.suites.ratchet import Header, Skipped, State

MAX_SESSIONS: Final = 8  # with one contact: two begin at once, a few are left over from lost databases
MAX_SKIPPED: Final = 2000  # keys kept of one session
ENDED_KEPT_S: Final = 70 * 24 * 3600  # longer than any prekey is, and so any handshake
SKIPPED_KEPT_S: Final = 30 * 24 * 3600  # a relay keeps envelopes no longer

_SELECT: Final = "SELECT id, peer, device_id, own_key, their_key, state, handshake FROM session"


class Session(msgspec.Struct, frozen=True):
    """One of two ends.

    Attributes:
        id: 16 bytes, the same at both ends.
        peer: The contact.
        device_id: Which of their devices.
        own_key: Key id of our identity when it began.
        their_key: Key id of theirs.
        state: Of the ratchet.
        handshake: What goes along until there is an answer.
    """

    id: bytes
    peer: str
    device_id: int
    own_key: bytes
    their_key: bytes
    state: State
    handshake: Handshake | None


class Sessions:
    """The tables of sessions. Every change runs inside the caller's transaction."""

    def __init__(self, database: Database) -> None:
        """Work on a database."""
        self._db = database

    def find(self, session_id: bytes) -> Session | None:
        """Return a session, or None."""
        row = self._db.row(f"{_SELECT} WHERE id = ?", session_id)
        return _session(row) if row else None

    def to_send_on(self, peer: str, own_key: bytes, their_key: bytes) -> Session | None:
        """Return the session between two identities that was received on last, or begun, or None."""
        row = self._db.row(
            f"{_SELECT} WHERE peer = ? AND own_key = ? AND their_key = ? AND NOT receive_only"
            " ORDER BY rank DESC LIMIT 1",
            peer, own_key, their_key,
        )  # fmt: skip
        return _session(row) if row else None

    def was_ended(self, session_id: bytes) -> bool:
        """Tell whether there was a session of this id that is gone."""
        return self._db.row("SELECT 1 FROM former_session WHERE id = ?", session_id) is not None

    def add(self, session: Session, *, now: int) -> None:
        """Keep a new session; the one of a contact that was used longest ago makes room."""
        self._db.run(
            "INSERT INTO session (id, peer, device_id, own_key, their_key, state, handshake, rank)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT coalesce(max(rank), 0) + 1 FROM session WHERE peer = ?2))",
            session.id, session.peer, session.device_id, session.own_key, session.their_key,
            msgspec.msgpack.encode(session.state), _packed(session.handshake),
        )  # fmt: skip
        for (old,) in self._db.rows(
            "SELECT id FROM session WHERE peer = ? ORDER BY rank DESC LIMIT -1 OFFSET ?", session.peer, MAX_SESSIONS
        ):
            self._db.run("INSERT INTO former_session VALUES (?, ?)", old, now)
            self._db.run("DELETE FROM session WHERE id = ?", old)

    def keep_sent(self, session_id: bytes, state: State) -> None:
        """Keep the state after a message was sealed."""
        self._db.run("UPDATE session SET state = ? WHERE id = ?", msgspec.msgpack.encode(state), session_id)

    def keep_received(self, session_id: bytes, state: State, skipped: list[Skipped], *, now: int) -> None:
        """Keep the state after a message was opened: there is an answer, and we answer here."""
        self._db.run(
            "UPDATE session SET state = ?, handshake = NULL, rank ="
            " (SELECT max(other.rank) + 1 FROM session AS other WHERE other.peer = session.peer) WHERE id = ?",
            msgspec.msgpack.encode(state), session_id,
        )  # fmt: skip
        for each in skipped:
            self._db.run(
                "INSERT OR REPLACE INTO skipped_key VALUES (?, ?, ?, ?, ?)",
                session_id, sha256(each.ratchet_key), each.number, each.key, now,
            )  # fmt: skip
        if skipped:  # of too many the oldest go
            self._db.run(
                "DELETE FROM skipped_key WHERE (session_id, ratchet_key, number) IN"
                " (SELECT session_id, ratchet_key, number FROM skipped_key WHERE session_id = ?"
                " ORDER BY stored_at DESC, number DESC LIMIT -1 OFFSET ?)",
                session_id, MAX_SKIPPED,
            )  # fmt: skip

    def skipped_key(self, session_id: bytes, header: Header) -> bytes | None:
        """Return the key of a message that had not come, or None."""
        row = self._db.row(
            "SELECT key FROM skipped_key WHERE session_id = ? AND ratchet_key = ? AND number = ?",
            session_id, sha256(header.ratchet_key), header.number,
        )  # fmt: skip
        return row[0] if row else None

    def use_skipped(self, session_id: bytes, header: Header) -> None:
        """Forget such a key: its message has opened."""
        self._db.run(
            "DELETE FROM skipped_key WHERE session_id = ? AND ratchet_key = ? AND number = ?",
            session_id, sha256(header.ratchet_key), header.number,
        )  # fmt: skip

    def send_no_more(self, peer: str) -> None:
        """Begin another session for what goes out to somebody: the two ends of one have come apart, maybe of all."""
        self._db.run("UPDATE session SET receive_only = 1 WHERE peer = ?", peer)

    def forget_old(self, own_keys: list[bytes], *, now: int) -> None:
        """Forget what nothing can come for any more: keys of late messages, sessions of forgotten identities."""
        self._db.run("DELETE FROM skipped_key WHERE stored_at < ?", now - SKIPPED_KEPT_S)
        self._db.run("DELETE FROM former_session WHERE ended_at < ?", now - ENDED_KEPT_S)
        marks = ", ".join("?" * len(own_keys))
        self._db.run(f"DELETE FROM session WHERE own_key NOT IN ({marks})", *own_keys)  # noqa: S608 - question marks


def _session(row: tuple[Any, ...]) -> Session:
    session_id, peer, device_id, own_key, their_key, state, begun = row
    handshake = msgspec.msgpack.decode(begun, type=Handshake) if begun is not None else None
    return Session(
        session_id, peer, device_id, own_key, their_key, msgspec.msgpack.decode(state, type=State), handshake
    )


def _packed(handshake: Handshake | None) -> bytes | None:
    return msgspec.msgpack.encode(handshake) if handshake is not None else None
