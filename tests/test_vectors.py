"""The frozen vectors: what was valid once stays valid, and what was refused stays refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from connection import Connection, Role, State
from crypto_utils import Label, PrivateKeys, load_rsa_public_der, sha256, sign, spki, verify
from errors import CryptoError
from identity import identity_hash, login_statement, open_code, verify_record
from key_log import entry_for, prove_index, verify_entries, verify_growth, verify_index
from messenger.account import Account
from messenger.content import unpack
from messenger.suites.suite1 import Suite1
from protocol import canonical, decode, decode_envelope, without
from records import IdentityRecord, Inclusion, LogEntry, LogProof, TreeHead

FOLDER = Path(__file__).with_name("vectors")
Case = dict[str, Any]


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in load(name)["cases"]]


def rsa_key(text: str) -> RSAPrivateKey:
    key = load_der_private_key(base64.b64decode(text), None)
    assert isinstance(key, RSAPrivateKey)
    return key


def keys_of(name: str) -> PrivateKeys:
    stored = load("identity.json")["keys"][name]
    return PrivateKeys(
        rsa_key(stored["rsa_pkcs8"]),
        Ed25519PrivateKey.from_private_bytes(base64.b64decode(stored["ed25519"])),
        X25519PrivateKey.from_private_bytes(base64.b64decode(stored["x25519"])),
        MLDSA65PrivateKey.from_seed_bytes(base64.b64decode(stored["mldsa65_seed"])),
    )


def record_of(name: str) -> IdentityRecord:
    (text,) = [case["record"] for case in load("identity.json")["cases"] if case["name"] == name]
    return decode(IdentityRecord, text.encode())


@pytest.mark.parametrize("case", cases("frames.json"))
def test_frames(case: Case) -> None:
    data = bytes.fromhex(case["wire"])
    if case["expect"] != "ok":
        connection = Connection(Role.SERVER)
        connection.state = State.GREETED
        assert connection.receive(data) == []
        assert connection.failure is not None
        assert connection.failure.code == case["expect"]
        return
    for role in Role:
        for state in State:
            connection = Connection(role)
            connection.state = state
            for frame in connection.receive(data):
                assert json.loads(canonical(frame)) == case["frame"]
                return
    pytest.fail("no state takes it")


@pytest.mark.parametrize("case", cases("identity.json"))
def test_identity_records(case: Case) -> None:
    record = decode(IdentityRecord, case["record"].encode())
    if case["expect"] == "ok":
        assert verify_record(record) == keys_of(case["name"]).public
        assert without(record, "sigs").decode() == case["signed"]
        assert identity_hash(record).hex() == case["identity_hash"]
    else:
        with pytest.raises(CryptoError):
            verify_record(record)


def test_login() -> None:
    vector = load("login.json")
    server = load_rsa_public_der(base64.b64decode(vector["server_spki"]))
    record = record_of(vector["user_id"])
    statement = login_statement(
        server_key_hash=sha256(spki(server)),
        client_nonce=base64.b64decode(vector["client_nonce"]),
        server_nonce=base64.b64decode(vector["server_nonce"]),
        user_id=vector["user_id"],
        device_id=vector["device_id"],
        identity=identity_hash(record),
        version=vector["version"],
    )
    assert statement.decode() == vector["statement"]
    proof = base64.b64decode(vector["proof"])
    verify(verify_record(record).ed25519, Label.LOGIN, statement, proof)
    assert sign(keys_of("alice").ed25519, Label.LOGIN, statement) == proof  # RFC 8032 signatures are deterministic


@pytest.mark.parametrize("case", cases("code.json"))
def test_codes(case: Case) -> None:
    server = rsa_key(load("code.json")["server_pkcs8"])
    encrypted, identity = base64.b64decode(case["encrypted_code"]), bytes.fromhex(case["identity_hash"])
    if case["expect"] == "ok":
        assert open_code(server, encrypted, identity) == case["code"]
    else:
        with pytest.raises(CryptoError):
            open_code(server, encrypted, identity)


@pytest.mark.parametrize("case", cases("envelope.json"))
def test_envelopes(case: Case) -> None:
    bob = Account("bob", keys_of("bob"), record_of("bob"))
    envelope = decode_envelope(case["envelope"].encode())
    if case["expect"] == "ok":
        content = unpack(Suite1().decrypt(bob, record_of("alice"), envelope))
        assert json.loads(canonical(content)) == case["content"]
    else:
        with pytest.raises(CryptoError):
            Suite1().decrypt(bob, record_of("alice"), envelope)


def test_the_key_log() -> None:
    vector = load("key_log.json")
    key = rsa_key(vector["log_pkcs8"])
    entries = [decode(LogEntry, entry.encode()) for entry in vector["entries"]]
    for name, proof in vector["indices"].items():
        assert prove_index(key, name) == base64.b64decode(proof)  # there is no other
        index = verify_index(key.public_key(), name, base64.b64decode(proof))
        assert entry_for(index, record_of(name)) in entries
    head = decode(TreeHead, vector["head"].encode())
    assert (head.size, head.root.hex()) == (len(entries), vector["roots"][-1])
    state = (head.size, head.root)
    for position, (entry, path) in enumerate(zip(entries, vector["inclusions"], strict=True)):
        verify_entries(state, [entry], [Inclusion(path=[bytes.fromhex(each) for each in path], position=position)])
    for size, (root, path) in enumerate(zip(vector["roots"], vector["consistency"], strict=True)):
        consistency = [bytes.fromhex(each) for each in path]
        proof = LogProof(consistency=consistency, head=head, inclusions=[], index=bytes(256))
        assert verify_growth(key.public_key(), (size, bytes.fromhex(root)), proof) == state
        with pytest.raises(CryptoError):
            verify_growth(key.public_key(), (size, bytes(32)), proof)
