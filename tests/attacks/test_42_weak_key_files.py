"""Row 42: a key file whose password can be guessed quickly: 2,048 rounds are what the library writes by itself."""

from __future__ import annotations

import pytest

import crypto_utils
from crypto_utils import PrivateKeys, decrypt_private_keys, encrypt_private_keys
from errors import KeyFileError


def test_a_file_that_is_cheap_to_guess_is_not_used(
    some_keys: list[PrivateKeys], weak: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = encrypt_private_keys(some_keys[0], b"correct horse", iterations=2048)
    if weak:
        monkeypatch.setattr(crypto_utils, "_check_protection", lambda _block: None)
    try:
        decrypt_private_keys(pem, b"correct horse")
    except KeyFileError:
        assert not weak
    else:
        assert weak
