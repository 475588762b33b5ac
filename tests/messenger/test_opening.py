"""Passwords that change, and identities that follow, on real files; whatever moment a crash chooses."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from canonical_json import canonical, decode
from crypto_utils import PrivateKeys, encrypt_private_keys, normalise_password
from errors import KeyFileError, StorageError, UsageError, WrongPasswordError
from identity import create_record, verify_ending
from key_files import write_key_file
from messenger import account as accounts
from messenger import opening
from messenger.account import Account, AccountFiles, save, succeed, unlock, unlock_next
from messenger.database import Database
from messenger.keyring import Keyring
from messenger.opening import change_password, open_account
from records import Revocation

OLD, NEW = normalise_password("correct horse"), normalise_password("battery 'staple'")


class Crash(BaseException):
    pass


pytestmark = pytest.mark.usefixtures("quick_kdf")


class Home:
    def __init__(self, folder: Path, keys: PrivateKeys) -> None:
        self.files, self.path = AccountFiles(folder / "keys", "alice"), folder / "data" / "alice.db"
        save(Account("alice", keys, create_record(keys, "alice", created=1, suites=[1])), self.files, OLD)
        with closing(self.open(OLD)[1]) as database, database.transaction():
            database.run("INSERT INTO seen VALUES ('bob', x'00', 1)")

    def open(self, password: bytes) -> tuple[Keyring, Database]:
        return open_account(self.files, self.path, password)

    def opens_whole(self, password: bytes) -> None:
        """Check that a password opens everything, and that nothing is left of a change."""
        keyring, database = self.open(password)
        with closing(database):
            assert database.rows("SELECT sender_id FROM seen") == [("bob",)]
            assert keyring.account.keys.public == unlock(self.files, password).keys.public
        assert not self.files.changed_private_key.exists()


@pytest.fixture
def home(tmp_path: Path, some_keys: list[PrivateKeys]) -> Home:
    return Home(tmp_path, some_keys[0])


def change(home: Home, password: bytes = NEW) -> None:
    keyring, database = home.open(OLD)
    with closing(database):
        change_password(keyring, database, home.files, password)


# ---------------------------------------------------------------- passwords


def test_a_new_password_opens_everything_and_the_old_one_nothing(home: Home) -> None:
    change(home)
    home.opens_whole(NEW)
    with pytest.raises(WrongPasswordError):
        home.open(OLD)
    with pytest.raises(KeyFileError):
        Database(home.path, OLD)
    assert home.files.private_key.stat().st_mode & 0o777 == 0o600


def test_the_database_holds_nothing_under_the_old_password(home: Home) -> None:
    """Not in its log either, which a thief may have copied the key of."""
    change(home)
    for path in home.path.parent.iterdir():
        if path.stat().st_size:
            with pytest.raises((KeyFileError, StorageError)):
                Database(path, OLD)


STEPS: list[tuple[object, str]] = [
    (opening, "write_key_file"),
    (Database, "change_password"),
    (opening, "move_key_file"),
]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(len(STEPS)))
def test_one_password_holds_after_a_crash_and_says_so(
    home: Home, monkeypatch: pytest.MonkeyPatch, number: int, after: bool
) -> None:
    """The program ends before or after each step of a change."""
    place, name = STEPS[number]
    step = getattr(place, name)

    def crash(*arguments: object, **options: object) -> None:
        if after:
            step(*arguments, **options)
        raise Crash

    with monkeypatch.context() as patched, pytest.raises(Crash):
        patched.setattr(place, name, crash)
        change(home)
    holds, other = (NEW, OLD) if (number, after) >= (1, True) else (OLD, NEW)
    with pytest.raises(WrongPasswordError):
        home.open(other)
    home.opens_whole(holds)
    with pytest.raises(WrongPasswordError):
        home.open(other)


def test_a_password_does_not_change_while_the_keys_do(home: Home) -> None:
    """The next keys lie under the old one."""
    keyring, database = home.open(OLD)
    with closing(database):
        keyring.prepare(now=5)
        with pytest.raises(UsageError, match="being rotated"):
            change_password(keyring, database, home.files, NEW)
    home.opens_whole(OLD)


# ---------------------------------------------------------------- the next identity


def test_the_next_identity_is_there_after_a_crash(home: Home) -> None:
    keyring, database = home.open(OLD)
    with closing(database):
        keyring.prepare(now=5)
        following = keyring.following
    assert following is not None
    keyring, database = home.open(OLD)
    with closing(database):
        assert keyring.account.record.epoch == 1
        assert keyring.following is not None
        assert keyring.following.record == following.record
        with database.transaction():
            keyring.retire(now=6)
        keyring.advance()
        assert keyring.opening(following.key_id) is keyring.account
        assert keyring.opening(bytes(16)) is None
    keyring, database = home.open(OLD)
    with closing(database):
        assert (keyring.account.record, keyring.following) == (following.record, None)
        before = keyring.opening(following.record.prev[:16])
        assert before is not None
        assert before.record.epoch == 1
        verify_ending(decode(Revocation, home.files.revocation.read_bytes()), before.record)  # it holds still
    assert not home.files.next_identity.exists()
    assert not home.files.next_private_key.exists()


@pytest.mark.parametrize("step", ["write_key_file", "_write_public", "_settle"])
def test_a_promotion_that_is_cut_short_is_finished_by_the_next_start(
    home: Home, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    keyring, database = home.open(OLD)
    with closing(database):
        keyring.prepare(now=5)
        with monkeypatch.context() as patched, pytest.raises(Crash):

            def crash(*_arguments: object, **_options: object) -> None:
                raise Crash

            patched.setattr(accounts, step, crash)
            keyring.advance()
    keyring, database = home.open(OLD)
    with closing(database):
        assert (keyring.account.record.epoch, keyring.following) == (2, None)
    assert not home.files.next_identity.exists()


def test_a_next_identity_that_was_not_written_whole_is_none(home: Home) -> None:
    account = unlock(home.files, OLD)
    following = succeed(account, suites=[1], now=5)
    write_key_file(home.files.next_identity, canonical(following.record))
    assert unlock_next(account, home.files, OLD) is None
    write_key_file(home.files.next_private_key, encrypt_private_keys(account.keys, OLD, iterations=600_000))
    assert unlock_next(account, home.files, OLD) is None  # not its keys
    home.files.next_identity.unlink()
    assert unlock_next(account, home.files, OLD) is None
    other = create_record(following.keys, "alice", created=5, suites=[1])
    write_key_file(home.files.next_identity, canonical(other))
    assert unlock_next(account, home.files, OLD) is None  # does not follow
    home.opens_whole(OLD)


def test_a_place_that_cannot_be_written_is_one_error(home: Home) -> None:
    keyring, database = home.open(OLD)
    with closing(database):
        keyring.prepare(now=5)
        home.files.next_private_key.unlink()
        with pytest.raises(StorageError, match="cannot replace"):
            keyring.advance()
