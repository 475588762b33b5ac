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

from canonical_json import canonical, decode, without
from connection import Connection, Role
from connection import State as LinkState
from crypto_utils import Label, PrivateKeys, decode_base64, load_rsa_public_der, sha256, sign, spki, verify
from errors import CryptoError
from identity import identity_hash, login_statement, open_code, verify_record
from key_agreement import PrivatePair
from key_log import entry_for, prove_index, verify_entries, verify_growth, verify_index
from messenger.account import Account
from messenger.content import Text, unpack
from messenger.database import Database
from messenger.suites.handshake import Ours, Party, answer
from messenger.suites.own_prekeys import OwnPrekeys
from messenger.suites.ratchet import State
from messenger.suites.sessions import Sessions
from messenger.suites.suite1 import Suite1
from messenger.suites.suite2 import Suite2, _unpack
from prekeys import verify_prekey
from protocol import decode_envelope
from records import IdentityRecord, Inclusion, LogEntry, LogProof, OneTimePrekey, SignedPrekey, TreeHead

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
        connection.state = LinkState.GREETED
        assert connection.receive(data) == []
        assert connection.failure is not None
        assert connection.failure.code == case["expect"]
        return
    for role in Role:
        for state in LinkState:
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


def test_a_conversation_of_suite_2(tmp_path: Path) -> None:
    """As Bob sees it; between the second and the third message he has answered, from which on his state is given."""
    vector = load("suite2.json")
    alice, record = (decode(IdentityRecord, vector["records"][name].encode()) for name in ("alice", "bob"))
    bob, prekeys = Account("bob", keys_of("bob"), record), vector["prekeys"]
    pairs = {name: PrivatePair.from_bytes(base64.b64decode(prekeys[f"{name}_pair"])) for name in ("signed", "one_time")}
    signed = decode(SignedPrekey, prekeys["signed"].encode())
    one_time = decode(OneTimePrekey, prekeys["one_time"].encode())
    assert verify_prekey(signed, record).to_bytes() == pairs["signed"].public.to_bytes()
    assert verify_prekey(one_time, record).to_bytes() == pairs["one_time"].public.to_bytes()
    database = Database(tmp_path / "bob.db", b"password")
    for number, name in enumerate(pairs, 1):
        values = (number, name == "one_time", pairs[name].to_bytes())
        database.run("INSERT INTO own_prekey (id, one_time, pair, made_at) VALUES (?, ?, ?, 0)", *values)
    sessions = Sessions(database)
    suite, session_id = Suite2(sessions, OwnPrekeys(database)), bytes.fromhex(vector["handshake"]["session_id"])
    first = decode_envelope(vector["steps"][0]["envelope"].encode())
    begun = _unpack(decode_base64(first.encrypted_aes_key)).handshake
    assert begun is not None
    agreed = answer(bob, Party(alice, 1), Ours(pairs["signed"], pairs["one_time"]), begun)
    assert (agreed.session_id, agreed.shared.hex()) == (session_id, vector["handshake"]["shared"])
    assert sha256(Label.SESSION_2.prefix(vector["handshake"]["transcript"].encode()))[:16] == session_id
    for number, step in enumerate(vector["steps"]):
        if number == 2:
            given = vector["state_after_his_answer"]
            state: dict[str, Any] = {
                name: base64.b64decode(value) if isinstance(value, str) else value for name, value in given.items()
            }
            sessions.keep_sent(session_id, State(**state))
        content = unpack(suite.decrypt(bob, alice, decode_envelope(step["envelope"].encode()), now=0))
        assert isinstance(content, Text)
        assert content.text == step["text"]
    assert [step["text"] for step in vector["steps"]] == ["overtakes it", "the first", "after a turn"]
    database.close()


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
