"""Every message in and out, in the order of arrival, and how far each has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from canonical_json import canonical
from errors import Code
from messenger.database import Database
from messenger.events import (
    Arrival,
    MessageDeleted,
    MessageEdited,
    MessageReaction,
    MessageReceived,
    Quote,
    TimerChanged,
)
from records import Acceptance

SENT_AGAIN_S: Final = 30 * 24 * 3600  # after which no server has the message
MAX_SENT_AGAIN: Final = 3  # times: a contact could ask for ever
TEXT, EDIT, DELETION, REACTION, TIMER = "text", "edit", "deletion", "reaction", "timer"  # kinds of messages

# A message, and what it is about: all but texts say only that, and what they say of it stands there.
_WITH_QUOTE: Final = (
    "one.kind, one.id, one.peer, one.text, one.timestamp, one.counter, one.lifetime_s, one.ordinal,"
    " other.ordinal, other.direction, other.id, other.text, other.timestamp, emoji, conversation.lifetime_s"
)
_JOINED: Final = (
    "FROM message AS one LEFT JOIN message AS other ON other.ordinal = one.about"
    " LEFT JOIN reaction ON reaction.ordinal = one.about AND outgoing = (one.direction = 'out')"
    " LEFT JOIN conversation ON conversation.peer = one.peer"
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An own message, to be sealed."""

    kind: str
    text: str
    timestamp: int  # seconds since 1970
    counter: int | None  # its place, if it has one
    lifetime_s: int | None
    quote: Quote | None  # what it answers or changes, as that is by now
    emoji: str  # the own reaction to that
    timer: tuple[int, int]  # of the conversation: lifetime in seconds, and version


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

    def add_received(  # noqa: PLR0913 - the columns
        self,
        peer: str,
        message_id: bytes,
        kind: str,
        *,
        counter: int,
        timestamp: int,
        now: int,
        text: str = "",
        about: int | None = None,
        lifetime_s: int | None = None,
    ) -> None:
        """Store a message that has come in and is yet to be shown."""
        self._db.run(
            "INSERT INTO message (peer, direction, id, kind, counter, text, timestamp, stored_at, state, about,"
            " lifetime_s) VALUES (?, 'in', ?, ?, ?, ?, ?, ?, 'stored', ?, ?)",
            peer, message_id, kind, counter, text, timestamp, now, about, lifetime_s,
        )  # fmt: skip

    def received(self, peer: str, message_id: bytes) -> Arrival:
        """Return a message that has come in."""
        (arrival,) = self._received("one.peer = ? AND one.direction = 'in' AND one.id = ?", peer, message_id)
        return arrival

    def unshown(self) -> list[Arrival]:
        """Return what came in and was not shown before the program ended, in order."""
        return self._received("one.state = 'stored' ORDER BY one.ordinal")

    def _received(self, where: str, *values: object) -> list[Arrival]:
        rows = self._db.rows(
            f"SELECT {_WITH_QUOTE}, trust {_JOINED} JOIN contact ON contact.user_id = one.peer WHERE {where}",
            *values,
        )
        return [_arrival(row) for row in rows]

    def mark_shown(self, peer: str, message_id: bytes, *, now: int, read: bool = False) -> bool:
        """Note that a message was shown, to a reader or where it can be found; return whether that is news."""
        return bool(
            self._db.run(
                "UPDATE message SET state = CASE WHEN ?1 THEN 'read' ELSE 'shown' END,"
                " expires_at = CASE WHEN ?1 THEN ?2 + lifetime_s END"
                " WHERE peer = ?3 AND direction = 'in' AND id = ?4 AND state = 'stored'",
                read, now, peer, message_id,
            )
        )  # fmt: skip

    def mark_read(self, peer: str, *, now: int) -> list[bytes]:
        """Note that all of a contact's messages that were shown were read; return those that is news of, in order."""
        rows = self._db.rows("SELECT id FROM message WHERE peer = ? AND state = 'shown' ORDER BY ordinal", peer)
        self._db.run(
            "UPDATE message SET state = 'read', expires_at = ? + lifetime_s WHERE peer = ? AND state = 'shown'",
            now, peer,
        )  # fmt: skip
        return [message_id for (message_id,) in rows]

    def forget_changes(self, peer: str) -> None:
        """Forget the messages of a contact that have changed others: that is done, and confirmed."""
        self._db.run(
            "DELETE FROM message WHERE peer = ? AND direction = 'in' AND kind != 'text' AND state != 'stored'", peer
        )

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

    def add_sent(  # noqa: PLR0913 - the columns
        self,
        peer: str,
        message_id: bytes,
        text: str,
        *,
        now: int,
        kind: str = TEXT,
        about: int | None = None,
        lifetime_s: int | None = None,
    ) -> None:
        """Store a message that a person wrote, or that changes one."""
        self._db.run(
            "INSERT INTO message (peer, direction, id, kind, text, timestamp, stored_at, state, about, lifetime_s)"
            " VALUES (?, 'out', ?, ?, ?, ?, ?, 'queued', ?, ?)",
            peer, message_id, kind, text, now, now, about, lifetime_s,
        )  # fmt: skip

    def outgoing(self, message_id: bytes) -> Outgoing | None:
        """Return an own message, or None when it is not here any more."""
        row = self._db.row(
            f"SELECT {_WITH_QUOTE}, timer_version {_JOINED} WHERE one.direction = 'out' AND one.id = ?",
            message_id,
        )
        if row is None:
            return None
        kind, _, _, text, timestamp, counter, lifetime_s, _, *quoted, emoji, timer_s, version = row
        return Outgoing(
            kind, text, timestamp, counter, lifetime_s, quoted_of(quoted), emoji or "", (timer_s or 0, version or 0)
        )

    def state(self, message_id: bytes) -> tuple[str, Code | None]:
        """Return how far an own message has come, `deleted` if it is not here any more, and why it was rejected."""
        row = self._db.row(
            "SELECT state, reason FROM message WHERE direction = 'out' AND (id = ?1 OR first_id = ?1)", message_id
        )
        if row is None:
            return "deleted", None
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
            f"UPDATE message SET state = ?, reason = ?, expires_at = coalesce(expires_at, ? + lifetime_s) WHERE peer = ? AND direction = 'out' AND id = ? AND state IN ({marks}) RETURNING ordinal",  # noqa: S608, E501 - only question marks
            state, reason, now, peer, message_id, *only_from,
        )  # fmt: skip
        if row is not None:
            self._db.run("INSERT OR REPLACE INTO step VALUES (?, ?, ?)", row[0], state, now)
        return row is not None

    def note_proof(self, message_id: bytes, proof: Acceptance, *, now: int) -> None:
        """Keep the server's word about an own message."""
        row = self._db.row("SELECT ordinal FROM message WHERE direction = 'out' AND id = ?", message_id)
        if row is None:
            return
        self._db.run("INSERT OR REPLACE INTO proof VALUES (?, ?)", row[0], canonical(proof))
        for state in ("signed", "fetched") if proof.fetched else ("signed",):
            self._db.run("INSERT OR IGNORE INTO step VALUES (?, ?, ?)", row[0], state, now)

    def renew(self, peer: str, message_id: bytes, new_id: bytes, *, now: int) -> bool:
        """Queue an own message once more, under another id; return whether there is one that may go out again.

        Not one that was written to an identity before the one that the person has accepted, nor one that no server
        keeps any more: what was forgotten on purpose is not made anew of the history.
        """
        return bool(
            self._db.run(
                "UPDATE message SET id = ?, first_id = coalesce(first_id, id), sent_again = sent_again + 1,"
                " state = 'queued' WHERE peer = ? AND direction = 'out' AND id = ? AND sent_again < ?"
                " AND state IN ('queued', 'accepted') AND stored_at > ? AND deleted_at IS NULL"
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


def _arrival(row: Sequence[Any]) -> Arrival:
    kind, message_id, peer, text, timestamp, counter, lifetime_s, number, *quoted, emoji, timer_s, trust = row
    quote = quoted_of(quoted)
    if kind == EDIT:
        return MessageEdited(message_id, peer, quote)
    if kind == DELETION:
        return MessageDeleted(message_id, peer, quote)
    if kind == REACTION:
        return MessageReaction(message_id, peer, quote, emoji or "")
    if kind == TIMER:
        return TimerChanged(message_id, peer, timer_s or 0)
    return MessageReceived(message_id, peer, text, timestamp, counter, trust, number, quote, lifetime_s)


def quoted_of(row: Sequence[Any]) -> Quote | None:
    """Return what the columns of a joined message say: ordinal, direction, id, text and timestamp, all NULL or none."""
    number, direction, message_id, text, timestamp = row
    return None if number is None else Quote(number, direction == "out", message_id, text, timestamp)
