"""The primitives, and the files that openssl must be able to read."""

from __future__ import annotations

import hashlib
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from Crypto.IO import PEM, PKCS8
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)

import crypto_utils
from crypto_utils import (
    PBKDF2_ITERATIONS,
    Label,
    PrivateKeys,
    PublicKeys,
    decode_base64,
    decrypt_private_keys,
    encode_base64,
    encrypt_private_keys,
    fingerprint,
    load_rsa_public_der,
    normalise_password,
    open_sealed,
    private_keys_from_pem,
    private_keys_to_pem,
    public_key_from_pem,
    public_key_to_pem,
    seal,
    sha256,
    sign,
    spki,
    unwrap,
    verify,
    wrap,
)
from errors import CryptoError, ExitCode, KeyFileError, UsageError, WrongPasswordError
from messenger.database import Database

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command on this machine")
PASSWORD = normalise_password("correct horse")
FAST = 600_000  # the fewest iterations that are accepted


@pytest.fixture(scope="module")
def keys(some_keys: list[PrivateKeys]) -> PrivateKeys:
    return some_keys[0]


@pytest.fixture(scope="module")
def pem(keys: PrivateKeys) -> bytes:
    return encrypt_private_keys(keys, PASSWORD, iterations=FAST)


# ---------------------------------------------------------------- labels, signatures


def test_labels_are_distinct_and_none_begins_another() -> None:
    """Attack row 11: what is signed for one purpose never passes for another."""
    prefixed = [label.prefix(b"") for label in Label]
    assert len(set(prefixed)) == len(Label)
    assert not [(a, b) for a in prefixed for b in prefixed if a is not b and b.startswith(a)]


@pytest.mark.parametrize(("name", "size"), [("rsa", 256), ("ed25519", 64), ("mldsa65", 3309)])
def test_a_signature_is_good_for_one_key_purpose_and_message(
    some_keys: list[PrivateKeys], name: str, size: int
) -> None:
    private, public = getattr(some_keys[0], name), getattr(some_keys[0].public, name)
    signature = sign(private, Label.LOGIN, b"message")
    assert len(signature) == size
    verify(public, Label.LOGIN, b"message", signature)
    for key, label, message, tried in (
        (getattr(some_keys[1].public, name), Label.LOGIN, b"message", signature),
        (public, Label.REVOKE, b"message", signature),
        (public, Label.LOGIN, b"massage", signature),
        (public, Label.LOGIN, b"message", signature[:-1] + bytes([signature[-1] ^ 1])),
        (public, Label.LOGIN, b"message", b""),
    ):
        with pytest.raises(CryptoError):
            verify(key, label, message, tried)


# ---------------------------------------------------------------- hybrid encryption


def test_what_is_sealed_opens_with_the_right_key_and_label_only(some_keys: list[PrivateKeys]) -> None:
    bob, mallory = some_keys[0].rsa, some_keys[1].rsa
    wrapped, ciphertext = seal(bob.public_key(), b"secret", b"label")
    assert (len(wrapped), len(ciphertext)) == (256, 16 + 6)
    assert open_sealed(bob, wrapped, ciphertext, b"label") == b"secret"
    for key, tried, body, label in (
        (mallory, wrapped, ciphertext, b"label"),
        (bob, wrapped, ciphertext, b"other"),
        (bob, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), ciphertext, b"label"),
        (bob, wrapped, ciphertext[:15], b"label"),
        (bob, b"", ciphertext, b"label"),
        (bob, wrap(bob.public_key(), b"not 32 bytes", b"label"), ciphertext, b"label"),
    ):
        with pytest.raises(CryptoError):
            open_sealed(key, tried, body, label)


def test_every_seal_is_fresh(keys: PrivateKeys) -> None:
    seals = [seal(keys.public.rsa, b"same", b"") for _ in range(20)]
    session_keys = {unwrap(keys.rsa, wrapped, b"") for wrapped, _ in seals}
    assert len(session_keys) == len({ciphertext for _, ciphertext in seals}) == 20


# ---------------------------------------------------------------- public keys


def test_only_rsa_2048_in_its_one_der_form_is_taken(keys: PrivateKeys) -> None:
    der = spki(keys.public.rsa)
    assert load_rsa_public_der(der).public_numbers() == keys.public.rsa.public_numbers()
    small = rsa.generate_private_key(65537, 1024).public_key()
    odd = rsa.generate_private_key(3, 2048).public_key()
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    others = [key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in (small, odd, curve)]
    unknown = der.replace(bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d01017f"))
    for data in (*others, unknown, der[:-1], der + b"\0", b""):
        with pytest.raises(CryptoError):
            load_rsa_public_der(data)


def test_public_keys_of_the_wrong_size_are_refused(keys: PrivateKeys) -> None:
    good = {"rsa": spki(keys.public.rsa), "ed25519": bytes(32), "x25519": bytes(32), "mldsa65": bytes(1952)}
    PublicKeys.from_bytes(**good)
    for name in ("ed25519", "x25519", "mldsa65"):
        with pytest.raises(CryptoError):
            PublicKeys.from_bytes(**good | {name: b"short"})


@needs_openssl
def test_a_fingerprint_is_the_hash_of_the_public_key_info(keys: PrivateKeys) -> None:
    pem = public_key_to_pem(keys.public.rsa)
    run = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=pem, capture_output=True, check=True)
    assert fingerprint(keys.public.rsa) == sha256(run.stdout).hex()
    assert public_key_from_pem(pem) == keys.public.rsa


@pytest.mark.parametrize("kind", ["junk", "small"])
def test_other_public_key_files_are_refused(kind: str) -> None:
    data = b"junk" if kind == "junk" else rsa.generate_private_key(65537, 1024).public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    with pytest.raises(KeyFileError):
        public_key_from_pem(data)


# ---------------------------------------------------------------- passwords


def test_a_password_is_the_same_however_its_accents_are_typed() -> None:
    assert normalise_password("pässwörter") == normalise_password("pa\u0308sswo\u0308rter")


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025, "with\nnewline", "with\0zero", "\ud800\ud800 lone"])
def test_passwords_that_cannot_be(password: str) -> None:
    with pytest.raises(UsageError):
        normalise_password(password)


# ---------------------------------------------------------------- private key files


def openssl(*arguments: str, data: bytes) -> str:
    """Run openssl with a file on its standard input, so that nothing secret is in its arguments."""
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout.decode()


@needs_openssl
def test_openssl_sees_a_million_iterations_and_a_salt_of_sixteen_bytes(keys: PrivateKeys) -> None:
    """Attack row 42."""
    blocks = re.findall(rb"-----BEGIN.*?-----END[^\n]*\n", encrypt_private_keys(keys, PASSWORD), re.DOTALL)
    assert len(blocks) == 4
    salts = set()
    for block in blocks:
        shown = openssl("asn1parse", data=block)
        assert "PBKDF2" in shown
        assert "hmacWithSHA256" in shown
        assert "aes-256-cbc" in shown
        iterations = int(re.findall(r"INTEGER +:([0-9A-F]+)", shown)[-1], 16)
        salt = re.findall(r"OCTET STRING +\[HEX DUMP\]:([0-9A-F]+)", shown)[0]
        assert (iterations, len(salt)) == (PBKDF2_ITERATIONS, 32)
        salts.add(salt)
    assert len(salts) == 4
    assert PBKDF2_ITERATIONS == 1_000_000


@needs_openssl
def test_openssl_opens_the_private_key_file(keys: PrivateKeys, pem: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem)
    public = openssl("pkey", "-in", str(file), "-passin", "stdin", "-pubout", data=PASSWORD + b"\n")
    assert public.encode() == public_key_to_pem(keys.public.rsa)


def test_the_four_keys_come_back(keys: PrivateKeys, pem: bytes) -> None:
    assert decrypt_private_keys(pem, PASSWORD).public == keys.public


def test_another_password_does_not_open_it(pem: bytes) -> None:
    """R-23."""
    with pytest.raises(WrongPasswordError) as raised:
        decrypt_private_keys(pem, normalise_password("wrong horse"))
    assert raised.value.exit_code is ExitCode.PASSWORD


def test_a_wrong_guess_costs_a_key_derivation(keys: PrivateKeys, tmp_path: Path) -> None:
    """R-23: a thief has the history too, and would guess at whichever is faster. Beside this machine's own."""
    pem, history, wrong = encrypt_private_keys(keys, PASSWORD), tmp_path / "alice.db", normalise_password("wrong horse")
    Database(history, PASSWORD).close()

    def refused(guess: Callable[[], object]) -> None:
        with pytest.raises(KeyFileError):
            guess()

    tries: dict[str, Callable[[], object]] = {
        "keys": lambda: refused(lambda: decrypt_private_keys(pem, wrong)),
        "history": lambda: refused(lambda: Database(history, wrong)),
        "derivation": lambda: hashlib.pbkdf2_hmac("sha256", wrong, bytes(16), FAST),
    }

    def spent(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    rounds = [{name: spent(work) for name, work in tries.items()} for _ in range(3)]
    for name in tries:  # within a round: from one to the next a machine's speed may double
        assert statistics.median(took_s[name] / took_s["derivation"] for took_s in rounds) >= 1 / 2
    assert decrypt_private_keys(pem, PASSWORD).public == keys.public


def blocks_of(pem: bytes) -> list[bytes]:
    return [
        block + b"-----END ENCRYPTED PRIVATE KEY-----\n"
        for block in pem.split(b"-----END ENCRYPTED PRIVATE KEY-----\n")[:-1]
    ]


def test_damaged_files_are_refused(pem: bytes) -> None:
    """R-21."""
    one, two, three, four = blocks_of(pem)
    damaged = {
        "empty": b"", "cut": pem[:-30], "a block missing": one + two + three, "another order": two + one + three + four,
        "junk before": b"junk\n" + pem, "junk after": pem + b"junk", "a block twice": one + one + three + four,
        "huge": pem * 40, "not base64": one.replace(b"M", b"*") + two + three + four,
        "no ASN.1": b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    }  # fmt: skip
    for name, data in damaged.items():
        with pytest.raises(KeyFileError):
            decrypt_private_keys(data, PASSWORD)
            pytest.fail(name)


@pytest.mark.parametrize("iterations", [2048, 599_999])
def test_a_file_with_too_little_protection_is_refused(keys: PrivateKeys, iterations: int) -> None:
    with pytest.raises(KeyFileError, match="not protected"):
        decrypt_private_keys(encrypt_private_keys(keys, PASSWORD, iterations=iterations), PASSWORD)


def test_the_library_s_own_protection_is_refused(keys: PrivateKeys) -> None:
    weak = keys.rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD))
    with pytest.raises(KeyFileError, match="not protected"):
        decrypt_private_keys(weak * 4, PASSWORD)


def test_a_file_under_an_unknown_cipher_is_refused(pem: bytes) -> None:
    (one, *rest) = blocks_of(pem)
    aes_256_cbc, unknown = bytes.fromhex("60864801650304012a"), bytes.fromhex("60864801650304017f")
    der = PEM.decode(one.decode())[0].replace(aes_256_cbc, unknown)
    changed = f"{PEM.encode(der, 'ENCRYPTED PRIVATE KEY')}\n".encode() + b"".join(rest)
    with pytest.raises(KeyFileError):
        decrypt_private_keys(changed, PASSWORD)


def test_a_file_with_a_key_of_an_unknown_kind_is_refused(pem: bytes) -> None:
    (_, *rest) = blocks_of(pem)
    strange = PKCS8.wrap(
        bytes(34),
        "1.3.101.127",
        PASSWORD,
        "PBKDF2WithHMAC-SHA256AndAES256-CBC",
        {"iteration_count": FAST, "salt_size": 16},
        key_params=None,
    )
    block = f"{PEM.encode(strange, 'ENCRYPTED PRIVATE KEY')}\n".encode()
    with pytest.raises(KeyFileError, match="damaged"):
        decrypt_private_keys(block + b"".join(rest), PASSWORD)


def test_a_file_that_would_take_minutes_is_refused_at_once(pem: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert crypto_utils.PBKDF2_MAX_ITERATIONS == 10_000_000
    monkeypatch.setattr(crypto_utils, "PBKDF2_MAX_ITERATIONS", FAST - 1)
    with pytest.raises(KeyFileError, match="not protected"):
        decrypt_private_keys(pem, PASSWORD)


# ---------------------------------------------------------------- secrets


def test_keys_keep_to_themselves(keys: PrivateKeys) -> None:
    assert "object at" in repr(keys)


def test_keys_without_a_password_come_back(keys: PrivateKeys) -> None:
    pem = private_keys_to_pem(keys)
    assert private_keys_from_pem(pem).public == keys.public
    for damaged in (b"", pem[:-100], pem.replace(b"PRIVATE", b"PUBLIC"), pem + pem, b"x" + pem):
        with pytest.raises(KeyFileError):
            private_keys_from_pem(damaged)


# ---------------------------------------------------------------- base64


@pytest.mark.parametrize("data", [b"", b"a", b"ab", b"abc", bytes(range(256))])
def test_base64_comes_back(data: bytes) -> None:
    assert decode_base64(encode_base64(data)) == data


@pytest.mark.parametrize(
    "text",
    ["YQ", "YQ=", "YR==", "Y Q==", "YQ==\n", "YQ==YQ==", "_-8=", "=", "YQ==é"],
    ids=[
        "no padding",
        "half",
        "unused bits",
        "space",
        "newline",
        "goes on",
        "for the web",
        "only padding",
        "not ASCII",
    ],
)
def test_base64_that_is_not_what_we_write_is_refused(text: str) -> None:
    """Attack row 41: what stands for the same bytes in another way."""
    with pytest.raises(CryptoError):
        decode_base64(text)
