"""The account in one file: a copy of its database with its key files in it, under the account's password.

What is restored is older than what was there, so nothing of it that must be used once is used again: the account makes
new keys, which the old ones sign, and counts its messages from far above (docs/PROTOCOL.md section 7.4).
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from canonical_json import decode
from crypto_utils import PublicKeys, decrypt_private_keys
from errors import CryptoError, KeyFileError, RemoteProtocolError, StorageError, UsageError
from identity import verify_record
from key_files import move_key_file, read_key_file, write_key_file
from messenger.account import AccountFiles
from messenger.archive import Archive, Wanted
from messenger.contacts import Contacts
from messenger.database import Database
from messenger.keyring import Keyring
from messenger.opening import open_account
from messenger.server_address import key_file
from records import IdentityRecord

_KEYS_OF_TODAY: Final = ("skipped_key", "session", "own_prekey")  # a backup is no reason to keep them for years
_NAMES: Final = ("private_key", "identity", "public_key", "revocation")  # of AccountFiles


def write_backup(keyring: Keyring, database: Database, files: AccountFiles, path: Path) -> None:
    """Write an open account into one file, that its password opens.

    Raises:
        UsageError: There is a file of that name, or a rotation is under way.
        KeyFileError: One of the account's files is missing.
        StorageError: It cannot be written.
    """
    keyring.refuse_while_rotating()
    _refuse_to_overwrite(path)
    try:
        kept = {name: read_key_file(getattr(files, name), private=False) for name in _NAMES}
        kept["server"] = read_key_file(key_file(files.keys), private=False)
    except FileNotFoundError as error:
        message = f"there is no file {error.filename}"
        raise KeyFileError(message, hint="a backup holds all of an account's files: put back a copy") from error
    temporary = path.with_name(f".{path.name}.partial")
    database.copy_to(temporary, kept, leave_out=_KEYS_OF_TODAY)
    move_key_file(temporary, path)


def _refuse_to_overwrite(path: Path) -> None:
    try:
        if path.exists():
            message = f"{path} exists already"
            raise UsageError(message, hint="backups are never overwritten: choose another name")
        path.with_name(f".{path.name}.partial").unlink(missing_ok=True)
    except OSError as error:
        message = f"cannot write {path} ({error.strerror})"
        raise StorageError(message, hint="choose another place") from error


@dataclass(frozen=True, slots=True)
class Restored:
    """An account that was put back."""

    user_id: str
    newest_at: int | None  # when its last message was stored, seconds since 1970; None: it has none


def restore(path: Path, password: bytes, *, keys: Path, data: Path, now: int) -> Restored:
    """Put back an account from a backup, into a home that has none of its name.

    Raises:
        KeyFileError: The password does not open it, or it is no backup.
        UsageError: There is an account of this name here.
        StorageError: Something cannot be read or written.
    """
    _refuse_to_guess(path)
    kept = _read(path, password)
    user_id = decode(IdentityRecord, kept["identity"]).user_id
    files, database_path = AccountFiles(keys, user_id), data / f"{user_id}.db"
    for existing in (files.private_key, database_path):
        if existing.exists():
            message = f"there is an account {user_id} here already ({existing})"
            raise UsageError(message, hint="restore into another --home, or move the files away")
    write_key_file(database_path, path.read_bytes())
    with closing(Database(database_path, password)) as database, database.transaction():
        Contacts(database).skip_counters()
        database.run("DROP TABLE backup")
        database.run("INSERT INTO restored VALUES (?)", now)
    if not key_file(keys).exists():
        write_key_file(key_file(keys), kept["server"], mode=0o644)
    for name in reversed(_NAMES):  # the private keys last: where they are, the others are too
        write_key_file(getattr(files, name), kept[name], mode=0o644 if name in {"identity", "public_key"} else 0o600)
    keyring, database = open_account(files, database_path, password)
    with closing(database):
        keyring.prepare(now=now)
        newest = Archive(database).find(Wanted(), limit=1)
    return Restored(user_id, newest[-1].stored_at if newest else None)


def _refuse_to_guess(path: Path) -> None:
    """Tell a file that is not there, or may not be read, from one whose password is another."""
    try:
        path.open("rb").close()
    except FileNotFoundError:
        message = f"there is no file {path}"
        raise UsageError(message, hint="give the file that client.py backup has written") from None
    except OSError as error:
        message = f"cannot read {path} ({error.strerror})"
        raise StorageError(message, hint="check its permissions") from error


def _read(path: Path, password: bytes) -> dict[str, bytes]:
    """Return the files in a backup, after a look at whether they belong together."""
    try:
        kept = Database.read_copy(path, password)
    except StorageError as error:
        message = f"{path} does not open with this password, or is no backup"
        raise KeyFileError(message, hint="the password is that of the account when the backup was made") from error
    try:
        keys = decrypt_private_keys(kept["private_key"], password)
        together = set(kept) == {*_NAMES, "server"} and _public(kept["identity"]) == keys.public
    except (KeyError, CryptoError, RemoteProtocolError):
        together = False
    if not together:
        message = f"{path} is no backup of an account, or is damaged"
        raise KeyFileError(message, hint="give the file that client.py backup has written")
    return kept


def _public(record: bytes) -> PublicKeys:
    return verify_record(decode(IdentityRecord, record))
