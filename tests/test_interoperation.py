"""Another implementation, made of pycryptodome and the standard library alone, written from docs/PROTOCOL.md."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from typing import Any

import msgspec
import pytest
from Crypto.Cipher import AES, PKCS1_OAEP
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pss

from canonical_json import canonical
from crypto_utils import PrivateKeys, spki
from errors import CryptoError
from identity import create_record, key_id
from messenger.account import Account
from messenger.content import NO_LOG, Text, pack, unpack
from messenger.suites.draft import Draft
from messenger.suites.suite1 import Suite1
from protocol import Message, decode_envelope
from server_key import server_key_to_pem

Json = dict[str, Any]


def encode(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def oaep(key: RSA.RsaKey, envelope: Json) -> Any:
    outside = {k: v for k, v in envelope.items() if k not in {"encrypted_aes_key", "encrypted_content", "signature"}}
    label = hashlib.sha256(b"SecureChat/1 wrap\0" + encode(outside)).digest()
    return PKCS1_OAEP.new(key, hashAlgo=SHA256, label=label)


def signed(envelope: Json) -> Any:
    rest = {name: value for name, value in envelope.items() if name != "signature"}
    return SHA256.new(b"SecureChat/1 envelope\0" + encode(rest))


def their_seal(envelope: Json, content: bytes, sender: RSA.RsaKey, recipient: RSA.RsaKey) -> bytes:
    key, iv = os.urandom(32), os.urandom(16)
    body = AES.new(key, AES.MODE_CFB, iv=iv, segment_size=128).encrypt(content)
    sealed = envelope | {
        "encrypted_aes_key": base64_of(oaep(recipient, envelope).encrypt(key)),
        "encrypted_content": base64_of(iv + body),
    }
    signature = pss.new(sender, salt_bytes=32).sign(signed(sealed))
    return encode(sealed | {"signature": base64_of(signature)})


def their_open(data: bytes, sender: RSA.RsaKey, recipient: RSA.RsaKey) -> bytes:
    envelope = json.loads(data)
    pss.new(sender, salt_bytes=32).verify(signed(envelope), base64.b64decode(envelope["signature"]))
    key = oaep(recipient, envelope).decrypt(base64.b64decode(envelope["encrypted_aes_key"]))
    content = base64.b64decode(envelope["encrypted_content"])
    return AES.new(key, AES.MODE_CFB, iv=content[:16], segment_size=128).decrypt(content[16:])


EMPTY_LOG = {"root": base64_of(hashlib.sha256(b"").digest()), "size": 0}


def their_unpack(data: bytes) -> Json:
    size = int.from_bytes(data[1:5], "big")
    body = data[5 : 5 + size]
    content: Json = json.loads(zlib.decompress(body) if data[0] else body)
    return content


@pytest.fixture(scope="module")
def alice(some_keys: list[PrivateKeys]) -> Account:
    return Account("alice", some_keys[0], create_record(some_keys[0], "alice", created=1, suites=[1]))


@pytest.fixture(scope="module")
def bob(some_keys: list[PrivateKeys]) -> Account:
    return Account("bob", some_keys[1], create_record(some_keys[1], "bob", created=1, suites=[1]))


def theirs(account: Account) -> RSA.RsaKey:
    return RSA.import_key(server_key_to_pem(account.keys.rsa))


@pytest.mark.parametrize("text", ["hello bob", "long " * 1000])
def test_what_is_sealed_here_opens_there(alice: Account, bob: Account, text: str) -> None:
    draft = Draft(Message, os.urandom(16), 1_700_000_000)
    envelope = Suite1().encrypt(alice, bob.record, draft, pack(Text(counter=1, log=NO_LOG, text=text)))
    content = their_unpack(their_open(canonical(envelope), RSA.import_key(spki(alice.keys.public.rsa)), theirs(bob)))
    assert content == {"counter": 1, "kind": "text", "log": EMPTY_LOG, "text": text}


def test_what_is_sealed_there_opens_here(alice: Account, bob: Account) -> None:
    routed: Json = {
        "id": base64_of(os.urandom(16)), "recipient_device": 0, "recipient_id": "alice",
        "recipient_key": base64_of(key_id(alice.record)), "sender_device": 1, "sender_id": "bob",
        "sender_key": base64_of(key_id(bob.record)), "suite": 1, "timestamp": 1_700_000_000, "type": "message",
    }  # fmt: skip
    body = encode({"counter": 1, "kind": "text", "log": EMPTY_LOG, "text": "grüße"})
    content = (b"\0" + len(body).to_bytes(4, "big") + body).ljust(512, b"\0")
    data = their_seal(routed, content, theirs(bob), RSA.import_key(spki(alice.keys.public.rsa)))
    envelope = decode_envelope(data)
    assert canonical(envelope) == data
    assert unpack(Suite1().decrypt(alice, bob.record, envelope)) == Text(counter=1, log=NO_LOG, text="grüße")
    with pytest.raises(CryptoError):
        Suite1().decrypt(alice, alice.record, envelope)


def test_an_envelope_of_another_size_of_key_is_refused(alice: Account, bob: Account) -> None:
    envelope = Suite1().encrypt(
        alice, bob.record, Draft(Message, bytes(16), 1), pack(Text(counter=1, log=NO_LOG, text="x"))
    )
    for change in ({"encrypted_aes_key": base64_of(bytes(255))}, {"signature": base64_of(bytes(255))}):
        with pytest.raises(CryptoError):
            Suite1().decrypt(bob, alice.record, msgspec.structs.replace(envelope, **change))
