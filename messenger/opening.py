"""From a password to an open account: its keys and its database, which change their password together.

A new password is first written to a copy of the key file, then to the database, then the copy takes the place of the
key file. So the database tells which of the two passwords holds, whatever moment a crash has chosen.
"""

from __future__ import annotations

from pathlib import Path

from crypto_utils import encrypt_private_keys
from errors import KeyFileError, WrongPasswordError
from key_files import move_key_file, write_key_file
from messenger.account import AccountFiles, Vault, unlock, unlock_next
from messenger.database import Database
from messenger.keyring import Keyring


def open_account(files: AccountFiles, path: Path, password: bytes) -> tuple[Keyring, Database]:
    """Open an account's keys and its database.

    Args:
        files: Its key files.
        path: Its database.
        password: From `normalise_password`.

    Raises:
        WrongPasswordError: The password opens nothing, or is not the one that holds.
        KeyFileError: A file is damaged.
        StorageError: A file cannot be read or written.
    """
    changed = files.changed_private_key
    try:
        account = unlock(files, password)
    except WrongPasswordError:
        if not changed.exists():
            raise
        return _open_with_new(files, path, password)
    try:
        database = Database(path, password)
    except KeyFileError as error:
        if not changed.exists():
            raise
        message = "the password was changed"
        raise WrongPasswordError(message, hint="use the new one") from error
    changed.unlink(missing_ok=True)  # the change was cut short before it was one
    following = unlock_next(account, files, password)
    return Keyring(account, database, Vault(files, password), following=following), database


def _open_with_new(files: AccountFiles, path: Path, password: bytes) -> tuple[Keyring, Database]:
    """Finish a change of password, if the database has seen it."""
    account = unlock(files, password, private_key=files.changed_private_key)
    try:
        database = Database(path, password)
    except KeyFileError as error:
        message = "the password was not changed, that was interrupted"
        raise WrongPasswordError(message, hint="use the old one") from error
    move_key_file(files.changed_private_key, files.private_key)
    return Keyring(account, database, Vault(files, password)), database


def change_password(keyring: Keyring, database: Database, files: AccountFiles, password: bytes) -> None:
    """Protect an open account by another password.

    Raises:
        UsageError: A rotation is under way, whose keys are under the old one.
        StorageError: A file cannot be written.
    """
    keyring.refuse_while_rotating()
    write_key_file(files.changed_private_key, encrypt_private_keys(keyring.account.keys, password))
    database.change_password(password)
    move_key_file(files.changed_private_key, files.private_key)
