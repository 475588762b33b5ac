"""The key directory: publishes identity records and answers look-ups."""

from __future__ import annotations

from errors import Code, CryptoError, Refused
from identity import identity_hash, verify_record
from protocol import IdentityRecord, canonical, decode
from relay.limits import Limits, Now, RateLimiter
from relay.storage import Store


class Directory:
    """Who has which identity."""

    def __init__(self, store: Store, limits: Limits) -> None:
        """Work on a store."""
        self._store = store
        self._lookups = RateLimiter(limits.lookups)

    def check(self, record: IdentityRecord) -> None:
        """Check that a record can be the first of an account.

        Raises:
            Refused: It is not signed by all of its own keys, or is not a first one.
        """
        if record.epoch != 1:
            raise Refused(Code.INVALID_RECORD)
        try:
            verify_record(record)
        except CryptoError as error:
            raise Refused(Code.INVALID_RECORD) from error

    def publish(self, record: IdentityRecord, *, now: Now) -> None:
        """Enter an identity record that was checked."""
        self._store.append_identity(
            record.user_id, record.epoch, identity_hash(record), canonical(record), recorded_at=now.wall_s
        )

    def fetch(self, user_id: str, *, asked_by: str, now: Now) -> IdentityRecord:
        """Answer a look-up.

        Raises:
            Refused: No such account, or too many look-ups.
        """
        self.charge(asked_by, now=now)
        record = self._store.identity_record(user_id)
        if record is None:
            raise Refused(Code.UNKNOWN_USER)
        return decode(IdentityRecord, record)

    def charge(self, asked_by: str, *, now: Now) -> None:
        """Count something that tells an account whether another exists.

        Raises:
            Refused: Too many.
        """
        wait_s = self._lookups.take(asked_by, now.steady_s)
        if wait_s:
            raise Refused(Code.RATE_LIMITED, retry_after_s=wait_s)
