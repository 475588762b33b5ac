"""The key directory: publishes identity records, and what ended an account, and answers look-ups."""

from __future__ import annotations

from canonical_json import canonical, decode
from errors import Code, CryptoError, Refused
from identity import identity_hash, verify_ending, verify_record, verify_successor
from protocol import (
    MAX_LOG_ENTRIES,
    MAX_ROWS,
    FetchIdentity,
    FetchLog,
    FetchRows,
    Identity,
    Log,
    Row,
)
from records import MAX_RECORDS, Erasure, IdentityRecord, Revocation
from relay.limits import Limits, Now, RateLimiter
from relay.log_keeper import LogKeeper
from relay.storage import Page, Store


class Directory:
    """Who has which identity."""

    def __init__(self, store: Store, log: LogKeeper, limits: Limits) -> None:
        """Work on a store, and enter into the key log whatever changes."""
        self._store = store
        self._log = log
        self._lookups = RateLimiter(limits.lookups)
        self._rotations = RateLimiter(limits.rotations)
        self._pages = RateLimiter(limits.log_pages)
        self._row_pages = RateLimiter(limits.row_pages)
        self._row_pages_in_all = RateLimiter(limits.row_pages_in_all)

    # ------------------------------------------------------------ publish

    def check(self, record: IdentityRecord) -> None:
        """Check the first record of an account that is known here; it may have had others, in a database that is lost.

        Raises:
            Refused: It is not signed by all of its own keys.
        """
        try:
            verify_record(record)
        except CryptoError as error:
            raise Refused(Code.INVALID_RECORD) from error

    def publish(self, record: IdentityRecord, *, now: Now) -> None:
        """Enter an identity record that was checked."""
        self._store.append_identity(
            record.user_id, record.epoch, identity_hash(record), canonical(record), recorded_at=now.wall_s
        )
        self._log.append(record.user_id, record)

    def rotate(self, user_id: str, record: IdentityRecord, *, now: Now) -> bytes:
        """Enter the next identity of an account; the same again is answered as the first time.

        Returns:
            Its identity hash.

        Raises:
            Refused: The present identity has not signed it, or there were too many.
        """
        present = self._current(user_id)
        assert present is not None  # noqa: S101 - nobody logs in without an identity
        if identity_hash(present) == identity_hash(record):
            return identity_hash(record)
        self._rotations.charge(user_id, now.steady_s)
        try:
            verify_record(record)
            verify_successor(record, present)
        except CryptoError as error:
            raise Refused(Code.INVALID_RECORD) from error
        self.publish(record, now=now)
        return identity_hash(record)

    def present_hash(self, user_id: str) -> bytes:
        """Return the identity hash of an account."""
        present = self._current(user_id)
        assert present is not None  # noqa: S101 - nobody logs in without an identity
        return identity_hash(present)

    def revoke(self, certificate: Revocation, *, now: Now) -> None:
        """End an account for ever, with the certificate of any identity that it has had.

        The one that was made at registration holds also when a thief of the keys has made others.

        Raises:
            Refused: There is no such account, or none of its identities has signed the certificate.
        """
        if self._current(certificate.user_id) is None:
            raise Refused(Code.UNKNOWN_USER)
        signer = self._store.identity_with_hash(certificate.user_id, certificate.identity_hash)
        if signer is None:
            raise Refused(Code.INVALID_CERTIFICATE)
        try:
            verify_ending(certificate, decode(IdentityRecord, signer))
        except CryptoError as error:
            raise Refused(Code.INVALID_CERTIFICATE) from error
        if self._store.revocation(certificate.user_id) is None:
            self._store.add_revocation(certificate.user_id, canonical(certificate), revoked_at=now.wall_s)
            self._log.append(certificate.user_id, certificate)

    def is_retired(self, user_id: str) -> bool:
        """Return whether a number belonged to an account that was erased: it does not come back."""
        return self._log.is_retired(user_id)

    def erase(self, user_id: str, erasure: Erasure) -> int:
        """Remove all that the store holds of an account, at its own signed wish; only the key log goes on.

        Returns:
            How many rows are gone.

        Raises:
            Refused: The account's present identity has not signed it.
        """
        present = self._current(user_id)
        assert present is not None  # noqa: S101 - nobody logs in without an identity
        try:
            verify_ending(erasure, present)
        except CryptoError as error:
            raise Refused(Code.INVALID_CERTIFICATE) from error
        self._log.append(user_id, erasure)
        return self._store.erase(user_id)

    def rows(self, user_id: str, page: FetchRows, *, now: Now) -> tuple[list[Row], Page]:
        """Return a page of what the store holds of an account, and where the next begins.

        Raises:
            Refused: Too many such questions.
        """
        self._row_pages.charge(user_id, now.steady_s)
        self._row_pages_in_all.charge("", now.steady_s)
        index = self._log.index(user_id)
        first = (page.table, page.after) == (0, 0)
        room = MAX_ROWS - 1 if first else MAX_ROWS  # the first page also says what stands in no table
        return self._store.rows(user_id, index, Page(page.table, page.after), limit=room)

    def _current(self, user_id: str) -> IdentityRecord | None:
        record = self._store.identity_record(user_id)
        return decode(IdentityRecord, record) if record is not None else None

    # ------------------------------------------------------------ look up

    def fetch(self, command: FetchIdentity, *, asked_by: str, now: Now) -> Identity:
        """Answer a look-up: the records from an epoch on, or the current one if that is 0 or above it.

        Of an account that has ended, also those from the identity on that its certificate names. With everything comes
        the proof that it is in the key log.

        Raises:
            Refused: No such account, or too many look-ups.
        """
        self.charge(asked_by, now=now)
        user_id = command.user_id
        current = self._current(user_id)
        if current is None:
            raise Refused(Code.UNKNOWN_USER)
        revocations = self._revocations(user_id)
        first = min(command.epoch, current.epoch) or current.epoch
        records = self._records(user_id, min([first, *(self._epoch(each) for each in revocations)]))
        if records[-1] != current:  # too many for one reply: as far as it goes from where the client is
            records = self._records(user_id, first)
        proof = self._log.prove(user_id, [*records, *revocations], known_size=command.log_size, now=now)
        return Identity(proof=proof, records=records, revocations=revocations)

    def fetch_log(self, command: FetchLog, *, asked_by: str, now: Now) -> Log:
        """Answer with the next entries of the key log, which every client reads whole.

        Raises:
            Refused: Too many such questions.
        """
        self._pages.charge(asked_by, now.steady_s)
        entries = self._log.page(start=command.start, limit=MAX_LOG_ENTRIES)
        proof = self._log.prove(asked_by, [], known_size=command.log_size, now=now)
        return Log(entries=entries, proof=proof, start=command.start)

    def _records(self, user_id: str, epoch: int) -> list[IdentityRecord]:
        records = self._store.identity_records(user_id, epoch=epoch, limit=MAX_RECORDS)
        return [decode(IdentityRecord, record) for record in records]

    def _revocations(self, user_id: str) -> list[Revocation]:
        certificate = self._store.revocation(user_id)
        return [decode(Revocation, certificate)] if certificate is not None else []

    def _epoch(self, certificate: Revocation) -> int:
        record = self._store.identity_with_hash(certificate.user_id, certificate.identity_hash)
        assert record is not None  # noqa: S101 - it was checked when the certificate came, and the log keeps it
        return decode(IdentityRecord, record).epoch

    def charge(self, asked_by: str, *, now: Now) -> None:
        """Count something that tells an account whether another exists.

        Raises:
            Refused: Too many.
        """
        self._lookups.charge(asked_by, now.steady_s)
