"""TLS 1.3 between client and server (docs/PROTOCOL.md section 5): the two contexts, the pin, the refusal."""

from __future__ import annotations

import hmac
import os
import ssl
import tempfile
from pathlib import Path
from typing import Final

from crypto_utils import RSAPublicKey, fingerprint
from errors import UntrustedKeyError
from server_key import certificate_key

TURN_AWAY: Final = bytes([21, 3, 3, 0, 2, 2, 80])  # the alert internal_error (RFC 8446 section 6.2), without TLS
TURNED_AWAY: Final = "TLSV1_ALERT_INTERNAL_ERROR"  # the library's name for it


def server_context(key_file: Path, certificate_pem: bytes) -> ssl.SSLContext:
    """Make the server's context from its private key file and a certificate around that key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # nothing to resume: each link logs in anew
    descriptor, name = tempfile.mkstemp(suffix=".pem")  # the library reads certificates from files only
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificate_pem)
        context.load_cert_chain(name, key_file)
    finally:
        Path(name).unlink()
    return context


def client_context() -> ssl.SSLContext:
    """Make the client's context; the pin takes the place of certificate authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def pinned_key(sock: ssl.SSLSocket, pin: str, address: str) -> RSAPublicKey:
    """Return the server's key after the handshake, if it is the one that was expected, or that one has signed it.

    Args:
        sock: With a finished handshake; nothing of ours may have been sent over it.
        pin: The fingerprint of the key, 64 hexadecimal digits.
        address: Where the server is, for the error.

    Raises:
        UntrustedKeyError: It is another key.
        CryptoError: The certificate cannot be read.
    """
    key, before = certificate_key(sock.getpeercert(binary_form=True) or b"")
    expected = [fingerprint(each) for each in (key, before) if each is not None]
    if not any(hmac.compare_digest(each, pin) for each in expected):
        message = f"the server at {address} has another key than expected ({expected[0]}, not {pin})"
        hint = (
            "it was set up anew, or had two new keys since, or someone is in between: ask its operator for the new line"
        )
        raise UntrustedKeyError(message, hint=hint)
    return key
