"""Everybody this account has met, and the identity that each is pinned to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from canonical_json import canonical, decode
from errors import CryptoError
from identity import identity_hash, key_id, verify_chain, verify_ending, verify_successor
from messenger.database import Database
from records import KEY_ID_SIZE, IdentityRecord, Revocation

COUNTERS_SKIPPED: Final = 2**32  # more than anybody writes between two backups, and room for two million of them


class Trust(StrEnum):
    """What is known of a pinned identity."""

    UNVERIFIED = "unverified"  # pinned at first sight
    VERIFIED = "verified"  # compared by the two people
    CHANGED = "changed"  # the key directory hands out another one; nothing goes in or out until the person decides
    REVOKED = "revoked"  # ended by its certificate; nothing goes in or out any more


class Sight(StrEnum):
    """What a look at somebody's identity brought."""

    FIRST = "first"
    SAME = "same"
    ROTATED = "rotated"  # another one, which the pinned one has signed
    CHANGED = "changed"  # another one, which it has not
    REVOKED = "revoked"


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


# A revoked identity stays so, also when it is pinned again; a change comes first: the person must decide about it.
_SELECT = (
    "SELECT contact.user_id, record, contact.identity_hash, suite, highest_in,"
    " CASE WHEN trust != 'changed' AND revoked_identity.identity_hash IS NOT NULL THEN 'revoked' ELSE trust END"
    " FROM contact LEFT JOIN revoked_identity ON revoked_identity.identity_hash = contact.identity_hash"
)


class Contacts:
    """The table of contacts."""

    def __init__(self, database: Database) -> None:
        """Work on a database; every change runs inside the caller's transaction."""
        self._db = database

    def find(self, user_id: str) -> Contact | None:
        """Return a contact, or None for somebody never met."""
        row = self._db.row(f"{_SELECT} WHERE contact.user_id = ?", user_id)
        if row is None:
            return None
        _, record, pinned, suite, highest_in, trust = row
        return Contact(user_id, decode(IdentityRecord, record), pinned, Trust(trust), suite, highest_in)

    def trust(self, user_id: str) -> str:
        """Return how far somebody's key is trusted, in a word: `new` for somebody never met."""
        row = self._db.row(f"{_SELECT} WHERE contact.user_id = ?", user_id)
        return str(row[-1]) if row else "new"

    def all(self) -> list[tuple[str, Trust]]:
        """Return every contact with its trust, by name."""
        return [(row[0], Trust(row[-1])) for row in self._db.rows(f"{_SELECT} ORDER BY 1")]

    # ------------------------------------------------------------ how the key log names them

    def note_log_index(self, user_id: str, index: bytes) -> None:
        """Remember by which index the key log names a contact."""
        self._db.run("UPDATE contact SET log_index = ? WHERE user_id = ?", index, user_id)

    def log_index(self, user_id: str) -> bytes | None:
        """Return by which index the key log names a contact, if that is known."""
        row = self._db.row("SELECT log_index FROM contact WHERE user_id = ?", user_id)
        return row[0] if row else None

    def was_declined(self, user_id: str, identity_hash: bytes) -> bool:
        """Return whether the person has decided against this identity of a contact."""
        return (
            self._db.row("SELECT 1 FROM contact WHERE user_id = ? AND declined = ?", user_id, identity_hash) is not None
        )

    def without_log_index(self) -> list[str]:
        """Return the contacts of whom it is not known how the key log names them."""
        return [user_id for (user_id,) in self._db.rows("SELECT user_id FROM contact WHERE log_index IS NULL")]

    def by_log_index(self) -> dict[bytes, str]:
        """Return the contacts by their index."""
        return dict(self._db.rows("SELECT log_index, user_id FROM contact WHERE log_index IS NOT NULL"))

    # ------------------------------------------------------------ what the key directory says

    def see(self, records: list[IdentityRecord], revocations: list[Revocation], *, now: int) -> Sight:
        """Take in somebody's identity: pin it, know it again, follow it, or raise the alarm.

        Args:
            records: Of one account, ascending.
            revocations: What ended it, if something has.
            now: Seconds since 1970.

        Raises:
            CryptoError: They are not valid, or not one account's.
        """
        verify_chain(records)
        newest, ended = records[-1], _ended(records, revocations)
        contact = self.find(newest.user_id)
        if contact is None:
            sight = self._pin(records, now)
        elif contact.trust is Trust.CHANGED:  # until the person decides, nothing changes but what they are offered
            sight = Sight.SAME if identity_hash(newest) == contact.identity_hash else self._offer(newest)
        else:
            sight = self._compare(contact, records, now)
        revoked = self._revoke(revocations[0], ended, now) if ended else None
        return revoked if revoked is not None and sight is not Sight.CHANGED else sight

    def _pin(self, records: list[IdentityRecord], now: int) -> Sight:
        *former, record = records
        self._keep_former(former, now)
        self._db.run(
            "INSERT INTO contact"
            " (user_id, record, identity_hash, trust, suite, highest_in, counted_from, first_seen)"
            " VALUES (?, ?, ?, ?, 1, 0, 0, ?)",
            record.user_id, canonical(record), identity_hash(record), Trust.UNVERIFIED, now,
        )  # fmt: skip
        return Sight.FIRST

    def _compare(self, contact: Contact, records: list[IdentityRecord], now: int) -> Sight:
        """Find the pinned identity among those that an account has had since."""
        hashes = [identity_hash(record) for record in records]
        if contact.identity_hash == hashes[-1]:
            return Sight.SAME
        if records[0].prev == contact.identity_hash:  # a server that has lost its database knows none before
            verify_successor(records[0], contact.record)
            records, hashes = [contact.record, *records], [contact.identity_hash, *hashes]
        if contact.identity_hash in hashes and contact.trust is not Trust.REVOKED:
            return self._follow(contact, records[hashes.index(contact.identity_hash) :], now)
        return self._offer(records[-1])

    def _follow(self, contact: Contact, chain: list[IdentityRecord], now: int) -> Sight:
        """Pin the identity that the pinned one leads to; whoever compared that one has not compared this one.

        Each on the way may have signed something that has not come yet.
        """
        *former, newest = chain
        self._keep_former(former, now)
        self._db.run(
            "UPDATE contact SET record = ?, identity_hash = ?, trust = ? WHERE user_id = ?",
            canonical(newest), identity_hash(newest), Trust.UNVERIFIED, contact.user_id,
        )  # fmt: skip
        return Sight.ROTATED

    def _keep_former(self, records: list[IdentityRecord], now: int) -> None:
        for record in records:
            self._db.run(
                "INSERT OR IGNORE INTO former_record VALUES (?, ?, ?, ?)",
                key_id(record), record.user_id, canonical(record), now,
            )  # fmt: skip

    def _offer(self, record: IdentityRecord) -> Sight:
        self._db.run(
            "UPDATE contact SET trust = ?, offered = ? WHERE user_id = ?",
            Trust.CHANGED, canonical(record), record.user_id,
        )  # fmt: skip
        return Sight.CHANGED

    def _revoke(self, certificate: Revocation, ended: list[bytes], now: int) -> Sight | None:
        """Refuse identities from now on; return whether that is news of the last of them."""
        news = [
            self._db.run(
                "INSERT OR IGNORE INTO revoked_identity VALUES (?, ?, ?, ?)",
                identity, certificate.user_id, canonical(certificate), now,
            )
            for identity in ended
        ]  # fmt: skip
        return Sight.REVOKED if news[-1] else None

    def former(self, user_id: str, key_id: bytes, *, after: int) -> IdentityRecord | None:
        """Return the identity that a contact had before the pinned one, if it was retired after a time."""
        row = self._db.row(
            "SELECT record FROM former_record WHERE user_id = ? AND key_id = ? AND retired_at > ?",
            user_id, key_id, after,
        )  # fmt: skip
        return decode(IdentityRecord, row[0]) if row else None

    def forget_former(self, user_id: str) -> None:
        """Open nothing more with the identities that a contact had: it has used the new one."""
        self._db.run("DELETE FROM former_record WHERE user_id = ?", user_id)

    # ------------------------------------------------------------ what the person says

    def verify(self, user_id: str, pinned: bytes) -> bool:
        """Note that the two people have compared this identity; return whether it is the pinned one, and news."""
        return bool(
            self._db.run(
                "UPDATE contact SET trust = ? WHERE user_id = ? AND identity_hash = ? AND trust = ?",
                Trust.VERIFIED, user_id, pinned, Trust.UNVERIFIED,
            )
        )  # fmt: skip

    def accept(self, user_id: str) -> None:
        """Pin the identity that was offered in place of the old one: the person's decision.

        Both sides count their messages from 1 again: a new identity knows nothing of those before it.
        """
        ((offered,),) = self._db.rows("SELECT offered FROM contact WHERE user_id = ?", user_id)
        record = decode(IdentityRecord, offered)
        self.forget_former(user_id)
        self._db.run(
            "UPDATE contact SET record = offered, identity_hash = ?, trust = ?, offered = NULL, declined = NULL,"
            " highest_in = 0, counter_base = 0, counted_from = (SELECT coalesce(max(ordinal), 0) FROM message)"
            " WHERE user_id = ?",
            identity_hash(record), Trust.UNVERIFIED, user_id,
        )  # fmt: skip

    def keep(self, user_id: str) -> None:
        """Stay with the identity that is pinned and forget the one that was offered: the person's decision."""
        ((offered,),) = self._db.rows("SELECT offered FROM contact WHERE user_id = ?", user_id)
        self._db.run(
            "UPDATE contact SET trust = ?, offered = NULL, declined = ? WHERE user_id = ?",
            Trust.UNVERIFIED, identity_hash(decode(IdentityRecord, offered)), user_id,
        )  # fmt: skip

    # ------------------------------------------------------------ what came in

    def skip_counters(self) -> None:
        """Count on from where no message has been: a restored backup does not know how far it had come."""
        self._db.run(
            "UPDATE contact SET counter_base = ? + max(counter_base, coalesce("
            "(SELECT max(counter) FROM message WHERE peer = user_id AND direction = 'out'), 0))",
            COUNTERS_SKIPPED,
        )

    def count_anew(self, user_id: str, counter: int) -> None:
        """Expect the message after this one next, whatever was expected: the contact has lost count."""
        self._db.run("UPDATE contact SET highest_in = max(highest_in, ?) WHERE user_id = ?", counter, user_id)

    def note_opened(self, user_id: str, *, suite: int, counter: int) -> None:
        """Remember what an opened envelope has shown; both only rise."""
        self._db.run(
            "UPDATE contact SET suite = max(suite, ?), highest_in = max(highest_in, ?) WHERE user_id = ?",
            suite, counter, user_id,
        )  # fmt: skip


def _ended(records: list[IdentityRecord], revocations: list[Revocation]) -> list[bytes]:
    """Return the hashes of the identities that a certificate has ended: the one that it names, and those that follow.

    Raises:
        CryptoError: It is of none of them.
    """
    if not revocations:
        return []
    hashes = [identity_hash(record) for record in records]
    if revocations[0].identity_hash not in hashes:
        raise CryptoError
    at = hashes.index(revocations[0].identity_hash)
    verify_ending(revocations[0], records[at])
    return hashes[at:]
