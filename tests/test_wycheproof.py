"""Vectors of Project Wycheproof, fed through the functions that the product uses.

They lie beside the repository, in ../shared/vectors; a clone elsewhere does not have them and says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

import crypto_utils
from crypto_utils import Label, unwrap, verify
from errors import CryptoError
from key_agreement import PrivatePair, PublicPair, decrypt, derive, encrypt, exchange

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "vectors" / "wycheproof"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no ../shared/vectors beside this clone")


def cases(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    groups = json.loads((FOLDER / name).read_text(encoding="utf-8"))["testGroups"]
    return [(group, case) for group in groups for case in group["tests"]]


@pytest.fixture
def no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """These signatures were made without our labels: leave them out, here only."""
    monkeypatch.setattr(Label, "prefix", lambda _self, message: message)


def agrees(case: dict[str, Any], accepted: bool) -> bool:
    return case["result"] == "acceptable" or (case["result"] == "valid") is accepted


def test_oaep() -> None:
    tried = cases("rsa_oaep_2048_sha256_mgf1sha256_test.json")
    assert len(tried) > 20
    for group, case in tried:
        key = load_der_private_key(bytes.fromhex(group["privateKeyPkcs8"]), None)
        assert isinstance(key, RSAPrivateKey)
        try:
            opened = unwrap(key, bytes.fromhex(case["ct"]), bytes.fromhex(case["label"]))
            accepted = opened == bytes.fromhex(case["msg"])
        except CryptoError:
            accepted = False
        assert agrees(case, accepted), case["tcId"]


@pytest.mark.usefixtures("no_label")
def test_pss() -> None:
    tried = cases("rsa_pss_2048_sha256_mgf1_32_test.json")
    assert len(tried) > 50
    for group, case in tried:
        der = group.get("publicKeyDer") or group["publicKey"]
        key = load_der_public_key(bytes.fromhex(der)) if isinstance(der, str) else None
        assert isinstance(key, RSAPublicKey)
        try:
            verify(key, Label.ENVELOPE_1, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            accepted = True
        except CryptoError:
            accepted = False
        assert agrees(case, accepted), case["tcId"]
    assert crypto_utils.PSS_SALT_SIZE == 32


@pytest.mark.usefixtures("no_label")
def test_ed25519() -> None:
    tried = cases("ed25519_test.json")
    assert len(tried) > 50
    for group, case in tried:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"]))
        try:
            verify(key, Label.LOGIN, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            accepted = True
        except CryptoError:
            accepted = False
        assert agrees(case, accepted), case["tcId"]


@pytest.mark.usefixtures("no_label")
def test_mldsa65() -> None:
    """We sign with an empty context; a case with another one must not pass without it."""
    tried = cases("mldsa_65_verify_test.json")
    assert len(tried) > 50
    for group, case in tried:
        try:
            key = MLDSA65PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]))
            verify(key, Label.IDENTITY, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            accepted = True
        except (CryptoError, ValueError):  # a key of the wrong size is refused when it is loaded
            accepted = False
        assert agrees(case, accepted) or (case.get("ctx") and not accepted), case["tcId"]


def test_x25519() -> None:
    """Those that Wycheproof calls acceptable have a low order or are not in their one form; we refuse the former."""
    tried = cases("x25519_test.json")
    assert len(tried) > 400
    other, refused = PrivatePair.generate(), 0
    for _, case in tried:
        private = PrivatePair.from_bytes(bytes.fromhex(case["private"]) + bytes(64))
        public = PublicPair.from_bytes(bytes.fromhex(case["public"]) + other.public.to_bytes()[32:])
        try:
            assert exchange(private.x25519, public.x25519).hex() == case["shared"], case["tcId"]
        except CryptoError:
            refused += 1
            assert "ZeroSharedSecret" in case["flags"], case["tcId"]
    assert refused > 10


def test_mlkem768() -> None:
    """A private key by its seed, a ciphertext, and the secret that both give, or another: implicit rejection."""
    tried = cases("mlkem_768_test.json")
    assert len(tried) > 20
    x25519 = bytes(range(32))
    for _, case in tried:
        seed = bytes.fromhex(case["seed"])
        try:
            secret = PrivatePair.from_bytes(x25519 + seed).decapsulate(bytes.fromhex(case["c"])).hex()
            accepted = secret == case["K"]
        except (CryptoError, ValueError):  # a seed of another size is none of ours
            accepted = False
        assert agrees(case, accepted), case["tcId"]


def test_hkdf() -> None:
    tried = [case for _, case in cases("hkdf_sha256_test.json") if case["result"] == "valid"]
    assert len(tried) > 50
    for case in tried:
        salt, info = bytes.fromhex(case["salt"]), bytes.fromhex(case["info"])
        assert derive(bytes.fromhex(case["ikm"]), salt=salt, info=info, size=case["size"]).hex() == case["okm"]


def test_aes_gcm() -> None:
    tried = [
        case
        for group, case in cases("aes_gcm_test.json")
        if (group["ivSize"], group["keySize"], group["tagSize"]) == (96, 256, 128)
    ]
    assert len(tried) > 50
    for case in tried:
        key, nonce, associated = (bytes.fromhex(case[name]) for name in ("key", "iv", "aad"))
        ciphertext = bytes.fromhex(case["ct"] + case["tag"])
        try:
            accepted = decrypt(key, nonce, ciphertext, associated).hex() == case["msg"]
        except CryptoError:
            accepted = False
        assert agrees(case, accepted), case["tcId"]
        if accepted:
            assert encrypt(key, nonce, bytes.fromhex(case["msg"]), associated) == ciphertext
