"""The server's signed word that it has an envelope, and whether it was fetched (docs/PROTOCOL.md section 4.10)."""

from __future__ import annotations

import msgspec

from canonical_json import without
from crypto_utils import Label, RSAPrivateKey, RSAPublicKey, sign, verify
from records import Acceptance


def sign_acceptance(key: RSAPrivateKey, draft: Acceptance) -> Acceptance:
    """Sign it with the key of the server's key log."""
    return msgspec.structs.replace(draft, signature=sign(key, Label.ACCEPTANCE, without(draft, "signature")))


def verify_acceptance(key: RSAPublicKey, acceptance: Acceptance) -> None:
    """Check who has signed it.

    Raises:
        CryptoError: It was not this key.
    """
    verify(key, Label.ACCEPTANCE, without(acceptance, "signature"), acceptance.signature)
