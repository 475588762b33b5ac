"""My own identity: its files, made once and unlocked at every start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from crypto_utils import PrivateKeys, decrypt_private_keys, encrypt_private_keys, public_key_to_pem
from errors import CryptoError, KeyFileError, RemoteProtocolError, StorageError, UsageError
from identity import create_record, create_revocation, identity_hash, key_id, verify_record
from key_files import read_key_file, write_key_file
from protocol import IdentityRecord, canonical, decode, is_user_id

FIRST_DEVICE = 1  # the device that registered


@dataclass(frozen=True, slots=True)
class Account:
    """An unlocked account.

    Attributes:
        user_id: Its name.
        keys: Its private keys.
        record: Its published identity.
        device_id: Which of its devices this is.
    """

    user_id: str
    keys: PrivateKeys = field(repr=False)
    record: IdentityRecord = field(repr=False)
    device_id: int = FIRST_DEVICE

    @property
    def identity_hash(self) -> bytes:
        """The 32-byte hash of the published identity."""
        return identity_hash(self.record)

    @property
    def key_id(self) -> bytes:
        """The 16 bytes by which envelopes name this identity."""
        return key_id(self.record)


@dataclass(frozen=True, slots=True)
class AccountFiles:
    """Where an account's files are; keys/README.md says which is what."""

    keys: Path
    user_id: str

    @property
    def private_key(self) -> Path:
        """The four private keys, encrypted."""
        return self.keys / f"{self.user_id}_private_key.pem"

    @property
    def public_key(self) -> Path:
        """The RSA public key."""
        return self.keys / f"{self.user_id}_public_key.pem"

    @property
    def identity(self) -> Path:
        """The published identity record."""
        return self.keys / f"{self.user_id}_identity.json"

    @property
    def revocation(self) -> Path:
        """The certificate that ends the account."""
        return self.keys / f"{self.user_id}_revocation.json"


def normalise_user_id(text: str) -> str:
    """Return the user id that a person means: a phone number less its punctuation, or a handle.

    Raises:
        UsageError: It can be neither.
    """
    name = text.strip().lower()
    digits = name.translate({ord(mark): None for mark in " -()/."}).removeprefix("+")
    if digits.isascii() and digits.isdigit():
        name = digits
    if not is_user_id(name):
        message = f"{text!a} is neither a phone number nor a handle"
        hint = "3 to 32 of a-z, 0-9, dot, dash and underscore, not dot, dash or underscore first; not relay, not server"
        raise UsageError(message, hint=hint)
    return name


def generate(user_id: str, *, suites: list[int], now: int) -> Account:
    """Make a new account in memory.

    Args:
        user_id: Its name, as `normalise_user_id` returns it.
        suites: What this program can open, ascending.
        now: Seconds since 1970.
    """
    keys = PrivateKeys.generate()
    return Account(user_id, keys, create_record(keys, user_id, created=now, suites=suites))


def save(account: Account, files: AccountFiles, password: bytes) -> None:
    """Write a new account's files, the private keys last: where they are, the others are too.

    Raises:
        StorageError: They cannot be written, or there are some already.
    """
    if files.private_key.exists():
        message = f"{files.private_key} exists already"
        raise StorageError(message, hint="it is never overwritten: move it away if you are sure")
    revocation = create_revocation(account.keys, account.record, created=account.record.created)
    write_key_file(files.public_key, public_key_to_pem(account.keys.public.rsa), mode=0o644)
    write_key_file(files.identity, canonical(account.record), mode=0o644)
    write_key_file(files.revocation, canonical(revocation))
    write_key_file(files.private_key, encrypt_private_keys(account.keys, password))


def unlock(files: AccountFiles, password: bytes) -> Account:
    """Read an account's files.

    Raises:
        WrongPasswordError: The password does not open the private keys.
        KeyFileError: A file is damaged, missing, or does not belong to the others.
        StorageError: A file cannot be read, or others can read the private keys.
    """
    try:
        keys = decrypt_private_keys(read_key_file(files.private_key, private=True), password)
        record = decode(IdentityRecord, read_key_file(files.identity, private=False))
        public = verify_record(record)
    except (FileNotFoundError, RemoteProtocolError, CryptoError) as error:
        message = f"the identity of {files.user_id} is missing or damaged ({files.identity.name})"
        raise KeyFileError(message, hint="put back a copy of the file; nothing was changed") from error
    if record.user_id != files.user_id or public != keys.public:
        message = f"{files.identity.name} does not belong to {files.private_key.name}"
        raise KeyFileError(message, hint="put back the files that were written together; nothing was changed")
    return Account(files.user_id, keys, record)
