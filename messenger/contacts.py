"""Everybody this account has met, and the identity that each is pinned to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from identity import identity_hash, verify_record
from messenger.database import Database
from protocol import KEY_ID_SIZE, IdentityRecord, canonical, decode


class Trust(StrEnum):
    """What is known of a pinned identity."""

    UNVERIFIED = "unverified"  # pinned at first sight
    VERIFIED = "verified"  # compared by the two people
    CHANGED = "changed"  # the key directory hands out another one; nothing goes in or out until the person decides


class Sight(StrEnum):
    """What a look at an identity record brought."""

    FIRST = "first"
    SAME = "same"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Contact:
    """Someone I know."""

    user_id: str
    record: IdentityRecord
    identity_hash: bytes
    trust: Trust
    suite: int
    highest_in: int

    @property
    def key_id(self) -> bytes:
        """The 16 bytes by which envelopes name the pinned identity."""
        return self.identity_hash[:KEY_ID_SIZE]


class Contacts:
    """The table of contacts."""

    def __init__(self, database: Database) -> None:
        """Work on a database; every change runs inside the caller's transaction."""
        self._db = database

    def find(self, user_id: str) -> Contact | None:
        """Return a contact, or None for somebody never met."""
        row = self._db.row(
            "SELECT record, identity_hash, trust, suite, highest_in FROM contact WHERE user_id = ?", user_id
        )
        if row is None:
            return None
        record, pinned, trust, suite, highest_in = row
        return Contact(user_id, decode(IdentityRecord, record), pinned, Trust(trust), suite, highest_in)

    def all(self) -> list[tuple[str, Trust]]:
        """Return every contact with its trust, by name."""
        return [
            (user_id, Trust(trust)) for user_id, trust in self._db.rows("SELECT user_id, trust FROM contact ORDER BY 1")
        ]

    def see(self, record: IdentityRecord, *, now: int) -> Sight:
        """Take in an identity record from the key directory: pin it, know it again, or raise the alarm.

        Raises:
            CryptoError: It is not a valid record.
        """
        verify_record(record)
        seen = identity_hash(record)
        contact = self.find(record.user_id)
        if contact is None:
            self._db.run(
                "INSERT INTO contact"
                " (user_id, record, identity_hash, trust, suite, highest_in, counted_from, first_seen)"
                " VALUES (?, ?, ?, ?, 1, 0, 0, ?)",
                record.user_id, canonical(record), seen, Trust.UNVERIFIED, now,
            )  # fmt: skip
            return Sight.FIRST
        if contact.identity_hash == seen:
            return Sight.SAME
        self._db.run(
            "UPDATE contact SET trust = ?, offered = ? WHERE user_id = ?",
            Trust.CHANGED, canonical(record), record.user_id,
        )  # fmt: skip
        return Sight.CHANGED

    def accept(self, user_id: str) -> None:
        """Pin the identity that was offered in place of the old one: the person's decision.

        Both sides count their messages from 1 again: a new identity knows nothing of those before it.
        """
        ((offered,),) = self._db.rows("SELECT offered FROM contact WHERE user_id = ?", user_id)
        record = decode(IdentityRecord, offered)
        self._db.run(
            "UPDATE contact SET record = offered, identity_hash = ?, trust = ?, offered = NULL, highest_in = 0,"
            " counted_from = (SELECT coalesce(max(ordinal), 0) FROM message) WHERE user_id = ?",
            identity_hash(record), Trust.UNVERIFIED, user_id,
        )  # fmt: skip

    def keep(self, user_id: str) -> None:
        """Stay with the identity that is pinned and forget the one that was offered: the person's decision."""
        self._db.run("UPDATE contact SET trust = ?, offered = NULL WHERE user_id = ?", Trust.UNVERIFIED, user_id)

    def note_opened(self, user_id: str, *, suite: int, counter: int) -> None:
        """Remember what an opened envelope has shown; both only rise."""
        self._db.run(
            "UPDATE contact SET suite = max(suite, ?), highest_in = max(highest_in, ?) WHERE user_id = ?",
            suite, counter, user_id,
        )  # fmt: skip
