"""Every message in and out, in the order of arrival, and how far each has come."""

from __future__ import annotations

from typing import Final

from errors import Code
from messenger.database import Database
from messenger.events import MessageReceived

SENT_AGAIN_S: Final = 30 * 24 * 3600  # after which no server has the message
MAX_SENT_AGAIN: Final = 3  # times: a contact could ask for ever


class History:
    """The table of messages."""

    def __init__(self, database: Database) -> None:
        """Work on a database; every change runs inside the caller's transaction."""
        self._db = database

    # ------------------------------------------------------------ in

    def note_seen(self, sender_id: str, envelope_id: bytes, *, now: int) -> bool:
        """Remember an envelope; return whether it is new."""
        return bool(
            self._db.run(
                "INSERT OR IGNORE INTO seen (sender_id, envelope_id, seen_at) VALUES (?, ?, ?)",
                sender_id, envelope_id, now,
            )
        )  # fmt: skip

    def was_seen(self, sender_id: str, envelope_id: bytes) -> bool:
        """Tell whether an envelope was taken in before."""
        return (
            self._db.row("SELECT 1 FROM seen WHERE sender_id = ? AND envelope_id = ?", sender_id, envelope_id)
            is not None
        )

    def add_received(self, message: MessageReceived, *, now: int) -> None:
        """Store a message that has come in and is yet to be shown."""
        self._db.run(
            "INSERT INTO message (peer, direction, id, counter, text, timestamp, stored_at, state)"
            " VALUES (?, 'in', ?, ?, ?, ?, ?, 'stored')",
            message.peer, message.id, message.counter, message.text, message.timestamp, now,
        )  # fmt: skip

    def unshown(self) -> list[MessageReceived]:
        """Return what came in and was not shown before the program ended, in order."""
        rows = self._db.rows(
            "SELECT id, peer, text, message.timestamp, counter, trust FROM message JOIN contact ON user_id = peer"
            " WHERE state = 'stored' ORDER BY ordinal"
        )
        return [MessageReceived(*row) for row in rows]

    def mark_shown(self, peer: str, message_id: bytes, *, read: bool = False) -> bool:
        """Note that a message was shown, to a reader or where it can be found; return whether that is news."""
        return bool(
            self._db.run(
                "UPDATE message SET state = ?"
                " WHERE peer = ? AND direction = 'in' AND id = ? AND state = 'stored'",
                "read" if read else "shown", peer, message_id,
            )
        )  # fmt: skip

    def mark_read(self, peer: str) -> list[bytes]:
        """Note that all of a contact's messages that were shown were read; return those that is news of, in order."""
        rows = self._db.rows("SELECT id FROM message WHERE peer = ? AND state = 'shown' ORDER BY ordinal", peer)
        self._db.run("UPDATE message SET state = 'read' WHERE peer = ? AND state = 'shown'", peer)
        return [message_id for (message_id,) in rows]

    def taken_in(self, peer: str) -> dict[str, list[bytes]]:
        """Return a contact's messages that were shown, and those that were read."""
        rows = self._db.rows(
            "SELECT state, id FROM message WHERE peer = ? AND direction = 'in' AND state != 'stored' ORDER BY ordinal",
            peer,
        )
        found: dict[str, list[bytes]] = {}
        for state, message_id in rows:
            found.setdefault(state, []).append(message_id)
        return found

    # ------------------------------------------------------------ out

    def add_sent(self, peer: str, message_id: bytes, text: str, *, now: int) -> None:
        """Store a message that a person wrote."""
        self._db.run(
            "INSERT INTO message (peer, direction, id, text, timestamp, stored_at, state)"
            " VALUES (?, 'out', ?, ?, ?, ?, 'queued')",
            peer, message_id, text, now, now,
        )  # fmt: skip

    def text(self, message_id: bytes) -> tuple[str, int, int | None]:
        """Return the text of an own message, when it was written, and its counter if it has one."""
        row = self._db.row(
            "SELECT text, timestamp, counter FROM message WHERE direction = 'out' AND id = ?", message_id
        )
        assert row is not None  # noqa: S101 - the outbox names only messages of the history
        return row[0], row[1], row[2]

    def state(self, message_id: bytes) -> tuple[str, Code | None]:
        """Return how far an own message has come, and why it was rejected."""
        row = self._db.row(
            "SELECT state, reason FROM message WHERE direction = 'out' AND (id = ?1 OR first_id = ?1)", message_id
        )
        assert row is not None  # noqa: S101 - asked only of own messages
        return row[0], Code(row[1]) if row[1] else None

    def highest_out(self, peer: str) -> int:
        """Return the highest counter among the messages to a contact's present identity that went out, or still may."""
        row = self._db.row(
            "SELECT max(counter_base, coalesce((SELECT counter FROM message INDEXED BY message_counter"
            " WHERE peer = user_id AND direction = 'out' AND state NOT IN ('rejected', 'identity-changed')"
            " AND ordinal > counted_from ORDER BY counter DESC LIMIT 1), 0)) FROM contact WHERE user_id = ?",
            peer,
        )
        return row[0] if row else 0

    def set_counter(self, message_id: bytes, counter: int) -> None:
        """Give an own message its place in the order."""
        self._db.run("UPDATE message SET counter = ? WHERE direction = 'out' AND id = ?", counter, message_id)

    def advance(  # noqa: PLR0913 - what there is to say of it
        self,
        peer: str,
        message_id: bytes,
        state: str,
        *,
        only_from: tuple[str, ...],
        now: int,
        reason: str | None = None,
    ) -> bool:
        """Move an own message to a state from one of those before it; return whether that is news."""
        marks = ", ".join("?" * len(only_from))
        row = self._db.row(
            f"UPDATE message SET state = ?, reason = ? WHERE peer = ? AND direction = 'out' AND id = ? AND state IN ({marks}) RETURNING ordinal",  # noqa: S608, E501 - only question marks
            state, reason, peer, message_id, *only_from,
        )  # fmt: skip
        if row is not None:
            self._db.run("INSERT OR REPLACE INTO step VALUES (?, ?, ?)", row[0], state, now)
        return row is not None

    def renew(self, peer: str, message_id: bytes, new_id: bytes, *, now: int) -> bool:
        """Queue an own message once more, under another id; return whether there is one that may go out again.

        Not one that was written to an identity before the one that the person has accepted, nor one that no server
        keeps any more: what was forgotten on purpose is not made anew of the history.
        """
        return bool(
            self._db.run(
                "UPDATE message SET id = ?, first_id = coalesce(first_id, id), sent_again = sent_again + 1,"
                " state = 'queued' WHERE peer = ? AND direction = 'out' AND id = ? AND sent_again < ?"
                " AND state IN ('queued', 'accepted') AND stored_at > ?"
                " AND ordinal > (SELECT counted_from FROM contact WHERE user_id = peer)",
                new_id, peer, message_id, MAX_SENT_AGAIN, now - SENT_AGAIN_S,
            )
        )  # fmt: skip

    def undelivered(self, *, before: int) -> list[tuple[bytes, str]]:
        """Return id and peer of own messages that were accepted before a time and never delivered."""
        rows = self._db.rows(
            "SELECT id, peer FROM message WHERE state = 'accepted' AND stored_at < ? ORDER BY ordinal", before
        )
        return [(message_id, peer) for message_id, peer in rows]
