"""What the relay keeps, as an interface; each file beside this one is a back end of it.

One thread at a time uses it, inside `attempt` or `transaction`. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from log_tables import LogTables
from protocol import Row
from relay.storage.prekey_table import PrekeyTable

MARK_SIZE: Final = 32  # bytes: the base64 of 24 of a signature, by which an envelope is known again


class Address(NamedTuple):
    """A device's mailbox."""

    user_id: str
    device_id: int


class Account(NamedTuple):
    """An account, as every envelope asks for it."""

    key_id: bytes  # 16 bytes, by which envelopes name its current identity; empty while there is none: new, or revoked
    mailboxes: tuple[Address, ...]  # one for each device, ascending


class Stored(Struct, frozen=True, gc=False):
    """What is known of an envelope that was accepted."""

    mark: bytes  # that of the arrival
    received_at: int  # seconds since 1970


class Arrival(Struct, frozen=True, gc=False):
    """An envelope that has come in."""

    id: bytes  # 16 bytes
    envelope: bytes  # as its sender wrote it: one line
    mark: bytes  # 32, from its signature: no two valid envelopes share it


class Waiting(NamedTuple):
    """An envelope in a mailbox."""

    sequence: int
    envelope: bytes  # as its sender wrote it


class Page(NamedTuple):
    """Where a page of rows begins: which table, counted by the back end, and where in it."""

    table: int
    after: int


class Store(Protocol):
    """A back end."""

    @property
    def log(self) -> LogTables:
        """The key log."""

    @property
    def prekeys(self) -> PrekeyTable:
        """What devices have left for those who want to write to them."""

    @property
    def unwritten(self) -> bool:
        """Whether there is anything for a commit to write, apart from what is spared."""

    def attempt(self) -> AbstractContextManager[None]:
        """Let something happen; when it fails, nothing since the last commit has happened.

        Raises:
            StorageError: The store has failed.
        """

    def commit(self, *, spared: bool) -> None:
        """Bring all since the last commit to disk, also what was spared or not; goes into an `attempt`."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit all that happens inside, or nothing of it.

        Raises:
            StorageError: It could not be committed.
        """

    def close(self) -> None:
        """Let go of the files."""

    # accounts and the key directory

    def count_accounts(self) -> int:
        """Return how many accounts there are."""

    def create_account(self, user_id: str, *, created_at: int) -> None:
        """Add an account with its first device, number 1."""

    def account(self, user_id: str) -> Account | None:
        """Return an account, or None when there is none."""

    def append_identity(
        self, user_id: str, epoch: int, identity_hash: bytes, record: bytes, *, recorded_at: int
    ) -> None:
        """Add an identity record."""

    def identities(self) -> Iterator[bytes]:
        """Return all identity records, in the order in which they came."""

    def revocations(self) -> Iterator[bytes]:
        """Return all certificates that ended accounts."""

    def identity_record(self, user_id: str) -> bytes | None:
        """Return an account's current identity record, canonical JSON."""

    def identity_records(self, user_id: str, *, epoch: int, limit: int) -> list[bytes]:
        """Return at most so many of an account's identity records from an epoch on, ascending."""

    def identity_with_hash(self, user_id: str, identity_hash: bytes) -> bytes | None:
        """Return that of an account's identity records whose hash this is, or None."""

    def revocation(self, user_id: str) -> bytes | None:
        """Return the certificate that ended an account, canonical JSON, or None."""

    def add_revocation(self, user_id: str, certificate: bytes, *, revoked_at: int) -> None:
        """End an account."""

    def code_failures(self, user_id: str) -> int:
        """Return how many wrong verification codes a number has had."""

    def add_code_failure(self, user_id: str) -> None:
        """Count a wrong verification code."""

    # what is held of an account

    def rows(self, user_id: str, log_index: bytes, page: Page, *, limit: int) -> tuple[list[Row], Page]:
        """Return at most so many of the rows that an account is named in, by its user id or its index in the key log.

        Returns:
            The rows, and where the next page begins; both 0 when there is none.
        """

    def erase(self, user_id: str) -> int:
        """Remove all rows that name an account, but for the key log's; return how many they were."""

    # mailboxes

    def accepted(self, sender_id: str, envelope_ids: list[bytes]) -> dict[bytes, Stored]:
        """Return what is known of those of a sender's envelopes that were accepted, also after the acknowledge."""

    def is_waiting(self, sender_id: str, envelope_id: bytes) -> bool:
        """Return whether a sender's envelope waits in a mailbox."""

    def put(self, to: Address, sender_id: str, arrivals: list[Arrival], *, at: int, spared: int = 0) -> range:
        """Add envelopes of one sender to a mailbox, in their order, and return their sequences.

        They came `at` a time, seconds since 1970.
        The first `spared` of them are left out of commits for a while: their device is handed them, and may
        acknowledge them soon.
        """

    def keep(self, mailbox: Address) -> None:
        """Spare what is in a mailbox no longer: the next commit writes it."""

    def pending(self, address: Address, *, after: int, limit: int, size: int) -> list[Waiting]:
        """Return what waits in a mailbox with a sequence above `after`, in order.

        At most `limit` envelopes, and no more after they have reached `size` bytes.
        """

    def count_pending(self, address: Address, *, limit: int, sender_id: str | None = None) -> int:
        """Return how many envelopes wait (from one sender), counting no further than `limit`."""

    def acknowledge(self, address: Address, sequences: list[int]) -> None:
        """Forget the contents of envelopes; what is not in this mailbox is passed over."""

    def expire(self, *, before: int, limit: int) -> int:
        """Remove envelopes received before a time, the oldest first, at most `limit` rows; return how many rows.

        A row has those that came together.
        """

    def note_written(self, writer: str, reader: str) -> None:
        """Remember that one account has written to another."""

    def has_written(self, writer: str, reader: str) -> bool:
        """Return whether one account has ever written to another."""
