"""What changes texts that are there: edits, deletions and reactions, by either side, and the time that they live.

docs/PROTOCOL.md section 7.5.
"""

from __future__ import annotations

from typing import Final

from messenger.address_book import AddressBook
from messenger.content import Deletion, Edit, Reaction, Reference, Text, Timer, Written, is_reaction
from messenger.database import Database
from messenger.history import DELETION, EDIT, REACTION, SENT_AGAIN_S, TEXT, TIMER

CHANGED_WITHIN_S: Final = 24 * 3600  # of writing it
TAKEN_WITHIN_S: Final = CHANGED_WITHIN_S + SENT_AGAIN_S  # of its coming: the change may have waited at the server

_WITH_CHANGES: Final = "SELECT ordinal FROM message WHERE about = ?1 AND kind != 'text' UNION ALL SELECT ?1"
MAX_TIMERS_MISSED: Final = 1000
NO_EMOJI: Final = "\N{REPLACEMENT CHARACTER}"  # in place of what is none
_EVER: Final = 2**63  # longer than any timer


class Changes:
    """Changes the table of messages. Every change runs inside the caller's transaction."""

    def __init__(self, database: Database, book: AddressBook) -> None:
        """Work on a database, and the book where timers stand."""
        self._db = database
        self._book = book

    # ------------------------------------------------------------ from a contact

    def take(self, peer: str, content: Written, *, now: int) -> tuple[str, int | None]:
        """Carry out what a contact's message says of another.

        What is not here, or is not theirs to change, stays as it is.

        Returns:
            The kind of the message, and the ordinal of the text that it is about.
        """
        if isinstance(content, Text):
            return TEXT, None if not isinstance(content.answers, Reference) else self._find(peer, content.answers)
        if isinstance(content, Timer):
            self._take_timer(peer, content)
            return TIMER, None
        if isinstance(content, Reaction):
            return REACTION, self._take_reaction(peer, content)
        return EDIT if isinstance(content, Edit) else DELETION, self._take_rewriting(peer, content, now)

    def _find(self, peer: str, reference: Reference) -> int | None:
        """Return the ordinal of a text of the conversation, or None where it is not here."""
        row = self._db.row(
            "SELECT ordinal FROM message WHERE peer = ? AND direction = ? AND (id = ? OR first_id = ?)"
            " AND kind = 'text' AND deleted_at IS NULL",
            peer, "in" if reference.author == peer else "out", reference.id, reference.id,
        )  # fmt: skip
        return row[0] if row else None

    def _take_reaction(self, peer: str, reaction: Reaction) -> int | None:
        about = self._find(peer, reaction.about)
        if about is not None:
            emoji = reaction.emoji if is_reaction(reaction.emoji) else NO_EMOJI
            self._db.run(
                "INSERT INTO reaction VALUES (?1, 0, ?2, ?3) ON CONFLICT DO UPDATE SET emoji = ?2, counter = ?3"
                " WHERE counter < ?3",
                about, emoji, reaction.counter,
            )  # fmt: skip
        return about

    def _take_rewriting(self, peer: str, content: Edit | Deletion, now: int) -> int | None:
        """Rewrite a text of the contact's present identity, unless a later change of it came before."""
        row = self._db.row(
            "SELECT ordinal FROM message WHERE peer = ? AND direction = 'in' AND id = ? AND kind = 'text'"
            " AND deleted_at IS NULL AND stored_at > ? AND coalesce(changed_by, 0) < ?"
            " AND ordinal > coalesce((SELECT counted_from FROM contact WHERE user_id = peer), 0)",
            peer, content.id, now - TAKEN_WITHIN_S, content.counter,
        )  # fmt: skip
        if row is None:
            return None
        self.rewrite(row[0], content.text if isinstance(content, Edit) else "", now=now)
        self._db.run("UPDATE message SET changed_by = ? WHERE ordinal = ?", content.counter, row[0])
        return int(row[0])

    def _take_timer(self, peer: str, timer: Timer) -> None:
        """Follow a contact's timer, unless there is a later one; of two at once, both sides follow the shorter.

        A version that nobody reaches by setting timers is a trick to have the last word.
        """
        ours = self._book.entry(peer)
        shorter = (timer.lifetime_s or _EVER) < (ours.lifetime_s or _EVER)
        is_later = ours.timer_version < timer.version <= ours.timer_version + MAX_TIMERS_MISSED
        if is_later or (timer.version == ours.timer_version and shorter):
            self._book.set_timer(peer, timer.lifetime_s, timer.version)

    def count_timers_anew(self, peer: str) -> None:
        """Follow whatever timer a contact sets next: they do not know how many there were."""
        self._book.set_timer(peer, self._book.entry(peer).lifetime_s, 0)

    def count_anew(self, peer: str) -> None:
        """Take whatever a contact's new identity says for later than what the one before it said."""
        self.count_timers_anew(peer)
        self._db.run(
            "UPDATE reaction SET counter = 0"
            " WHERE outgoing = 0 AND ordinal IN (SELECT ordinal FROM message WHERE peer = ?)",
            peer,
        )

    # ------------------------------------------------------------ by either side

    def rewrite(self, ordinal: int, text: str, *, now: int) -> None:
        """Put another text into the place of one; an empty one is a deletion, and takes the reactions along."""
        what = "edited_at" if text else "deleted_at"
        self._db.run(f"UPDATE message SET text = ?, {what} = ? WHERE ordinal = ?", text, now, ordinal)  # noqa: S608 - constants
        if not text:
            self._db.run("DELETE FROM reaction WHERE ordinal = ?", ordinal)

    def react(self, ordinal: int, emoji: str) -> None:
        """Put the own reaction to a text into the place of what it was; an empty one takes it back."""
        self._db.run(
            "INSERT INTO reaction (ordinal, outgoing, emoji) VALUES (?1, 1, ?2)"
            " ON CONFLICT DO UPDATE SET emoji = ?2",
            ordinal, emoji,
        )  # fmt: skip

    def forget(self, ordinal: int) -> None:
        """Remove a text and what changes it, here only; their places in the order are not given again."""
        self._db.run(
            f"DELETE FROM outbox WHERE id IN"  # noqa: S608 - constants
            f" (SELECT id FROM message WHERE ordinal IN ({_WITH_CHANGES}) AND direction = 'out')",
            ordinal,
        )
        self._db.run(
            "UPDATE contact SET counter_base = max(counter_base, coalesce((SELECT max(counter) FROM message"  # noqa: S608 - constants
            f" WHERE ordinal IN ({_WITH_CHANGES}) AND direction = 'out' AND ordinal > counted_from"
            " AND state NOT IN ('rejected', 'identity-changed')), 0))"
            " WHERE user_id = (SELECT peer FROM message WHERE ordinal = ?1)",
            ordinal,
        )
        self._db.run(f"DELETE FROM message WHERE ordinal IN ({_WITH_CHANGES})", ordinal)  # noqa: S608 - constants
