"""The key log: what stands in it, what the server signs about it, and how a client checks that (docs/PROTOCOL.md 4.7).

All accounts may read the log, and it names nobody: an entry has an index that only the server can compute, and that it
proves to whoever asks for that account. Both wings use this; the server's half is in relay/log_keeper.py, the client's
in messenger/log_watch.py.
"""

from __future__ import annotations

from typing import Final

import msgspec

import merkle
from canonical_json import canonical, without
from crypto_utils import Label, RSAPrivateKey, RSAPublicKey, prove_unique, sha256, sign, verify, verify_unique
from errors import CryptoError
from identity import identity_hash
from records import Erasure, IdentityRecord, Inclusion, LogEntry, LogProof, Record, TreeHead

IDENTITY, REVOCATION, ERASURE = "identity", "revocation", "erasure"  # kinds of entries
EMPTY: Final = (0, merkle.EMPTY_ROOT)  # size and root of the log before its first entry

State = tuple[int, bytes]  # size and root: the log up to there


def entry_hash(entry: LogEntry) -> bytes:
    """Return the hash of an entry as a leaf of the tree."""
    return merkle.leaf_hash(canonical(entry))


def entry_for(index: bytes, event: Record) -> LogEntry:
    """Return what the log says of an event."""
    if isinstance(event, IdentityRecord):
        return LogEntry(index=index, kind=IDENTITY, value=identity_hash(event))
    kind = ERASURE if isinstance(event, Erasure) else REVOCATION
    return LogEntry(index=index, kind=kind, value=sha256(canonical(event)))


# ---------------------------------------------------------------- what the server signs


def prove_index(key: RSAPrivateKey, user_id: str) -> bytes:
    """Return the proof of the index of an account, 256 bytes."""
    return prove_unique(key, Label.LOG_INDEX, user_id.encode("ascii"))


def verify_index(key: RSAPublicKey, user_id: str, proof: bytes) -> bytes:
    """Return the index of an account, 32 bytes.

    There is one for each key and account, also when the server has made its key with that in mind: the public exponent
    is the prime 65,537 (`crypto_utils.load_rsa_public_der`), and a modulus with which a number has several roots leaves
    but one in 65,537 accounts with any (docs/adr/0011-a-key-log-that-names-nobody.md).

    Raises:
        CryptoError: It is not the log's.
    """
    return verify_unique(key, Label.LOG_INDEX, user_id.encode("ascii"), proof)


def sign_head(key: RSAPrivateKey, state: State, timestamp: int) -> TreeHead:
    """Give the server's word for the state of its log."""
    size, root = state
    draft = TreeHead(root=root, signature=bytes(256), size=size, timestamp=timestamp)
    return msgspec.structs.replace(draft, signature=sign(key, Label.LOG_HEAD, without(draft, "signature")))


# ---------------------------------------------------------------- what a client checks


def verify_growth(key: RSAPublicKey, known: State, proof: LogProof) -> State:
    """Check that a log has only grown since a state that was known, and return the present one.

    Raises:
        CryptoError: It has not, or the head is not signed by the log's key.
    """
    head = proof.head
    verify(key, Label.LOG_HEAD, without(head, "signature"), head.signature)
    state = (head.size, head.root)
    if known != EMPTY:  # from nothing everything follows, whatever the server believes that this client knows
        merkle.verify_consistency(known, proof.consistency, state)
    return state


def verify_entries(state: State, entries: list[LogEntry], inclusions: list[Inclusion]) -> None:
    """Check that entries stand in a log, each in its place.

    Raises:
        CryptoError: They do not.
    """
    if len(entries) != len(inclusions):
        raise CryptoError
    for entry, inclusion in zip(entries, inclusions, strict=True):
        merkle.verify_inclusion(entry_hash(entry), inclusion.position, inclusion.path, state)
