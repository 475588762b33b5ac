"""This device's prekeys: made, left at the server, used, forgotten (docs/PROTOCOL.md section 4.9)."""

from __future__ import annotations

from typing import Final

from key_agreement import PrivatePair
from messenger.account import Account
from messenger.database import Database
from messenger.suites.handshake import Ours
from prekeys import create_one_time_prekey, create_signed_prekey
from protocol import MAX_PREKEYS, PrekeysHeld, PublishPrekeys

ONE_TIME: Final = 100  # left at the server
FEW: Final = 50  # below so many it gets more
RENEWED_S: Final = 7 * 24 * 3600  # after which there is another signed prekey
KEPT_S: Final = (
    37 * 24 * 3600
)  # after which a signed prekey opens nothing more: others use it for 30 days, or a week more


class OwnPrekeys:
    """The table of private halves. Every change runs inside the caller's transaction."""

    def __init__(self, database: Database) -> None:
        """Work on a database."""
        self._db = database

    def lacking(self, held: PrekeysHeld, account: Account, *, now: int) -> list[PublishPrekeys]:
        """Make what the server lacks, and return the frames that leave it there."""
        self._db.run("DELETE FROM own_prekey WHERE NOT one_time AND made_at < ?", now - KEPT_S)
        signed = []
        row = self._db.row("SELECT made_at FROM own_prekey WHERE id = ? AND NOT one_time", held.signed)
        if row is None or row[0] < now - RENEWED_S:
            number, pair = self._make(now, one_time=False)
            signed.append(
                create_signed_prekey(
                    account.keys, account.record, pair.public, device_id=account.device_id, number=number, created=now
                )
            )
        missing = ONE_TIME - held.one_time if held.one_time < FEW else 0
        one_time = []
        for _ in range(missing):
            number, pair = self._make(now, one_time=True)
            one_time.append(
                create_one_time_prekey(
                    account.keys, account.record, pair.public, device_id=account.device_id, number=number
                )
            )
        pages = [one_time[at : at + MAX_PREKEYS] for at in range(0, len(one_time), MAX_PREKEYS)] or [[]]
        frames = [PublishPrekeys(one_time=page, signed=signed if page is pages[0] else []) for page in pages]
        return frames if signed or one_time else []

    def _make(self, now: int, *, one_time: bool) -> tuple[int, PrivatePair]:
        pair = PrivatePair.generate()
        ((number,),) = self._db.rows(
            "INSERT INTO own_prekey (one_time, pair, made_at) VALUES (?, ?, ?) RETURNING id",
            int(one_time), pair.to_bytes(), now,
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
