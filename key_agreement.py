"""What suite 2 agrees on keys with: X25519 and ML-KEM-768 always together, HKDF, and AES-256-GCM under what they give.

Whoever breaks one of the two exchanges has learnt nothing. What must never be here is which key is used when: that is
messenger/suites/.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from errors import CryptoError

X25519_SIZE: Final = 32  # bytes of a key, private or public, and of a shared secret
MLKEM_PUBLIC_SIZE: Final = 1184  # bytes (FIPS 203 table 3)
MLKEM_SEED_SIZE: Final = 64  # bytes: d and z (FIPS 203 section 7.1)
CIPHERTEXT_SIZE: Final = 1088  # bytes of an encapsulated secret
PUBLIC_SIZE: Final = X25519_SIZE + MLKEM_PUBLIC_SIZE  # bytes of a pair of public keys
PRIVATE_SIZE: Final = X25519_SIZE + MLKEM_SEED_SIZE  # bytes of a pair of private keys
GCM_KEY_SIZE: Final = 32  # bytes
GCM_NONCE_SIZE: Final = 12  # bytes


@dataclass(frozen=True, slots=True)
class PublicPair:
    """An X25519 and an ML-KEM-768 public key that belong together."""

    x25519: X25519PublicKey
    mlkem: MLKEM768PublicKey

    @classmethod
    def from_bytes(cls, data: bytes) -> PublicPair:
        """Load what `to_bytes` has written, 1,216 bytes.

        Raises:
            CryptoError: It is something else.
        """
        if len(data) != PUBLIC_SIZE:
            raise CryptoError
        try:
            return cls(
                X25519PublicKey.from_public_bytes(data[:X25519_SIZE]),
                MLKEM768PublicKey.from_public_bytes(data[X25519_SIZE:]),
            )
        except ValueError as error:
            raise CryptoError from error

    def to_bytes(self) -> bytes:
        """Return the X25519 key, then the ML-KEM-768 key."""
        return self.x25519.public_bytes_raw() + self.mlkem.public_bytes_raw()

    def encapsulate(self) -> tuple[bytes, bytes]:
        """Make a secret for whoever has the private key (FIPS 203 section 7.2).

        Returns:
            The secret (32 bytes), and what carries it (1,088 bytes).
        """
        return self.mlkem.encapsulate()


@dataclass(frozen=True, slots=True, repr=False)
class PrivatePair:
    """The private halves."""

    x25519: X25519PrivateKey
    mlkem: MLKEM768PrivateKey

    @classmethod
    def generate(cls) -> PrivatePair:
        """Make a fresh pair."""
        return cls(X25519PrivateKey.generate(), MLKEM768PrivateKey.generate())

    @classmethod
    def from_bytes(cls, data: bytes) -> PrivatePair:
        """Load what `to_bytes` has written, 96 bytes, which come from our own database."""
        return cls(
            X25519PrivateKey.from_private_bytes(data[:X25519_SIZE]),
            MLKEM768PrivateKey.from_seed_bytes(data[X25519_SIZE:]),
        )

    def to_bytes(self) -> bytes:
        """Return the X25519 key, then the seed of the ML-KEM-768 key."""
        return self.x25519.private_bytes_raw() + self.mlkem.private_bytes_raw()

    @property
    def public(self) -> PublicPair:
        """The public halves."""
        return PublicPair(self.x25519.public_key(), self.mlkem.public_key())

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """Return the secret that was made for this key, or for a changed ciphertext another one (FIPS 203 section 7.3).

        Raises:
            CryptoError: It is no ciphertext.
        """
        try:
            return self.mlkem.decapsulate(ciphertext)
        except ValueError as error:
            raise CryptoError from error


def exchange(ours: X25519PrivateKey, theirs: X25519PublicKey) -> bytes:
    """Return the shared secret of two X25519 keys, 32 bytes (RFC 7748 section 6.1).

    Raises:
        CryptoError: Their key has a low order: everybody would know the secret.
    """
    try:
        return ours.exchange(theirs)
    except ValueError as error:
        raise CryptoError from error


def derive(secret: bytes, *, info: bytes, size: int, salt: bytes = b"") -> bytes:
    """Derive key material from a secret: HKDF-SHA256 (RFC 5869)."""
    return HKDF(hashes.SHA256(), size, salt, info).derive(secret)


def chain(key: bytes, step: bytes) -> bytes:
    """Return what follows from a key by one step, 32 bytes: HMAC-SHA256 (the Double Ratchet, section 5.2)."""
    return hmac.digest(key, step, "sha256")


def encrypt(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """Encrypt and authenticate: AES-256-GCM (NIST SP 800-38D); the tag is the last 16 bytes."""
    return AESGCM(key).encrypt(nonce, plaintext, associated)


def decrypt(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    """Open what `encrypt` made.

    Raises:
        CryptoError: Another key, or anything of it has changed.
    """
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, associated)
    except (InvalidTag, ValueError) as error:
        raise CryptoError from error
