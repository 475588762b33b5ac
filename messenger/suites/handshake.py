"""How two who have not talked agree on a secret while one of them is away (docs/PROTOCOL.md section 11.2).

Sources: "The X3DH Key Agreement Protocol" (Signal, revision 1, section 3) and "The PQXDH Key Agreement Protocol"
(revision 3, section 3). Three things are ours: both sides' names, identities and devices, and every key and ciphertext,
go into the derivation; the one who begins signs all of that with ML-DSA-65; and a one-time prekey, when there is one,
is a pair, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from canonical_json import canonical
from crypto_utils import Label, MLDSA65PublicKey, sha256, sign, verify
from errors import CryptoError
from identity import identity_hash
from key_agreement import PrivatePair, PublicPair, derive, exchange
from messenger.account import Account
from records import IdentityRecord

SESSION_ID_SIZE: Final = 16  # bytes
_NOT_A_KEY: Final = b"\xff" * 32  # X3DH section 2.2: no encoded X25519 key begins so


class Handshake(msgspec.Struct, frozen=True):
    """What the one who begins sends along until there is an answer.

    Attributes:
        ephemeral: X25519 public key, 32 bytes.
        signed_prekey: Number of the recipient's signed prekey.
        one_time_prekey: Number of the recipient's one-time prekey; 0: there was none.
        ciphertext: A secret for the one-time prekey, or else for the signed one, 1,088 bytes.
        signature: By the sender's ML-DSA-65 key over the transcript, 3,309 bytes.
    """

    ephemeral: bytes
    signed_prekey: int
    one_time_prekey: int
    ciphertext: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Party:
    """One of the two, as the other knows them."""

    record: IdentityRecord
    device_id: int


@dataclass(frozen=True, slots=True)
class Theirs:
    """The recipient's prekeys, verified."""

    signed_id: int
    signed: PublicPair
    one_time_id: int = 0
    one_time: PublicPair | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Ours:
    """The same pairs at the recipient's."""

    signed: PrivatePair
    one_time: PrivatePair | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Agreed:
    """What both sides have then."""

    session_id: bytes  # 16 bytes
    shared: bytes  # 32 bytes


def _transcript(sender: Party, recipient: Party, prekeys: Theirs, ephemeral: bytes, ciphertext: bytes) -> bytes:
    """Return everything that was said, canonical: whoever has heard anything else has another secret."""
    return canonical(
        {
            "ciphertext": ciphertext,
            "ephemeral": ephemeral,
            "one_time_prekey": prekeys.one_time.to_bytes() if prekeys.one_time is not None else b"",
            "recipient_device": recipient.device_id,
            "recipient_id": recipient.record.user_id,
            "recipient_identity": identity_hash(recipient.record),
            "sender_device": sender.device_id,
            "sender_id": sender.record.user_id,
            "sender_identity": identity_hash(sender.record),
            "signed_prekey": prekeys.signed.to_bytes(),
        }
    )


def shared_secret(secrets: list[bytes], info: bytes, size: int = 32) -> bytes:
    """Derive from the results of the exchanges, in their order (X3DH section 2.2)."""
    return derive(_NOT_A_KEY + b"".join(secrets), salt=bytes(32), info=info, size=size)


def _agree(secrets: list[bytes], transcript: bytes) -> Agreed:
    digest = sha256(Label.SESSION_2.prefix(transcript))
    return Agreed(digest[:SESSION_ID_SIZE], shared_secret(secrets, Label.SESSION_2.prefix(digest)))


def begin(account: Account, recipient: Party, prekeys: Theirs) -> tuple[Agreed, Handshake]:
    """Agree on a secret with somebody who is away.

    Raises:
        CryptoError: A key of theirs has a low order.
    """
    identity = X25519PublicKey.from_public_bytes(recipient.record.x25519)
    ephemeral, one_time = X25519PrivateKey.generate(), prekeys.one_time
    secret, ciphertext = (one_time or prekeys.signed).encapsulate()
    secrets = [
        exchange(account.keys.x25519, prekeys.signed.x25519),
        exchange(ephemeral, identity),
        exchange(ephemeral, prekeys.signed.x25519),
        *([exchange(ephemeral, one_time.x25519)] if one_time is not None else []),
        secret,
    ]
    public = ephemeral.public_key().public_bytes_raw()
    sender = Party(account.record, account.device_id)
    transcript = _transcript(sender, recipient, prekeys, public, ciphertext)
    signature = sign(account.keys.mldsa65, Label.HANDSHAKE_2, transcript)
    handshake = Handshake(public, prekeys.signed_id, prekeys.one_time_id, ciphertext, signature)
    return _agree(secrets, transcript), handshake


def answer(account: Account, sender: Party, prekeys: Ours, handshake: Handshake) -> Agreed:
    """Agree on the same secret as the one who has begun.

    Raises:
        CryptoError: It is not theirs, or not for these prekeys, or a key is none.
    """
    one_time = prekeys.one_time
    public = Theirs(
        handshake.signed_prekey,
        prekeys.signed.public,
        handshake.one_time_prekey,
        one_time.public if one_time is not None else None,
    )
    recipient = Party(account.record, account.device_id)
    transcript = _transcript(sender, recipient, public, handshake.ephemeral, handshake.ciphertext)
    signing = MLDSA65PublicKey.from_public_bytes(sender.record.mldsa65)
    verify(signing, Label.HANDSHAKE_2, transcript, handshake.signature)
    try:
        ephemeral = X25519PublicKey.from_public_bytes(handshake.ephemeral)
    except ValueError as error:
        raise CryptoError from error
    secrets = [
        exchange(prekeys.signed.x25519, X25519PublicKey.from_public_bytes(sender.record.x25519)),
        exchange(account.keys.x25519, ephemeral),
        exchange(prekeys.signed.x25519, ephemeral),
        *([exchange(one_time.x25519, ephemeral)] if one_time is not None else []),
        (one_time or prekeys.signed).decapsulate(handshake.ciphertext),
    ]
    return _agree(secrets, transcript)
