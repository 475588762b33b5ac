"""Row 16: what people compare must cover every key (Nebuchadnezzar, 2022)."""

from __future__ import annotations

from dataclasses import replace

import pytest

import identity
from crypto_utils import PrivateKeys, sha256
from identity import create_record, safety_number
from records import IdentityRecord


@pytest.mark.parametrize("name", ["ed25519", "x25519", "mldsa65"])
def test_one_key_is_exchanged_under_a_compared_number(
    some_keys: list[PrivateKeys], weak: bool, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def only_rsa(record: IdentityRecord) -> bytes:
        return sha256(record.rsa)

    if weak:
        monkeypatch.setattr(identity, "identity_hash", only_rsa)
    mine = create_record(some_keys[0], "alice", created=1, suites=[1])
    theirs = create_record(some_keys[1], "bob", created=1, suites=[1])
    keys = replace(some_keys[1], **{name: getattr(some_keys[2], name)})
    exchanged = create_record(keys, "bob", created=1, suites=[1])
    assert (safety_number(mine, exchanged) == safety_number(mine, theirs)) is weak
