"""Prekeys: what a device leaves at the server, signed by its account, so that others can write to it while it is away.

Both wings check them. docs/PROTOCOL.md section 4.9.
"""

from __future__ import annotations

from typing import Final

import msgspec

from canonical_json import without
from crypto_utils import Label, MLDSA65PublicKey, PrivateKeys, sign, verify
from errors import CryptoError
from identity import identity_hash, signing_key
from key_agreement import PublicPair
from records import (
    ED25519_SIGNATURE_SIZE,
    MLDSA65_SIGNATURE_SIZE,
    IdentityRecord,
    OneTimePrekey,
    PrekeySignatures,
    SignedPrekey,
)

_UNSIGNED: Final = PrekeySignatures(ed25519=bytes(ED25519_SIGNATURE_SIZE), mldsa65=bytes(MLDSA65_SIGNATURE_SIZE))


def create_signed_prekey(  # noqa: PLR0913 - the fields of the record
    keys: PrivateKeys, record: IdentityRecord, pair: PublicPair, *, device_id: int, number: int, created: int
) -> SignedPrekey:
    """Sign the pair that stands in for a device for a while, with both of the account's signing keys.

    Args:
        keys: The account's keys.
        record: Its identity.
        pair: The pair.
        device_id: Whose it is.
        number: By which the device finds the private half again.
        created: Seconds since 1970.
    """
    draft = SignedPrekey(
        created=created,
        device_id=device_id,
        id=number,
        identity_hash=identity_hash(record),
        key=pair.to_bytes(),
        sigs=_UNSIGNED,
        user_id=record.user_id,
    )
    signed = without(draft, "sigs")
    signatures = PrekeySignatures(
        ed25519=sign(keys.ed25519, Label.PREKEY, signed), mldsa65=sign(keys.mldsa65, Label.PREKEY, signed)
    )
    return msgspec.structs.replace(draft, sigs=signatures)


def create_one_time_prekey(
    keys: PrivateKeys, record: IdentityRecord, pair: PublicPair, *, device_id: int, number: int
) -> OneTimePrekey:
    """Sign a pair that is handed out once. ML-DSA-65 would treble its size, and the signed prekey has that already."""
    draft = OneTimePrekey(
        device_id=device_id,
        id=number,
        identity_hash=identity_hash(record),
        key=pair.to_bytes(),
        sig=bytes(ED25519_SIGNATURE_SIZE),
        user_id=record.user_id,
    )
    return msgspec.structs.replace(draft, sig=sign(keys.ed25519, Label.PREKEY, without(draft, "sig")))


def verify_prekey(prekey: SignedPrekey | OneTimePrekey, record: IdentityRecord) -> PublicPair:
    """Check that a prekey is an account's, under a verified identity.

    Returns:
        The pair.

    Raises:
        CryptoError: It is not, or no pair.
    """
    if (prekey.user_id, prekey.identity_hash) != (record.user_id, identity_hash(record)):
        raise CryptoError
    if isinstance(prekey, SignedPrekey):
        signed = without(prekey, "sigs")
        verify(signing_key(record), Label.PREKEY, signed, prekey.sigs.ed25519)
        verify(MLDSA65PublicKey.from_public_bytes(record.mldsa65), Label.PREKEY, signed, prekey.sigs.mldsa65)
    else:
        verify(signing_key(record), Label.PREKEY, without(prekey, "sig"), prekey.sig)
    return PublicPair.from_bytes(prekey.key)
