"""My own identities: the present one, the next while it is being made known, and those before.

The next one is on disk before the server hears of it, and takes the place of the present one when the server has said
so. Whatever moment a crash chooses, the account can log in with one of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from canonical_json import canonical, decode
from crypto_utils import private_keys_from_pem, private_keys_to_pem
from errors import UsageError
from identity import key_id
from messenger.account import Account, Vault, succeed
from messenger.database import Database
from messenger.suites import SPOKEN
from records import IdentityRecord

MAX_TRIED: Final = 3  # former identities at a login; a server takes only a few failed ones
KEPT_S: Final = 35 * 24 * 3600  # a relay keeps envelopes for 30 days


class Keyring:
    """An account's identities."""

    def __init__(
        self,
        account: Account,
        database: Database,
        vault: Vault | None = None,
        *,
        following: Account | None = None,
        suites: Sequence[int] = SPOKEN,
    ) -> None:
        """Hold the present identity.

        Args:
            account: It.
            database: Where the former ones are; every change runs inside the caller's transaction.
            vault: Where the present one and the next are; None: nowhere but in memory.
            following: The next one, that the server may or may not know.
            suites: What an identity that is made here says that it can open.
        """
        self._suites = list(suites)
        self.account = account
        self.following = following
        self._db = database
        self._vault = vault

    def prepare(self, *, now: int) -> None:
        """Make the next identity; it is on disk when this returns.

        Raises:
            StorageError: It cannot be written.
        """
        following = succeed(self.account, suites=self._suites, now=now)
        if self._vault is not None:
            self._vault.save_next(following)
        self.following = following

    def refuse_while_rotating(self) -> None:
        """Refuse what must not happen between two identities.

        Raises:
            UsageError: There is a next one.
        """
        if self.following is not None:
            message = "the keys are being rotated"
            raise UsageError(message, hint="start the client, so that the server hears of the new ones; then try again")

    @property
    def key_ids(self) -> list[bytes]:
        """The key ids of the present identity and of the former ones that still open something."""
        return [self.account.key_id, *(key for (key,) in self._db.rows("SELECT key_id FROM former_keys"))]

    def in_order(self) -> list[Account]:
        """Return the identities that the server may know this account by, the likeliest first.

        An earlier one only if its database is an older one, or if the account has other keys by now that are not here.
        """
        former = [self.opening(key_id(record)) for record in self._former_records()[:MAX_TRIED]]
        return [each for each in (self.account, self.following, *former) if each is not None]

    def _former_records(self) -> list[IdentityRecord]:
        """Return the records of the former identities, the latest first.

        Where a change was cut short the present one is among them on disk.
        """
        records = [decode(IdentityRecord, record) for (record,) in self._db.rows("SELECT record FROM former_keys")]
        former = [record for record in records if record.epoch < self.account.record.epoch]
        return sorted(former, key=lambda record: record.epoch, reverse=True)

    def after(self, former: bytes) -> IdentityRecord:
        """Return the record that follows one of `in_order` before the present one, by its hash."""
        records = [self.account.record, *self._former_records()]
        return next(record for record in records if record.prev == former)

    def opening(self, key: bytes) -> Account | None:
        """Return the identity that opens what was sealed for a key id, or None if there is none."""
        if key == self.account.key_id:
            return self.account
        row = self._db.row("SELECT record, keys FROM former_keys WHERE key_id = ?", key)
        if row is None:
            return None
        record, keys = row
        return Account(
            self.account.user_id, private_keys_from_pem(keys), decode(IdentityRecord, record), self.account.device_id
        )

    def take_news(self) -> str:
        """Return, once, what the contacts are told: new keys, or that these come with a backup that was restored."""
        return "restored" if self._db.run("DELETE FROM restored") else "identity"

    def retire(self, *, now: int) -> None:
        """Keep the present keys among the former ones."""
        account = self.account
        self._db.run(
            "INSERT OR IGNORE INTO former_keys VALUES (?, ?, ?, ?)",
            account.key_id, canonical(account.record), private_keys_to_pem(account.keys), now,
        )  # fmt: skip

    def forget_old(self, *, now: int) -> None:
        """Forget the former keys that nothing can be sealed for any more."""
        self._db.run("DELETE FROM former_keys WHERE retired_at < ?", now - KEPT_S)

    @property
    def is_restored(self) -> bool:
        """Whether the account comes from a backup, and the contacts do not know yet."""
        return self._db.row("SELECT 1 FROM restored") is not None

    def advance(self) -> None:
        """Go on with the next identity, once the present one is among the former ones on disk."""
        assert self.following is not None  # noqa: S101 - asked only when there is one
        if self._vault is not None:
            self._vault.promote(self.following)
        self.account, self.following = self.following, None
