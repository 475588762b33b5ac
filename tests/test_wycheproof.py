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
