"""The server's half of the key log: appends what happens to accounts, and proves what it says (key_log.py)."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Final

import merkle
from canonical_json import decode
from crypto_utils import RSAPrivateKey, sha256
from key_log import ERASURE, entry_for, prove_index, sign_head
from records import IdentityRecord, Inclusion, LogEntry, LogProof, Record, Revocation, TreeHead
from relay.limits import Now
from relay.storage import Store

MAX_REMEMBERED: Final = 50_000  # proofs of indices, each of 256 bytes and some 0.6 ms


class LogKeeper:
    """Keeps the log of a store under a key."""

    def __init__(self, store: Store, key: RSAPrivateKey) -> None:
        """Work on a store; what it held before there was a log is entered now."""
        self._store = store
        self._log = store.log
        self._key = key
        self._head: TreeHead | None = None
        self._index_proof = lru_cache(MAX_REMEMBERED)(partial(prove_index, key))
        if not self._log.size:
            self._enter_all()

    def _enter_all(self) -> None:
        with self._store.transaction():
            for record in self._store.identities():
                identity = decode(IdentityRecord, record)
                self.append(identity.user_id, identity)
            for certificate in self._store.revocations():
                revocation = decode(Revocation, certificate)
                self.append(revocation.user_id, revocation)

    def append(self, user_id: str, event: Record) -> None:
        """Enter an identity record, a revocation or an erasure of an account."""
        self._log.append([self._entry(user_id, event)])

    def _entry(self, user_id: str, event: Record) -> LogEntry:
        return entry_for(self.index(user_id), event)

    def index(self, user_id: str) -> bytes:
        """Return by which index the log names an account."""
        return sha256(self._index_proof(user_id))

    def is_retired(self, user_id: str) -> bool:
        """Return whether a number belonged to an account that was erased; only the log knows it still."""
        return any(entry.kind == ERASURE for entry in self._log.entries_of(self.index(user_id)))

    def page(self, *, start: int, limit: int) -> list[LogEntry]:
        """Return at most so many entries from a position on."""
        return self._log.entries(start=start, limit=limit)

    def prove(self, user_id: str, events: list[Record], *, known_size: int, now: Now) -> LogProof:
        """Prove that events of an account are in the log, and that the log has grown from a size that a client knows.

        A client that knows a longer log than there is gets a proof that fails: it must see that something is wrong.
        """
        size = self._log.size
        consistency = merkle.consistency_path(self._log.node, known_size, size) if known_size <= size else []
        return LogProof(
            consistency=consistency,
            head=self._present_head(size, now),
            inclusions=[self._inclusion(user_id, event, size) for event in events],
            index=self._index_proof(user_id),
        )

    def _inclusion(self, user_id: str, event: Record, size: int) -> Inclusion:
        position = self._log.position(self._entry(user_id, event))
        assert position is not None  # noqa: S101 - every event is entered with what it changes
        return Inclusion(path=merkle.inclusion_path(self._log.node, position, size), position=position)

    def _present_head(self, size: int, now: Now) -> TreeHead:
        """Return the signed head, signed anew when the log is another; that may also be a group that failed."""
        root = self._log.root(size)
        if self._head is None or (self._head.size, self._head.root) != (size, root):
            self._head = sign_head(self._key, (size, root), now.wall_s)
        return self._head
