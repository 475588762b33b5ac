"""Row 11: a signature that was made for one purpose is used for another (Threema's vouch box; eprint 2024/918)."""

from __future__ import annotations

import itertools

import pytest

from crypto_utils import Label, PrivateKeys, sign, verify
from errors import CryptoError


def passes(keys: PrivateKeys, made_for: Label, used_for: Label) -> bool:
    statement = b"what the server has chosen"
    try:
        for key, public in ((keys.ed25519, keys.public.ed25519), (keys.rsa, keys.public.rsa)):
            verify(public, used_for, statement, sign(key, made_for, statement))
    except CryptoError:
        return False
    return True


def test_no_label_passes_for_another(some_keys: list[PrivateKeys], weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr(Label, "prefix", lambda _label, message: message)
    pairs = [(one, other) for one, other in itertools.product(Label, Label) if one is not other]
    assert {passes(some_keys[0], *pair) for pair in pairs} == {weak}
