from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from canonical_json import canonical, decode, without
from crypto_utils import Label, PrivateKeys, numeric_fingerprint, sign, spki, verify
from errors import CryptoError
from identity import (
    Predecessor,
    create_ending,
    create_record,
    identity_hash,
    key_id,
    login_statement,
    open_code,
    seal_code,
    signing_key,
    verify_chain,
    verify_ending,
    verify_record,
    verify_successor,
)
from records import IdentityRecord, Revocation, Signatures


@pytest.fixture(scope="module")
def record(some_keys: list[PrivateKeys]) -> IdentityRecord:
    return create_record(some_keys[0], "alice", created=1_700_000_000, suites=[1])


def resigned(record: IdentityRecord, keys: PrivateKeys) -> IdentityRecord:
    signed = without(record, "sigs")
    return msgspec.structs.replace(
        record,
        sigs=Signatures(
            ed25519=sign(keys.ed25519, Label.IDENTITY, signed), mldsa65=sign(keys.mldsa65, Label.IDENTITY, signed),
            prev=record.sigs.prev, rsa=sign(keys.rsa, Label.IDENTITY, signed),
        ),
    )  # fmt: skip


def test_a_record_is_its_keys_and_comes_back(record: IdentityRecord, some_keys: list[PrivateKeys]) -> None:
    assert verify_record(decode(IdentityRecord, canonical(record))) == some_keys[0].public
    assert key_id(record) == identity_hash(record)[:16]
    assert signing_key(record) == some_keys[0].public.ed25519


CHANGES: list[dict[str, Any]] = [
    {"created": 1}, {"user_id": "mallory"}, {"suites": [1, 2]}, {"epoch": 2}, {"prev": bytes(32)},
    {"ed25519": bytes(32)}, {"x25519": bytes(32)}, {"mldsa65": bytes(1952)}, {"rsa": bytes(294)},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_changed_field_is_noticed(record: IdentityRecord, change: dict[str, Any]) -> None:
    with pytest.raises(CryptoError):
        verify_record(msgspec.structs.replace(record, **change))


@pytest.mark.parametrize("name", ["ed25519", "mldsa65", "rsa"])
def test_every_signature_counts(record: IdentityRecord, name: str) -> None:
    signature = bytearray(getattr(record.sigs, name))
    signature[0] ^= 1
    sigs = msgspec.structs.replace(record.sigs, **{name: bytes(signature)})
    with pytest.raises(CryptoError):
        verify_record(msgspec.structs.replace(record, sigs=sigs))


@pytest.mark.parametrize("name", ["ed25519", "mldsa65", "rsa", "x25519"])
def test_the_hash_stands_for_every_key(record: IdentityRecord, some_keys: list[PrivateKeys], name: str) -> None:
    """Attack row 16. A server that swaps one key cannot make its owner's other keys sign it."""
    public = some_keys[1].public
    other = spki(public.rsa) if name == "rsa" else getattr(public, name).public_bytes_raw()
    swapped = msgspec.structs.replace(record, **{name: other})
    assert identity_hash(swapped) != identity_hash(record)
    with pytest.raises(CryptoError):
        verify_record(swapped)


@pytest.mark.parametrize(
    "change",
    [{"suites": [2, 1]}, {"suites": [1, 1]}, {"prev": bytes(32)}, {"sigs": "prev"}],
    ids=["unordered suites", "a suite twice", "a past in the first epoch", "a signature of nobody"],
)
def test_what_no_owner_writes_is_refused_even_if_signed(
    record: IdentityRecord, some_keys: list[PrivateKeys], change: dict[str, Any]
) -> None:
    if "sigs" in change:
        change = {"sigs": msgspec.structs.replace(record.sigs, prev=bytes(64))}
    with pytest.raises(CryptoError):
        verify_record(resigned(msgspec.structs.replace(record, **change), some_keys[0]))


def test_a_code_is_sealed_for_one_server_and_one_identity(some_keys: list[PrivateKeys]) -> None:
    server, other = some_keys[0].rsa, some_keys[1].rsa
    sealed = seal_code(server.public_key(), "012345", bytes(32))
    assert open_code(server, sealed, bytes(32)) == "012345"
    for key, identity in ((other, bytes(32)), (server, b"1" * 32)):
        with pytest.raises(CryptoError):
            open_code(key, sealed, identity)
    for code in ("12345", "1234567", "12a456", "+12345"):
        with pytest.raises(CryptoError):
            open_code(server, seal_code(server.public_key(), code, bytes(32)), bytes(32))


def test_a_login_statement_differs_with_every_field() -> None:
    fields: dict[str, Any] = {
        "server_key_hash": bytes(32), "client_nonce": bytes(32), "server_nonce": bytes(32), "user_id": "alice",
        "device_id": 1, "identity": bytes(32), "version": 1,
    }  # fmt: skip
    statements = {login_statement(**fields)}
    for name, value in fields.items():
        changed = b"1" * 32 if isinstance(value, bytes) else "bob" if isinstance(value, str) else 2
        statements.add(login_statement(**fields | {name: changed}))
    assert len(statements) == len(fields) + 1


def test_a_revocation_is_for_one_identity(record: IdentityRecord, some_keys: list[PrivateKeys]) -> None:
    revocation = create_ending(Revocation, some_keys[0], record, created=5)
    verify_ending(revocation, record)
    verify(some_keys[0].public.ed25519, Label.REVOKE, without(revocation, "sig"), revocation.sig)
    other = create_record(some_keys[0], "alice", created=2, suites=[1])
    with pytest.raises(CryptoError):
        verify_ending(revocation, other)
    with pytest.raises(CryptoError):
        verify_ending(msgspec.structs.replace(revocation, user_id="bob"), record)
    with pytest.raises(CryptoError):
        verify_ending(msgspec.structs.replace(revocation, created=6), record)


def test_a_safety_number_is_signal_s_numeric_fingerprint() -> None:
    """libsignal's own test vector; the number is made of two halves, the smaller first."""
    path = Path(__file__).resolve().parents[2] / "shared" / "vectors" / "libsignal.json"
    if not path.is_file():
        pytest.skip("no ../shared/vectors beside this clone")
    vector = json.loads(path.read_text(encoding="utf-8"))["safety_number"]
    halves = [
        numeric_fingerprint(bytes.fromhex(vector[f"{side}_key"]), vector[f"{side}_id"].encode())
        for side in ("local", "remote")
    ]
    assert "".join(sorted(halves)) == vector["number"]


@pytest.fixture
def second(record: IdentityRecord, some_keys: list[PrivateKeys]) -> IdentityRecord:
    before = Predecessor(record, some_keys[0])
    return create_record(some_keys[1], record.user_id, created=2, suites=[1], before=before)


def test_a_record_follows_the_one_that_has_signed_it(record: IdentityRecord, second: IdentityRecord) -> None:
    verify_record(second)
    verify_successor(second, record)
    verify_chain([record, second])
    assert (second.epoch, second.prev) == (2, identity_hash(record))


@pytest.mark.parametrize(
    "change", [{"epoch": 1}, {"prev": b""}, {"prev": bytes(32)}, {"epoch": 3}, {"user_id": "mallory"}]
)
def test_a_record_that_follows_is_whole(record: IdentityRecord, second: IdentityRecord, change: dict[str, Any]) -> None:
    changed = msgspec.structs.replace(second, **change)
    with pytest.raises(CryptoError):
        verify_chain([record, changed])


def test_nothing_follows_itself_or_comes_before(record: IdentityRecord, second: IdentityRecord) -> None:
    for chain in ([second, record], [record, record], [second, second]):
        with pytest.raises(CryptoError):
            verify_chain(chain)
