"""What an account signs about itself, and how the other side checks it.

The identity record, the login proof, the registration code's cover, and what ends an account. Both wings
need the same bytes for these, so they stand on the ground floor. docs/PROTOCOL.md sections 4 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeVar

import msgspec

from canonical_json import canonical, without
from crypto_utils import (
    RSA_SIZE,
    Ed25519PublicKey,
    Label,
    PrivateKeys,
    PublicKeys,
    RSAPrivateKey,
    RSAPublicKey,
    numeric_fingerprint,
    sha256,
    sign,
    spki,
    unwrap,
    verify,
    wrap,
)
from errors import CryptoError
from records import (
    ED25519_SIGNATURE_SIZE,
    HASH_SIZE,
    KEY_ID_SIZE,
    MLDSA65_SIGNATURE_SIZE,
    Ending,
    Erasure,
    IdentityRecord,
    Revocation,
    Signatures,
)

CODE_DIGITS: Final = 6

_UNSIGNED: Final = Signatures(
    ed25519=bytes(ED25519_SIGNATURE_SIZE), mldsa65=bytes(MLDSA65_SIGNATURE_SIZE), prev=b"", rsa=bytes(RSA_SIZE)
)


# ---------------------------------------------------------------- identity record (docs/PROTOCOL.md section 4.2)


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The identity before one."""

    record: IdentityRecord
    keys: PrivateKeys = field(repr=False)


def create_record(
    keys: PrivateKeys, user_id: str, *, created: int, suites: list[int], before: Predecessor | None = None
) -> IdentityRecord:
    """Make an identity record of an account, signed by each of its keys.

    Args:
        keys: The account's keys.
        user_id: The account's name.
        created: Seconds since 1970.
        suites: What the account can open, ascending.
        before: The identity that it follows, which signs it too; None for the first of an account.
    """
    public = keys.public
    draft = IdentityRecord(
        created=created,
        ed25519=public.ed25519.public_bytes_raw(),
        epoch=before.record.epoch + 1 if before is not None else 1,
        mldsa65=public.mldsa65.public_bytes_raw(),
        prev=identity_hash(before.record) if before is not None else b"",
        rsa=spki(public.rsa),
        sigs=_UNSIGNED,
        suites=suites,
        user_id=user_id,
        v=1,
        x25519=public.x25519.public_bytes_raw(),
    )
    signed = without(draft, "sigs")
    signatures = Signatures(
        ed25519=sign(keys.ed25519, Label.IDENTITY, signed),
        mldsa65=sign(keys.mldsa65, Label.IDENTITY, signed),
        prev=sign(before.keys.ed25519, Label.ROTATE, signed) if before is not None else b"",
        rsa=sign(keys.rsa, Label.IDENTITY, signed),
    )
    return msgspec.structs.replace(draft, sigs=signatures)


def verify_record(record: IdentityRecord) -> PublicKeys:
    """Check that a record is one account's, whole: each key is valid and has signed all the others.

    Returns:
        The keys, loaded.

    Raises:
        CryptoError: A key or a signature is not right.
    """
    if record.suites != sorted(set(record.suites)):
        raise CryptoError
    sizes = (0, 0) if record.epoch == 1 else (HASH_SIZE, ED25519_SIGNATURE_SIZE)
    if (len(record.prev), len(record.sigs.prev)) != sizes:
        raise CryptoError
    keys = PublicKeys.from_bytes(rsa=record.rsa, ed25519=record.ed25519, x25519=record.x25519, mldsa65=record.mldsa65)
    signed = without(record, "sigs")
    verify(keys.ed25519, Label.IDENTITY, signed, record.sigs.ed25519)
    verify(keys.rsa, Label.IDENTITY, signed, record.sigs.rsa)
    verify(keys.mldsa65, Label.IDENTITY, signed, record.sigs.mldsa65)
    return keys


def verify_successor(record: IdentityRecord, before: IdentityRecord) -> None:
    """Check that one valid record follows another of the same account: the one before has signed it.

    Raises:
        CryptoError: It does not.
    """
    follows = (before.user_id, before.epoch + 1, identity_hash(before))
    if (record.user_id, record.epoch, record.prev) != follows:
        raise CryptoError
    verify(signing_key(before), Label.ROTATE, without(record, "sigs"), record.sigs.prev)


def verify_chain(records: list[IdentityRecord]) -> None:
    """Check that records are one account's, each valid, and each but the first signed by the one before.

    Raises:
        CryptoError: They are not.
    """
    for record in records:
        verify_record(record)
    for before, record in pairwise(records):
        verify_successor(record, before)


def signing_key(record: IdentityRecord) -> Ed25519PublicKey:
    """Return the Ed25519 key of a record that was verified before."""
    return Ed25519PublicKey.from_public_bytes(record.ed25519)


def identity_hash(record: IdentityRecord) -> bytes:
    """Return the 32-byte hash that stands for a whole identity: it changes with any key."""
    return sha256(without(record, "sigs"))


def key_id(record: IdentityRecord) -> bytes:
    """Return the 16 bytes by which envelopes name an identity."""
    return identity_hash(record)[:KEY_ID_SIZE]


def safety_number(one: IdentityRecord, other: IdentityRecord) -> str:
    """Return the number that two people compare, the same for both: 60 digits (docs/PROTOCOL.md section 4.6)."""
    halves = [numeric_fingerprint(identity_hash(record), record.user_id.encode("ascii")) for record in (one, other)]
    return "".join(sorted(halves))


# ---------------------------------------------------------------- login (docs/PROTOCOL.md section 5.2)


def login_statement(  # noqa: PLR0913 - the statement has as many fields
    *,
    server_key_hash: bytes,
    client_nonce: bytes,
    server_nonce: bytes,
    user_id: str,
    device_id: int,
    identity: bytes,
    version: int,
) -> bytes:
    """Return what the login proof signs: who logs in where, in answer to which challenge.

    The server's key is in it, so that a proof made for one server is worth nothing at another: TLS 1.3 has no
    channel binding in the standard library.
    """
    return canonical(
        {
            "client_nonce": client_nonce,
            "device_id": device_id,
            "identity_hash": identity,
            "server_key_hash": server_key_hash,
            "server_nonce": server_nonce,
            "user_id": user_id,
            "version": version,
        }
    )


# ---------------------------------------------------------------- registration (docs/PROTOCOL.md section 5.1)


def seal_code(server: RSAPublicKey, code: str, identity: bytes) -> bytes:
    """Encrypt a verification code to the server, good for one identity only.

    Args:
        server: The server's key.
        code: Six digits.
        identity: The identity hash of the record that is being registered.
    """
    return wrap(server, code.encode("ascii"), Label.REGISTER.prefix(identity))


def open_code(server: RSAPrivateKey, encrypted: bytes, identity: bytes) -> str:
    """Decrypt a verification code.

    Raises:
        CryptoError: It was made for another identity or server, or is not six digits.
    """
    code = unwrap(server, encrypted, Label.REGISTER.prefix(identity))
    if len(code) != CODE_DIGITS or not code.isdigit():  # bytes.isdigit is ASCII only
        raise CryptoError
    return code.decode("ascii")


# ---------------------------------------------------------------- the end (docs/PROTOCOL.md sections 4.5, 4.8)

E = TypeVar("E", bound=Ending)
_ENDINGS: Final[dict[type[Ending], Label]] = {Revocation: Label.REVOKE, Erasure: Label.ERASE}


def create_ending(kind: type[E], keys: PrivateKeys, record: IdentityRecord, *, created: int) -> E:
    """Sign what ends an account.

    Args:
        kind: A revocation, with which whoever holds it can end the account without the password; or an erasure, which
            asks the server to keep nothing of it.
        keys: The account's.
        record: Its identity.
        created: Seconds since 1970.
    """
    draft = kind(created=created, identity_hash=identity_hash(record), sig=bytes(64), user_id=record.user_id, v=1)
    return msgspec.structs.replace(draft, sig=sign(keys.ed25519, _ENDINGS[kind], without(draft, "sig")))


def verify_ending(ending: Ending, record: IdentityRecord) -> None:
    """Check that this identity has signed what ends its account.

    Raises:
        CryptoError: It is another's, or not signed by it.
    """
    if ending.user_id != record.user_id or ending.identity_hash != identity_hash(record):
        raise CryptoError
    verify(verify_record(record).ed25519, _ENDINGS[type(ending)], without(ending, "sig"), ending.sig)
