"""The server's key: its files, its certificate, and the way from one key to the next."""

from __future__ import annotations

import datetime as dt
import shlex
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from Crypto.IO import PEM
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import server_key
from canonical_json import canonical
from crypto_utils import Label, PrivateKeys, encrypt_private_keys, fingerprint, sign, spki
from errors import CryptoError, KeyFileError, SetupError
from key_files import write_key_file
from server_key import (
    HOP_FILE,
    LOG_KEY_FILE,
    Hop,
    ServerKey,
    certificate_key,
    create_hop,
    generate_server_key,
    load_log_key,
    load_server_key,
    rotate_server_key,
    self_signed_certificate,
    server_key_from_pem,
    server_key_to_pem,
    verify_hop,
)

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command on this machine")
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def der(key: ServerKey) -> bytes:
    return bytes(PEM.decode(self_signed_certificate(key, NOW).decode())[0])


class Crash(BaseException):
    pass


# ---------------------------------------------------------------- files


def test_the_server_s_key_comes_back() -> None:
    key = generate_server_key()
    assert server_key_from_pem(server_key_to_pem(key)).private_numbers() == key.private_numbers()


def test_other_server_keys_are_refused(some_keys: list[PrivateKeys]) -> None:
    keys = some_keys[0]
    small = rsa.generate_private_key(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    curve = keys.ed25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    encrypted = encrypt_private_keys(keys, b"password", iterations=600_000)
    for data in (b"", b"junk", small, curve, encrypted):
        with pytest.raises(KeyFileError):
            server_key_from_pem(data)


def test_a_key_pair_is_made_once(tmp_path: Path) -> None:
    key = load_server_key(tmp_path)
    assert load_server_key(tmp_path).private.private_numbers() == key.private.private_numbers()
    public = tmp_path / "server_public_key.pem"
    public.unlink()
    load_server_key(tmp_path)  # writes what can be computed
    assert public.exists()


def test_a_public_key_of_another_server_is_not_published(tmp_path: Path) -> None:
    """The seed's failure 32: client and server in one folder are no trouble, two servers are."""
    load_server_key(tmp_path / "one")
    load_server_key(tmp_path / "two")
    public = tmp_path / "two" / "server_public_key.pem"
    public.write_bytes((tmp_path / "one" / "server_public_key.pem").read_bytes())
    with pytest.raises(SetupError, match="does not belong"):
        load_server_key(tmp_path / "two")
    (tmp_path / "two" / "server_private_key.pem").unlink()
    with pytest.raises(SetupError, match="is there without"):
        load_server_key(tmp_path / "two")


# ---------------------------------------------------------------- from one key to the next


def test_a_rotated_key_leads_from_the_one_before(tmp_path: Path) -> None:
    before = load_server_key(tmp_path)
    assert before.hop is None
    after = rotate_server_key(tmp_path)
    assert fingerprint(after.public) != fingerprint(before.public)
    assert after.hop is not None
    assert spki(verify_hop(after.hop, after.public)) == spki(before.public)
    again = load_server_key(tmp_path)
    assert (spki(again.public), again.hop) == (spki(after.public), after.hop)


@pytest.mark.parametrize("writes", [1, 2])
def test_a_rotation_that_is_cut_short_leaves_the_old_key_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    load_server_key(tmp_path)
    before, left = rotate_server_key(tmp_path), writes
    write = write_key_file

    def crash(path: Path, data: bytes, *, mode: int = 0o600) -> None:
        nonlocal left
        if left == 0:
            raise Crash
        left -= 1
        write(path, data, mode=mode)

    with monkeypatch.context() as patched, pytest.raises(Crash):
        patched.setattr(server_key, "write_key_file", crash)
        rotate_server_key(tmp_path)
    now = load_server_key(tmp_path)
    if writes == 1:
        assert (spki(now.public), now.hop) == (
            spki(before.public),
            before.hop,
        )  # clients of the key before follow still
    else:
        assert now.hop is not None
        assert now.hop.key == spki(before.public)
    assert load_server_key(tmp_path).hop == now.hop


def test_a_damaged_hop_is_an_error_and_one_of_another_key_is_none(tmp_path: Path) -> None:
    key = load_server_key(tmp_path)
    other = create_hop(generate_server_key(), generate_server_key().public_key())
    (tmp_path / HOP_FILE).write_bytes(canonical(other))
    assert load_server_key(tmp_path).hop is None
    (tmp_path / HOP_FILE).write_bytes(b"{}")
    with pytest.raises(KeyFileError, match="damaged"):
        load_server_key(tmp_path)
    assert fingerprint(key.public)


def test_a_hop_is_signed_for_this_purpose_by_the_key_that_it_names(some_keys: list[PrivateKeys]) -> None:
    before, after = some_keys[0].rsa, some_keys[1].rsa.public_key()
    hop = create_hop(before, after)
    forged = [
        msgspec.structs.replace(hop, key=spki(some_keys[2].rsa.public_key())),
        msgspec.structs.replace(hop, signature=bytes(256)),
        msgspec.structs.replace(hop, signature=sign(before, Label.IDENTITY, spki(after))),
        msgspec.structs.replace(hop, key=bytes(300)),
    ]
    for each in forged:
        with pytest.raises(CryptoError):
            verify_hop(each, after)
    with pytest.raises(CryptoError):
        verify_hop(hop, some_keys[2].rsa.public_key())


# ---------------------------------------------------------------- certificate


def test_the_certificate_holds_the_key_and_the_one_before(some_keys: list[PrivateKeys]) -> None:
    key, before = some_keys[0].rsa, some_keys[1].rsa
    assert certificate_key(der(ServerKey(key, None))) == (key.public_key(), None)
    hop = create_hop(before, key.public_key())
    assert certificate_key(der(ServerKey(key, hop))) == (key.public_key(), before.public_key())


def test_a_certificate_with_a_hop_that_is_none_is_refused(some_keys: list[PrivateKeys]) -> None:
    key, before = some_keys[0].rsa, some_keys[1].rsa
    elsewhere = create_hop(before, some_keys[2].rsa.public_key())
    for hop in (elsewhere, Hop(key=bytes(256), signature=bytes(256)), Hop(key=bytes(600), signature=bytes(256))):
        with pytest.raises(CryptoError):
            certificate_key(der(ServerKey(key, hop)))


def test_a_certificate_of_an_unknown_version_is_refused(some_keys: list[PrivateKeys]) -> None:
    """Found by fuzzing: the library has an exception of its own for it."""
    good = der(ServerKey(some_keys[0].rsa, None))
    bad = good.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020106"), 1)
    assert bad != good
    with pytest.raises(CryptoError):
        certificate_key(bad)


@needs_openssl
def test_other_extensions_are_passed_over() -> None:
    made = subprocess.run(
        shlex.split("openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -outform DER -subj /CN=x"),
        capture_output=True,
        check=True,
    ).stdout
    assert certificate_key(made)[1] is None


@needs_openssl
def test_other_certificates_are_refused() -> None:
    curve = subprocess.run(
        shlex.split("openssl req -x509 -newkey ed25519 -nodes -keyout /dev/null -outform DER -subj /CN=x"),
        capture_output=True,
        check=True,
    ).stdout
    for data in (b"", b"junk", curve):
        with pytest.raises(CryptoError):
            certificate_key(data)


# ---------------------------------------------------------------- the key of the key log


def test_the_key_of_the_log_is_made_once_and_stays_when_the_servers_changes(tmp_path: Path) -> None:
    load_server_key(tmp_path)
    key = load_log_key(tmp_path, may_make=True)
    rotate_server_key(tmp_path)
    again = load_log_key(tmp_path, may_make=False)
    assert again.private_numbers() == key.private_numbers()
    assert again.private_numbers() != load_server_key(tmp_path).private.private_numbers()
    assert (tmp_path / LOG_KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_log_without_its_key_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="is missing"):
        load_log_key(tmp_path, may_make=False)
    assert not (tmp_path / LOG_KEY_FILE).exists()
    (tmp_path / LOG_KEY_FILE).touch(mode=0o600)
    (tmp_path / LOG_KEY_FILE).write_text("no key")
    with pytest.raises(KeyFileError, match=r"log_private_key\.pem is damaged") as raised:
        load_log_key(tmp_path, may_make=True)
    assert "one that lies" in str(raised.value.hint)
    assert (tmp_path / LOG_KEY_FILE).read_text() == "no key"
