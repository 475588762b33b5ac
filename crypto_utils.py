"""Every cryptographic primitive that SecureChat uses, each under the label of its purpose.

Key pairs in PEM, signatures, hybrid sealing and fingerprints. The arithmetic is
`cryptography`'s; pycryptodome writes the private key files, because only it can choose the work factor. What
must never be here is a format of the protocol (that is identity.py and messenger/suites/) or a decision.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from base64 import b64decode, b64encode
from dataclasses import dataclass
from enum import Enum
from typing import Final

from Crypto.Util.asn1 import DerNull, DerSequence
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from errors import CryptoError, KeyFileError, UsageError, WrongPasswordError

RSA_BITS: Final = 2048  # the seed's choice; 112 bits of security
RSA_EXPONENT: Final = 65537
RSA_SIZE: Final = RSA_BITS // 8  # bytes of a signature and of a wrapped key
AES_KEY_SIZE: Final = 32  # bytes
AES_IV_SIZE: Final = 16  # bytes
PSS_SALT_SIZE: Final = 32  # bytes; RFC 8017 section 9.1 recommends the size of the hash
KEYS_IN_FILE: Final = 4  # RSA, Ed25519, X25519, ML-DSA-65
PBKDF2_ITERATIONS: Final = 1_000_000  # written; about 0.1 s for each key of a file
PBKDF2_MIN_ITERATIONS: Final = 600_000  # accepted (OWASP ASVS 5.0 appendix C)
PBKDF2_MAX_ITERATIONS: Final = 10_000_000  # accepted; above that a file could keep us busy for minutes
PBKDF2_SALT_SIZE: Final = 16  # bytes (NIST SP 800-132 section 5.1)
FINGERPRINT_ROUNDS: Final = 5200
MIN_PASSWORD: Final = 8  # characters (the seed)
ADVISED_PASSWORD: Final = 15  # characters (NIST SP 800-63B section 3.1.1.2)
MAX_PASSWORD: Final = 1024  # characters; a limit, so that a pasted file is not hashed

SigningKey = RSAPrivateKey | Ed25519PrivateKey | MLDSA65PrivateKey
VerifyingKey = RSAPublicKey | Ed25519PublicKey | MLDSA65PublicKey

UNREADABLE: Final = (ValueError, UnsupportedAlgorithm)  # not a key, or one of a kind that nobody here knows


class Label(bytes, Enum):
    """What a key is used for; stands before everything that is signed or bound (docs/PROTOCOL.md section 4.1).

    One label per use, so that a signature made for one purpose never passes for another.
    """

    IDENTITY = b"SecureChat identity"
    REGISTER = b"SecureChat register"
    LOGIN = b"SecureChat login"
    REVOKE = b"SecureChat revoke"
    ROTATE = b"SecureChat rotate"
    SERVER_KEY = b"SecureChat server key"
    LOG_HEAD = b"SecureChat log head"
    LOG_INDEX = b"SecureChat log index"
    ERASE = b"SecureChat erase"
    PREKEY = b"SecureChat prekey"
    ACCEPTANCE = b"SecureChat acceptance"
    ENVELOPE_1 = b"SecureChat/1 envelope"
    WRAP_1 = b"SecureChat/1 wrap"
    HANDSHAKE_2 = b"SecureChat/2 handshake"
    SESSION_2 = b"SecureChat/2 session"
    ROOT_2 = b"SecureChat/2 root"
    MESSAGE_2 = b"SecureChat/2 message"
    ENVELOPE_2 = b"SecureChat/2 envelope"

    def prefix(self, message: bytes) -> bytes:
        """Return the label, a zero byte and the message."""
        return self.value + b"\0" + message


# ---------------------------------------------------------------- keys


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The public halves of an account's keys."""

    rsa: RSAPublicKey
    ed25519: Ed25519PublicKey
    x25519: X25519PublicKey
    mldsa65: MLDSA65PublicKey

    @classmethod
    def from_bytes(cls, *, rsa: bytes, ed25519: bytes, x25519: bytes, mldsa65: bytes) -> PublicKeys:
        """Load from SubjectPublicKeyInfo DER (RSA-2048) and raw bytes (32, 32, 1,952).

        Raises:
            CryptoError: A key is not of its kind, or not in its one canonical form.
        """
        try:
            return cls(
                load_rsa_public_der(rsa),
                Ed25519PublicKey.from_public_bytes(ed25519),
                X25519PublicKey.from_public_bytes(x25519),
                MLDSA65PublicKey.from_public_bytes(mldsa65),
            )
        except ValueError as error:
            raise CryptoError from error


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKeys:
    """An account's private keys, in the order in which they stand in the PEM file."""

    rsa: RSAPrivateKey
    ed25519: Ed25519PrivateKey
    x25519: X25519PrivateKey
    mldsa65: MLDSA65PrivateKey

    @classmethod
    def generate(cls) -> PrivateKeys:
        """Make four fresh keys from the operating system's randomness."""
        return cls(
            generate_rsa_key(RSA_EXPONENT, RSA_BITS),
            Ed25519PrivateKey.generate(),
            X25519PrivateKey.generate(),
            MLDSA65PrivateKey.generate(),
        )

    @property
    def public(self) -> PublicKeys:
        """The public halves."""
        return PublicKeys(
            self.rsa.public_key(), self.ed25519.public_key(), self.x25519.public_key(), self.mldsa65.public_key()
        )


def load_rsa_public_der(der: bytes) -> RSAPublicKey:
    """Load an RSA-2048 public key from SubjectPublicKeyInfo DER.

    Raises:
        CryptoError: It is something else, or not the one DER form of it.
    """
    try:
        key = load_der_public_key(der)
    except UNREADABLE as error:
        raise CryptoError from error
    if not isinstance(key, RSAPublicKey) or key.key_size != RSA_BITS or spki(key) != der:
        raise CryptoError
    if key.public_numbers().e != RSA_EXPONENT:
        raise CryptoError
    return key


def spki(key: RSAPublicKey) -> bytes:
    """Return the SubjectPublicKeyInfo of a key, DER (RFC 5280 section 4.1)."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 digest."""
    return hashlib.sha256(data).digest()


def encode_base64(data: bytes) -> str:
    """Return standard base64 (RFC 4648 section 4)."""
    return b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Return what `encode_base64` was given.

    Raises:
        CryptoError: It is not exactly what that writes: another alphabet, no padding, unused bits that are set.
    """
    try:
        data = b64decode(text, validate=True)
    except ValueError as error:
        raise CryptoError from error
    if encode_base64(data) != text:
        raise CryptoError
    return data


def fingerprint(key: RSAPublicKey) -> str:
    """Return the SHA-256 of a key's SubjectPublicKeyInfo, 64 hexadecimal digits."""
    return sha256(spki(key)).hex()


def numeric_fingerprint(key: bytes, name: bytes) -> str:
    """Return the 30 digits that stand for somebody's key when people compare it: Signal's numeric fingerprint.

    Args:
        key: The public key, or what stands for all of somebody's keys.
        name: Whose it is.

    Source: libsignal, rust/protocol/src/fingerprint.rs, version 0: 5,200 rounds of SHA-512, each group of five digits
    from five bytes. The rounds make it dear to look for a key whose digits are nearly the same.
    """
    digest = bytes(2) + key + name
    for _ in range(FINGERPRINT_ROUNDS):
        digest = hashlib.sha512(digest + key).digest()
    groups = [int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in range(0, 30, 5)]
    return "".join(f"{group:05}" for group in groups)


# ---------------------------------------------------------------- signatures


def _pss() -> PSS:
    return PSS(MGF1(hashes.SHA256()), PSS_SALT_SIZE)


def sign(key: SigningKey, label: Label, message: bytes) -> bytes:
    """Sign a message for one purpose: RSA-PSS-SHA256 (256 bytes), Ed25519 (64) or ML-DSA-65 (3,309).

    Sources: RFC 8017 section 8.1, RFC 8032, FIPS 204.
    """
    data = label.prefix(message)
    if isinstance(key, RSAPrivateKey):
        return key.sign(data, _pss(), hashes.SHA256())
    return key.sign(data)


def verify(key: VerifyingKey, label: Label, message: bytes, signature: bytes) -> None:
    """Check a signature.

    Raises:
        CryptoError: It is not this key's, for this purpose, over this message.
    """
    data = label.prefix(message)
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature, data, _pss(), hashes.SHA256())
        else:
            key.verify(signature, data)
    except InvalidSignature as error:
        raise CryptoError from error


def prove_unique(key: RSAPrivateKey, label: Label, message: bytes) -> bytes:
    """Make the one signature that a key has for a message, 256 bytes: RSASSA-PKCS1-v1_5 with SHA-256.

    It has no randomness, and only who has the key can make it: its hash is a random number that belongs to the
    message, and the signature is the proof (RFC 8017 section 8.2; RFC 9381 section 4 on the idea).
    """
    return key.sign(label.prefix(message), PKCS1v15(), hashes.SHA256())


def verify_unique(key: RSAPublicKey, label: Label, message: bytes, proof: bytes) -> bytes:
    """Check what `prove_unique` made and return the 32 bytes that it proves.

    Raises:
        CryptoError: It is not this key's, for this purpose, over this message.
    """
    try:
        key.verify(proof, label.prefix(message), PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise CryptoError from error
    return sha256(proof)


# ---------------------------------------------------------------- hybrid encryption


def _oaep(label: bytes) -> OAEP:
    return OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), label)


def wrap(key: RSAPublicKey, secret: bytes, label: bytes) -> bytes:
    """Encrypt a short secret (at most 190 bytes) with RSA-OAEP-SHA256, bound to a label (RFC 8017 section 7.1)."""
    return key.encrypt(secret, _oaep(label))


def unwrap(key: RSAPrivateKey, wrapped: bytes, label: bytes) -> bytes:
    """Decrypt what `wrap` made.

    Raises:
        CryptoError: Another key, another label, or changed bytes.
    """
    try:
        return key.decrypt(wrapped, _oaep(label))
    except ValueError as error:
        raise CryptoError from error


def seal(key: RSAPublicKey, plaintext: bytes, label: bytes) -> tuple[bytes, bytes]:
    """Encrypt to a public key under a fresh AES-256 key and IV.

    CFB128 hides and does not authenticate: the caller signs the result (docs/PROTOCOL.md section 6.2).

    Returns:
        The wrapped key (256 bytes) and the 16-byte IV followed by the AES-256-CFB128 ciphertext.
    """
    session_key, iv = secrets.token_bytes(AES_KEY_SIZE), secrets.token_bytes(AES_IV_SIZE)
    encryptor = Cipher(AES256(session_key), CFB(iv)).encryptor()
    return wrap(key, session_key, label), iv + encryptor.update(plaintext) + encryptor.finalize()


def open_sealed(key: RSAPrivateKey, wrapped: bytes, ciphertext: bytes, label: bytes) -> bytes:
    """Decrypt what `seal` made. The caller has verified the signature before.

    Raises:
        CryptoError: Another key or label, or too short.
    """
    session_key = unwrap(key, wrapped, label)
    if len(session_key) != AES_KEY_SIZE or len(ciphertext) < AES_IV_SIZE:
        raise CryptoError
    iv, body = ciphertext[:AES_IV_SIZE], ciphertext[AES_IV_SIZE:]
    decryptor = Cipher(AES256(session_key), CFB(iv)).decryptor()
    return decryptor.update(body) + decryptor.finalize()


# ---------------------------------------------------------------- passwords and private key files


def normalise_password(password: str) -> bytes:
    """Return the bytes that a password stands for: Unicode NFC, UTF-8 (NIST SP 800-63B section 3.1.1.2).

    Raises:
        UsageError: It has fewer than 8 or more than 1,024 characters, or one that cannot be typed.
    """
    text = unicodedata.normalize("NFC", password)
    if len(text) < MIN_PASSWORD:
        message = f"the password must have at least {MIN_PASSWORD} characters"
        raise UsageError(message, hint=f"{ADVISED_PASSWORD} or more are better; a few words will do")
    if len(text) > MAX_PASSWORD or any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        message = f"the password must have at most {MAX_PASSWORD} characters and no control characters"
        raise UsageError(message)
    return text.encode()


_PBES2_ENCRYPTION: Final = "PBKDF2WithHMAC-SHA256AndAES256-CBC"  # what every OpenSSL opens; GCM and scrypt are not
_PEM_MARKER: Final = "ENCRYPTED PRIVATE KEY"
_OPEN_BLOCK: Final = re.compile(rb"-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END PRIVATE KEY-----\n")
_PEM_BLOCK: Final = re.compile(
    rb"-----BEGIN ENCRYPTED PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END ENCRYPTED PRIVATE KEY-----\n"
)


def encrypt_private_keys(keys: PrivateKeys, password: bytes, *, iterations: int = PBKDF2_ITERATIONS) -> bytes:
    """Write private keys as PEM, one encrypted PKCS #8 block each, RSA first (docs/PROTOCOL.md section 4.4).

    Args:
        keys: The four keys.
        password: From `normalise_password`.
        iterations: Of PBKDF2-HMAC-SHA256, for each block with its own 16-byte salt (RFC 8018).
    """
    from Crypto.IO import PEM, PKCS8  # noqa: PLC0415 - 40 ms of each start, for what is done once in an account's life

    blocks = []
    for key in (keys.rsa, keys.ed25519, keys.x25519, keys.mldsa65):
        oid, inner, _ = PKCS8.unwrap(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        encrypted = PKCS8.wrap(
            inner,
            oid,
            password,
            _PBES2_ENCRYPTION,
            {"iteration_count": iterations, "salt_size": PBKDF2_SALT_SIZE},
            # RFC 8017 appendix A.1 wants NULL for RSA, RFC 8410 section 3 and RFC 9881 section 2 want nothing.
            key_params=DerNull() if isinstance(key, RSAPrivateKey) else None,
        )
        blocks.append(PEM.encode(encrypted, _PEM_MARKER) + "\n")
    return "".join(blocks).encode()


def private_keys_to_pem(keys: PrivateKeys) -> bytes:
    """Write private keys as PEM without a password, for a place that is encrypted itself."""
    return b"".join(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for key in (keys.rsa, keys.ed25519, keys.x25519, keys.mldsa65)
    )


def private_keys_from_pem(pem: bytes) -> PrivateKeys:
    """Read what `private_keys_to_pem` wrote.

    Raises:
        KeyFileError: It is something else.
    """
    blocks = _OPEN_BLOCK.findall(pem)
    if len(blocks) != KEYS_IN_FILE or b"".join(blocks) != pem:
        raise _damaged()
    try:
        return _four_keys([load_pem_private_key(block, None) for block in blocks])
    except UNREADABLE as error:
        raise _damaged() from error


def decrypt_private_keys(pem: bytes, password: bytes) -> PrivateKeys:
    """Read what `encrypt_private_keys` wrote.

    Raises:
        KeyFileError: The file is damaged, or its protection is weaker or dearer than allowed.
        WrongPasswordError: The password does not open it.
    """
    blocks = _PEM_BLOCK.findall(pem)
    if len(blocks) != KEYS_IN_FILE or b"".join(blocks) != pem:  # before any of them costs time
        raise _damaged()
    for block in blocks:
        _check_protection(block)
    try:
        keys = [load_pem_private_key(block, password) for block in blocks]
    except UnsupportedAlgorithm as error:
        raise _damaged() from error
    except ValueError as error:
        message = "the password does not open the private key file"
        raise WrongPasswordError(message, hint="try again; capitals and keyboard layout count") from error
    return _four_keys(keys)


def _four_keys(keys: list[PrivateKeyTypes]) -> PrivateKeys:
    match keys:
        case [
            RSAPrivateKey() as rsa,
            Ed25519PrivateKey() as ed25519,
            X25519PrivateKey() as x25519,
            MLDSA65PrivateKey() as mldsa65,
        ]:
            return PrivateKeys(rsa, ed25519, x25519, mldsa65)
        case _:
            raise _damaged()


def _damaged() -> KeyFileError:
    return KeyFileError("the private key file is damaged", hint="put back a copy of it; nothing was changed")


def _check_protection(block: bytes) -> None:
    """Refuse a PEM block whose PBKDF2 count is out of bounds, before it costs any time (RFC 8018 appendix A.2)."""
    try:
        der = b64decode(b"".join(block.splitlines()[1:-1]))
        algorithm = DerSequence().decode(DerSequence().decode(der)[0])
        key_derivation = DerSequence().decode(DerSequence().decode(algorithm[1])[0])
        iterations = DerSequence().decode(key_derivation[1])[1]
    except (ValueError, IndexError, TypeError) as error:
        raise _damaged() from error
    if not isinstance(iterations, int) or not PBKDF2_MIN_ITERATIONS <= iterations <= PBKDF2_MAX_ITERATIONS:
        message = "the private key file is not protected as it must be"
        hint = f"PBKDF2 iterations must be between {PBKDF2_MIN_ITERATIONS:,} and {PBKDF2_MAX_ITERATIONS:,}"
        raise KeyFileError(message, hint=hint)


def public_key_to_pem(key: RSAPublicKey) -> bytes:
    """Write an RSA public key as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_key_from_pem(pem: bytes) -> RSAPublicKey:
    """Read an RSA-2048 public key from PEM.

    Raises:
        KeyFileError: It is something else.
    """
    try:
        key = load_pem_public_key(pem)
        return load_rsa_public_der(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    except (*UNREADABLE, CryptoError) as error:
        message = "the public key file does not hold an RSA-2048 public key in PEM"
        raise KeyFileError(message, hint="fetch it again") from error
