"""The server's own key: its files, its certificate, and the hop from one key to the next.

What must never be here is TLS itself (tls.py).
"""

from __future__ import annotations

import datetime as dt
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from msgspec import Meta

from canonical_json import canonical, decode
from crypto_utils import (
    RSA_BITS,
    RSA_EXPONENT,
    UNREADABLE,
    Label,
    RSAPrivateKey,
    RSAPublicKey,
    fingerprint,
    generate_rsa_key,
    load_rsa_public_der,
    public_key_from_pem,
    public_key_to_pem,
    sign,
    spki,
    verify,
)
from errors import CryptoError, KeyFileError, RemoteProtocolError, SetupError
from key_files import move_key_file, read_key_file, write_key_file
from records import Record, Signature256

_UNREADABLE_X509: Final = (Warning, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
LOG_KEY_FILE: Final = "log_private_key.pem"
_ANOTHER_LOG_KEY: Final = "put back a copy of it: with another key every client takes this server for one that lies"
HOP_FILE: Final = "server_key_hop.json"
NEXT_HOP_FILE: Final = "server_key_hop.next.json"  # until the key that it leads to is there
HOP_OID: Final = x509.ObjectIdentifier("2.25.334207384670724509004617237626189312954")  # a random UUID (ITU-T X.667)


def generate_server_key() -> RSAPrivateKey:
    """Make the server's RSA-2048 key."""
    return generate_rsa_key(RSA_EXPONENT, RSA_BITS)


def server_key_to_pem(key: RSAPrivateKey) -> bytes:
    """Write the server's key as PEM, not encrypted: the server starts without a person."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def server_key_from_pem(pem: bytes) -> RSAPrivateKey:
    """Read the server's key.

    Raises:
        KeyFileError: It is not an RSA-2048 private key in PEM.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (*UNREADABLE, TypeError) as error:
        message = "the server's private key file is damaged"
        raise KeyFileError(message, hint="put back a copy of it: a new key is a new server for every client") from error
    if not isinstance(key, RSAPrivateKey) or key.key_size != RSA_BITS:
        message = "the server's private key must be RSA-2048"
        raise KeyFileError(message)
    return key


# ---------------------------------------------------------------- from one key to the next


class Hop(Record, frozen=True, kw_only=True):
    """What leads a client from the server's key that it knows to the present one (docs/PROTOCOL.md section 5.3)."""

    key: Annotated[bytes, Meta(min_length=256, max_length=512)]  # SubjectPublicKeyInfo of the key before
    signature: Signature256  # by it, over the present one


def create_hop(before: RSAPrivateKey, after: RSAPublicKey) -> Hop:
    """Let one server key sign the next."""
    return Hop(key=spki(before.public_key()), signature=sign(before, Label.SERVER_KEY, spki(after)))


def verify_hop(hop: Hop, after: RSAPublicKey) -> RSAPublicKey:
    """Check that a hop leads to a key, and return the key that it comes from.

    Raises:
        CryptoError: It does not.
    """
    before = load_rsa_public_der(hop.key)
    verify(before, Label.SERVER_KEY, spki(after), hop.signature)
    return before


# ---------------------------------------------------------------- files


@dataclass(frozen=True, slots=True)
class ServerKey:
    """The server's key, and the hop to it if there was one before."""

    private: RSAPrivateKey
    hop: Hop | None

    @property
    def public(self) -> RSAPublicKey:
        """The public half."""
        return self.private.public_key()


def load_server_key(keys: Path) -> ServerKey:
    """Read the server's key, or make it at the first start.

    Raises:
        SetupError: The public key in this folder is another server's.
        SecureChatError: A file cannot be read, written or understood.
    """
    private, public = keys / "server_private_key.pem", keys / "server_public_key.pem"
    try:
        key = server_key_from_pem(read_key_file(private, private=True))
    except FileNotFoundError:
        if public.exists():
            message = f"{public} is there without {private.name}"
            hint = "it belongs to another server: give this one its own folder with --home, or remove the file"
            raise SetupError(message, hint=hint) from None
        key = generate_server_key()
        write_key_file(private, server_key_to_pem(key))
    present = key.public_key()
    hop = _read_hop(keys / NEXT_HOP_FILE, present) or _read_hop(keys / HOP_FILE, present)
    try:
        published = public_key_from_pem(read_key_file(public, private=False))
    except FileNotFoundError:
        published = None
    if published is None or (hop is not None and spki(published) == hop.key):  # a rotation that was cut short
        write_key_file(public, public_key_to_pem(key.public_key()), mode=0o644)
    elif fingerprint(published) != fingerprint(key.public_key()):
        message = f"{public} does not belong to {private.name}"
        raise SetupError(message, hint="give this server its own folder with --home, or remove the public key")
    return ServerKey(key, hop)


def load_log_key(keys: Path, *, may_make: bool) -> RSAPrivateKey:
    """Read the key of the key log, or make it: it signs the log and is never another, whatever key the server has.

    Args:
        keys: The folder.
        may_make: Whether there is no log yet.

    Raises:
        SetupError: There is a log, and not its key.
        SecureChatError: The file cannot be read, written or understood.
    """
    path = keys / LOG_KEY_FILE
    try:
        return server_key_from_pem(read_key_file(path, private=True))
    except KeyFileError as error:
        message = f"{path} is damaged"
        raise KeyFileError(message, hint=_ANOTHER_LOG_KEY) from error
    except FileNotFoundError:
        if not may_make:
            message = f"{path} is missing"
            raise SetupError(message, hint=_ANOTHER_LOG_KEY) from None
    key = generate_server_key()
    write_key_file(path, server_key_to_pem(key))
    return key


def rotate_server_key(keys: Path) -> ServerKey:
    """Make another key, signed by the present one: clients that know that one follow, once.

    Raises:
        SecureChatError: A file cannot be read, written or understood.
    """
    before, key = load_server_key(keys), generate_server_key()
    hop = create_hop(before.private, key.public_key())
    write_key_file(keys / NEXT_HOP_FILE, canonical(hop), mode=0o644)  # beside the one that leads to the present key
    write_key_file(keys / "server_private_key.pem", server_key_to_pem(key))
    move_key_file(keys / NEXT_HOP_FILE, keys / HOP_FILE)
    write_key_file(keys / "server_public_key.pem", public_key_to_pem(key.public_key()), mode=0o644)
    return ServerKey(key, hop)


def _read_hop(path: Path, present: RSAPublicKey) -> Hop | None:
    """Return the hop to the present key; one that leads elsewhere is of a rotation that was cut short."""
    try:
        hop = decode(Hop, read_key_file(path, private=False))
        verify_hop(hop, present)
    except FileNotFoundError:
        return None
    except RemoteProtocolError as error:
        message = f"{path} is damaged"
        raise KeyFileError(message, hint="put back a copy, or remove it: then clients need the new line") from error
    except CryptoError:
        return None
    return hop


# ---------------------------------------------------------------- certificate


def self_signed_certificate(key: ServerKey, now: dt.datetime) -> bytes:
    """Wrap the server's key in a certificate, PEM: TLS wants one; clients look at its key, and at the hop in it."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "SecureChat")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - dt.timedelta(days=1),
        not_valid_after=now + dt.timedelta(days=3650),
    )
    if key.hop is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(HOP_OID, canonical(key.hop)), critical=False)
    return builder.sign(key.private, hashes.SHA256()).public_bytes(Encoding.PEM)


def certificate_key(der: bytes) -> tuple[RSAPublicKey, RSAPublicKey | None]:
    """Return the public key of a certificate, DER, and the key before it, which has signed it; None: there is none.

    Raises:
        CryptoError: It is not an RSA-2048 key in a certificate, or its hop is not right.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what the library only warns of, our server does not write
            certificate = x509.load_der_x509_certificate(der)
            key, extensions = certificate.public_key(), certificate.extensions
    except (*UNREADABLE, *_UNREADABLE_X509) as error:
        raise CryptoError from error
    if not isinstance(key, RSAPublicKey):
        raise CryptoError
    key = load_rsa_public_der(spki(key))
    for extension in extensions:
        if isinstance(extension.value, x509.UnrecognizedExtension) and extension.oid == HOP_OID:
            try:
                return key, verify_hop(decode(Hop, extension.value.value), key)
            except RemoteProtocolError as error:
                raise CryptoError from error
    return key, None
