"""What is signed: the structures that stand inside frames and files, with the types that they are made of.

What must never be here is how they are written (protocol.py), who signs them and what that proves (identity.py,
key_log.py, prekeys.py).
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from msgspec import Meta, Struct

MAX_RECORDS: Final = 16  # identity records in one reply, of about 9 KiB each
MAX_PATH: Final = 64  # hashes in a proof of the key log: more than 2^53 entries need
MAX_INTEGER: Final = 2**53 - 1  # RFC 8785 section 3.2.2.3: what every JSON reader can hold
HASH_SIZE: Final = 32  # bytes of SHA-256
KEY_ID_SIZE: Final = 16  # bytes: how much of an identity hash an envelope names
ID_SIZE: Final = 16  # bytes of an envelope's id
ED25519_SIGNATURE_SIZE: Final = 64  # bytes
MLDSA65_SIGNATURE_SIZE: Final = 3309  # bytes (FIPS 204 table 2)
# \Z, not $: that would let a newline pass. The two that are reserved name files of the server.
USER_ID_PATTERN: Final = r"\A(?!(?:relay|server)\Z)[a-z0-9][a-z0-9._-]{2,31}\Z"

UserId = Annotated[str, Meta(pattern=USER_ID_PATTERN)]
Integer = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
DeviceId = Annotated[int, Meta(ge=1, le=2**16 - 1)]
EnvelopeId = Annotated[bytes, Meta(min_length=ID_SIZE, max_length=ID_SIZE)]
Hash = Annotated[bytes, Meta(min_length=HASH_SIZE, max_length=HASH_SIZE)]
KeyId = Annotated[bytes, Meta(min_length=KEY_ID_SIZE, max_length=KEY_ID_SIZE)]
Key32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature64 = Annotated[bytes, Meta(min_length=ED25519_SIGNATURE_SIZE, max_length=ED25519_SIGNATURE_SIZE)]
Signature256 = Annotated[bytes, Meta(min_length=256, max_length=256)]
Signature3309 = Annotated[bytes, Meta(min_length=MLDSA65_SIGNATURE_SIZE, max_length=MLDSA65_SIGNATURE_SIZE)]


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A structure that stands inside a frame or a file, never alone on the wire."""


def is_user_id(text: str) -> bool:
    """Tell whether a text has the form of a user id."""
    return re.fullmatch(USER_ID_PATTERN, text) is not None


# ---------------------------------------------------------------- what is signed (docs/PROTOCOL.md section 4)


class Signatures(Record, frozen=True, kw_only=True):
    """Signatures of an identity record, one by each of its signing keys."""

    ed25519: Signature64
    mldsa65: Signature3309
    prev: Annotated[
        bytes, Meta(max_length=ED25519_SIGNATURE_SIZE)
    ]  # by the Ed25519 key of the record before; empty in the first
    rsa: Signature256


class IdentityRecord(Record, frozen=True, kw_only=True):
    """The published, signed set of an account's public keys (docs/PROTOCOL.md section 4.2)."""

    created: Integer  # seconds since 1970
    ed25519: Key32
    epoch: Annotated[int, Meta(ge=1, le=2**31)]
    mldsa65: Annotated[bytes, Meta(min_length=1952, max_length=1952)]
    prev: Annotated[bytes, Meta(max_length=HASH_SIZE)]  # identity hash of the record before; empty in the first
    rsa: Annotated[bytes, Meta(min_length=256, max_length=512)]  # SubjectPublicKeyInfo, DER
    sigs: Signatures
    suites: Annotated[list[Annotated[int, Meta(ge=1, le=255)]], Meta(min_length=1, max_length=16)]
    user_id: UserId
    v: Annotated[int, Meta(ge=1, le=1)]
    x25519: Key32


class Ending(Record, frozen=True, kw_only=True):
    """What ends an account, signed by one of its identities."""

    created: Integer  # seconds since 1970
    identity_hash: Hash
    sig: Signature64
    user_id: UserId
    v: Annotated[int, Meta(ge=1, le=1)]


class Revocation(Ending, frozen=True, kw_only=True):
    """The certificate with which whoever holds it ends an account (docs/PROTOCOL.md section 4.5)."""


class Erasure(Ending, frozen=True, kw_only=True):
    """The account's word that the server shall keep nothing of it (docs/PROTOCOL.md section 4.8)."""


# ---------------------------------------------------------------- the key log (docs/PROTOCOL.md section 4.7)


class LogEntry(Record, frozen=True, kw_only=True):
    """What the key log says of one event; who it is about only those can tell who know the index."""

    index: Hash
    kind: Annotated[str, Meta(pattern=r"\A(identity|revocation|erasure)\Z")]
    value: Hash  # the identity hash, or the hash of the certificate or the erasure


class TreeHead(Record, frozen=True, kw_only=True):
    """The server's word for the state of the key log."""

    root: Hash
    signature: Signature256  # by the log's key
    size: Integer  # entries
    timestamp: Integer  # seconds since 1970, by the server's clock; shown, never trusted


class Inclusion(Record, frozen=True, kw_only=True):
    """Where an entry stands in the log, and what leads from there to the head."""

    path: Annotated[list[Hash], Meta(max_length=MAX_PATH)]
    position: Integer


class LogProof(Record, frozen=True, kw_only=True):
    """That everything in an answer of the directory stands in the log, and that the log has only grown."""

    consistency: Annotated[list[Hash], Meta(max_length=MAX_PATH)]  # from the size that the client knows to the head
    head: TreeHead
    inclusions: Annotated[list[Inclusion], Meta(max_length=MAX_RECORDS + 1)]  # of records and revocations, in order
    index: Signature256  # the log's key's one signature over the user id; its hash is the index


# ---------------------------------------------------------------- prekeys (docs/PROTOCOL.md section 4.9)

PREKEY_SIZE: Final = 32 + 1184  # bytes: an X25519 and an ML-KEM-768 public key

PrekeyId = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Pair = Annotated[bytes, Meta(min_length=PREKEY_SIZE, max_length=PREKEY_SIZE)]


class PrekeySignatures(Record, frozen=True, kw_only=True):
    """Signatures of a signed prekey, one by each of the account's signing keys that suite 2 has."""

    ed25519: Signature64
    mldsa65: Signature3309


class SignedPrekey(Record, frozen=True, kw_only=True):
    """The pair of public keys that stands in for a device for a while."""

    created: Integer  # seconds since 1970
    device_id: DeviceId
    id: PrekeyId
    identity_hash: Hash
    key: Pair
    sigs: PrekeySignatures
    user_id: UserId


class OneTimePrekey(Record, frozen=True, kw_only=True):
    """A pair of public keys that is handed out once."""

    device_id: DeviceId
    id: PrekeyId
    identity_hash: Hash
    key: Pair
    sig: Signature64
    user_id: UserId


# ---------------------------------------------------------------- what the server says of envelopes (section 4.10)


class Acceptance(Record, frozen=True, kw_only=True):
    """The server's word that it has taken an envelope."""

    fetched: bool  # whether every device of the recipient has it
    id: EnvelopeId
    mark: Hash  # of the envelope's signature: no two valid envelopes share it
    received_at: Integer  # seconds since 1970, by the server's clock
    sender_id: UserId
    signature: Signature256  # by the log's key
    timestamp: Integer  # of this word
