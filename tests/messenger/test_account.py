from __future__ import annotations

from pathlib import Path

import pytest

from canonical_json import canonical, decode
from crypto_utils import PrivateKeys, normalise_password
from errors import KeyFileError, StorageError, UsageError, WrongPasswordError
from identity import create_record, verify_ending
from messenger.account import Account, AccountFiles, generate, normalise_user_id, save, unlock
from records import Revocation

PASSWORD = normalise_password("correct horse")


pytestmark = pytest.mark.usefixtures("quick_kdf")


@pytest.fixture
def files(tmp_path: Path, some_keys: list[PrivateKeys]) -> AccountFiles:
    made = AccountFiles(tmp_path / "keys", "alice")
    save(Account("alice", some_keys[0], create_record(some_keys[0], "alice", created=1, suites=[1])), made, PASSWORD)
    return made


def test_the_account_comes_back(files: AccountFiles, some_keys: list[PrivateKeys]) -> None:
    account = unlock(files, PASSWORD)
    assert account.keys.public == some_keys[0].public
    assert (account.user_id, account.device_id, account.record.suites) == ("alice", 1, [1])
    assert sorted(path.name for path in files.keys.iterdir()) == [
        "alice_identity.json", "alice_private_key.pem", "alice_public_key.pem", "alice_revocation.json",
    ]  # fmt: skip


def test_a_new_account_has_keys_of_its_own() -> None:
    assert generate("alice", suites=[1], now=5).identity_hash != generate("alice", suites=[1], now=5).identity_hash


def test_the_revocation_certificate_is_the_account_s(files: AccountFiles) -> None:
    revocation = decode(Revocation, files.revocation.read_bytes())
    verify_ending(revocation, unlock(files, PASSWORD).record)
    assert files.revocation.stat().st_mode & 0o077 == 0


def test_existing_keys_are_never_overwritten(files: AccountFiles, some_keys: list[PrivateKeys]) -> None:
    """The seed's failure 31."""
    before = files.private_key.read_bytes()
    other = Account("alice", some_keys[1], create_record(some_keys[1], "alice", created=2, suites=[1]))
    with pytest.raises(StorageError, match="exists already"):
        save(other, files, PASSWORD)
    assert files.private_key.read_bytes() == before
    unlock(files, PASSWORD)


def test_a_wrong_password_changes_nothing(files: AccountFiles) -> None:
    """R-23."""
    before = files.private_key.read_bytes()
    with pytest.raises(WrongPasswordError):
        unlock(files, normalise_password("wrong horse"))
    assert files.private_key.read_bytes() == before


def test_keys_that_others_can_read_are_refused(files: AccountFiles) -> None:
    files.private_key.chmod(0o644)
    with pytest.raises(StorageError, match="read by others"):
        unlock(files, PASSWORD)


@pytest.mark.parametrize("damage", ["missing", "junk", "of another", "unsigned"])
def test_files_that_do_not_belong_together_are_refused(
    files: AccountFiles, some_keys: list[PrivateKeys], damage: str
) -> None:
    """R-21."""
    if damage == "missing":
        files.identity.unlink()
    elif damage == "junk":
        files.identity.write_bytes(b"junk")
    elif damage == "of another":
        files.identity.write_bytes(canonical(create_record(some_keys[1], "alice", created=1, suites=[1])))
    else:
        files.identity.write_bytes(files.identity.read_bytes().replace(b'"created":1,', b'"created":2,'))
    with pytest.raises(KeyFileError):
        unlock(files, PASSWORD)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("123456789", "123456789"),
        (" +49 (170) 123-45.67 ", "491701234567"),
        ("Alice", "alice"),
        ("bob.b-c_d", "bob.b-c_d"),
    ],
)
def test_a_number_or_a_handle_is_understood(typed: str, meant: str) -> None:
    assert normalise_user_id(typed) == meant


@pytest.mark.parametrize(
    "typed", ["", "x", "../x", "a/b", "a b", "١٢٣٤٥", "\x1b[31mred", "x" * 33, "-rf", "+", "Server"]
)
def test_anything_else_is_refused_and_shown_harmlessly(typed: str) -> None:
    with pytest.raises(UsageError) as raised:
        normalise_user_id(typed)
    assert "\x1b" not in str(raised.value)
