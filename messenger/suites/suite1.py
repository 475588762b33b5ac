"""Suite 1: the classroom project's hybrid, repaired (docs/PROTOCOL.md section 6).

A fresh AES-256 key for each envelope, CFB128, wrapped with RSA-2048 OAEP-SHA256 under a label that binds the
routing fields; RSA-2048 PSS-SHA256 over everything else. No forward secrecy: whoever gets the recipient's
private key reads all that was ever sent to it.
"""

from __future__ import annotations

import msgspec

from canonical_json import without
from crypto_utils import (
    RSA_SIZE,
    Label,
    decode_base64,
    encode_base64,
    load_rsa_public_der,
    open_sealed,
    seal,
    sha256,
    sign,
    verify,
)
from errors import CryptoError
from messenger.account import Account
from messenger.suites.draft import Draft
from protocol import ALL_DEVICES, Envelope
from records import IdentityRecord

_SEALED = ("encrypted_aes_key", "encrypted_content", "signature")


def _wrap_label(envelope: Envelope) -> bytes:
    """Return the OAEP label, 32 bytes: who wraps the key for whom, so that nobody can sign it again as theirs."""
    return sha256(Label.WRAP_1.prefix(without(envelope, *_SEALED)))


class Suite1:
    """RSA-2048 and AES-256-CFB."""

    number = 1

    def encrypt(self, sender: Account, recipient: IdentityRecord, draft: Draft, content: bytes) -> Envelope:
        """Seal and sign (docs/PROTOCOL.md section 6.2)."""
        routed = draft.routed(sender, recipient, suite=self.number, device_id=ALL_DEVICES)
        wrapped, ciphertext = seal(load_rsa_public_der(recipient.rsa), content, _wrap_label(routed))
        sealed = msgspec.structs.replace(
            routed, encrypted_aes_key=encode_base64(wrapped), encrypted_content=encode_base64(ciphertext)
        )
        signature = sign(sender.keys.rsa, Label.ENVELOPE_1, without(sealed, "signature"))
        return msgspec.structs.replace(sealed, signature=encode_base64(signature))

    def decrypt(self, recipient: Account, sender: IdentityRecord, envelope: Envelope, *, now: int = 0) -> bytes:
        """Verify, then open (docs/PROTOCOL.md section 6.3, steps 7 to 9).

        Raises:
            CryptoError: Something about it is not right.
        """
        del now  # nothing here grows old
        wrapped, ciphertext, signature = (decode_base64(getattr(envelope, name)) for name in _SEALED)
        if len(wrapped) != RSA_SIZE or len(signature) != RSA_SIZE:
            raise CryptoError
        verify(load_rsa_public_der(sender.rsa), Label.ENVELOPE_1, without(envelope, "signature"), signature)
        return open_sealed(recipient.keys.rsa, wrapped, ciphertext, _wrap_label(envelope))
