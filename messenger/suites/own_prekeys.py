"""This device's prekeys: made, left at the server, used, forgotten (docs/PROTOCOL.md section 4.9)."""

from __future__ import annotations

import secrets
from typing import Final

from key_agreement import PrivatePair
from messenger.account import Account
from messenger.database import Database
from messenger.suites.handshake import Ours
from prekeys import create_one_time_prekey, create_signed_prekey
from protocol import MAX_PREKEYS, PrekeysHeld, PublishPrekeys
from records import OneTimePrekey, SignedPrekey

ONE_TIME: Final = 100  # left at the server
FEW: Final = 50  # below so many it gets more
MOST: Final = 300  # private halves of one-time prekeys; the oldest of more were lost by servers
DAY: Final = 24 * 3600
RENEWED_S: Final = 7 * DAY  # after which there is another signed prekey
KEPT_S: Final = 31 * DAY  # after that: what was begun with the one before waits at a relay for 30 days at the most
LONGEST_S: Final = 66 * DAY  # also where there is no other: nobody begins with one of 35 days


class OwnPrekeys:
    """The table of private halves. Every change runs inside the caller's transaction."""

    def __init__(self, database: Database) -> None:
        """Work on a database."""
        self._db = database

    def lacking(self, held: PrekeysHeld, account: Account, *, now: int) -> list[PublishPrekeys]:
        """Make what the server lacks, and return the frames that leave it there."""
        row = self._db.row("SELECT made_at FROM own_prekey WHERE id = ? AND NOT one_time", held.signed)
        renewed = row is None or row[0] < now - RENEWED_S
        missing = ONE_TIME if renewed else ONE_TIME - held.one_time if held.one_time < FEW else 0
        signed = [self._signed(account, now)] if renewed else []  # takes the place of all that is there
        one_time = [self._one_time(account, now) for _ in range(missing)]
        pages = [one_time[at : at + MAX_PREKEYS] for at in range(0, len(one_time), MAX_PREKEYS)]
        return [PublishPrekeys(one_time=page, signed=signed if page is pages[0] else []) for page in pages]

    def _signed(self, account: Account, now: int) -> SignedPrekey:
        self._db.run("UPDATE own_prekey SET replaced_at = ? WHERE NOT one_time AND replaced_at IS NULL", now)
        number, pair = self._make(now, one_time=False)
        return create_signed_prekey(
            account.keys, account.record, pair.public, device_id=account.device_id, number=number, created=now
        )

    def _one_time(self, account: Account, now: int) -> OneTimePrekey:
        number, pair = self._make(now, one_time=True)
        return create_one_time_prekey(
            account.keys, account.record, pair.public, device_id=account.device_id, number=number
        )

    def forget_old(self, *, now: int) -> None:
        """Forget, by our own clock, what nobody can begin a session with any more."""
        self._db.run(
            "DELETE FROM own_prekey WHERE NOT one_time AND (replaced_at < ? OR made_at < ?)",
            now - KEPT_S,
            now - LONGEST_S,
        )
        self._db.run(
            "DELETE FROM own_prekey WHERE one_time AND id NOT IN"
            " (SELECT id FROM own_prekey WHERE one_time ORDER BY id DESC LIMIT ?)",
            MOST,
        )

    def _make(self, now: int, *, one_time: bool) -> tuple[int, PrivatePair]:
        """Make a pair; the first number is a random one, so that a new database does not give those of a lost one."""
        pair = PrivatePair.generate()
        first = self._db.row("SELECT 1 FROM sqlite_sequence WHERE name = 'own_prekey'") is None
        ((number,),) = self._db.rows(
            "INSERT INTO own_prekey (id, one_time, pair, made_at) VALUES (?, ?, ?, ?) RETURNING id",
            1 + secrets.randbelow(2**31) if first else None, int(one_time), pair.to_bytes(), now,
        )  # fmt: skip
        return number, pair

    def find(self, signed_id: int, one_time_id: int) -> Ours | None:
        """Return the private halves of prekeys; None if one is gone. The number 0 stands for no one-time prekey."""
        signed = self._pair(signed_id, one_time=False)
        one_time = self._pair(one_time_id, one_time=True) if one_time_id else None
        if signed is None or (one_time is None and one_time_id):
            return None
        return Ours(signed, one_time)

    def _pair(self, number: int, *, one_time: bool) -> PrivatePair | None:
        row = self._db.row("SELECT pair FROM own_prekey WHERE id = ? AND one_time = ?", number, int(one_time))
        return PrivatePair.from_bytes(row[0]) if row else None

    def use_up(self, one_time_id: int) -> None:
        """Forget a one-time prekey: a session has begun with it."""
        self._db.run("DELETE FROM own_prekey WHERE id = ? AND one_time", one_time_id)
