"""My own identity: its files, made once and unlocked at every start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from canonical_json import canonical, decode
from crypto_utils import PrivateKeys, decrypt_private_keys, encrypt_private_keys, public_key_to_pem
from errors import CryptoError, KeyFileError, RemoteProtocolError, StorageError, UsageError
from identity import (
    Predecessor,
    create_ending,
    create_record,
    identity_hash,
    key_id,
    verify_record,
    verify_successor,
)
from key_files import move_key_file, read_key_file, write_key_file
from records import IdentityRecord, Revocation, is_user_id

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
    def changed_private_key(self) -> Path:
        """The private keys under a new password, while it is being changed."""
        return self.keys / f"{self.user_id}_private_key.changed.pem"

    @property
    def next_private_key(self) -> Path:
        """The private keys of an identity that the server may not know yet."""
        return self.keys / f"{self.user_id}_private_key.next.pem"

    @property
    def next_identity(self) -> Path:
        """Its record."""
        return self.keys / f"{self.user_id}_identity.next.json"

    @property
    def revocation(self) -> Path:
        """The certificate that ends the account."""
        return self.keys / f"{self.user_id}_revocation.json"

    def revocation_of(self, epoch: int) -> Path:
        """The certificate of a later identity, for a server that knows none before it."""
        return self.keys / f"{self.user_id}_revocation_{epoch}.json"


def accounts_in(keys: Path) -> list[str]:
    """Return whose private keys are in a folder, by name."""
    suffix = "_private_key.pem"
    names = (path.name.removesuffix(suffix) for path in keys.glob(f"*{suffix}"))
    return sorted(name for name in names if is_user_id(name))


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
        message = f"{text!r} is neither a phone number nor a handle"
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


def succeed(account: Account, *, suites: list[int], now: int) -> Account:
    """Make the identity that follows an account's present one, in memory: all keys are new, and the old one signs them.

    Args:
        account: The account.
        suites: What this program can open, ascending.
        now: Seconds since 1970.
    """
    keys = PrivateKeys.generate()
    before = Predecessor(account.record, account.keys)
    record = create_record(keys, account.user_id, created=now, suites=suites, before=before)
    return Account(account.user_id, keys, record, account.device_id)


def save(account: Account, files: AccountFiles, password: bytes) -> None:
    """Write a new account's files, the private keys last: where they are, the others are too.

    Raises:
        StorageError: They cannot be written, or there are some already.
    """
    if files.private_key.exists():
        message = f"{files.private_key} exists already"
        raise StorageError(message, hint="it is never overwritten: move it away if you are sure")
    save_certificate(account, files.revocation)
    _write_public(account, files)
    write_key_file(files.private_key, encrypt_private_keys(account.keys, password))


def save_certificate(account: Account, path: Path) -> None:
    """Write the certificate that ends an account, signed by its present identity.

    Raises:
        StorageError: It cannot be written.
    """
    revocation = create_ending(Revocation, account.keys, account.record, created=account.record.created)
    write_key_file(path, canonical(revocation))


def _write_public(account: Account, files: AccountFiles) -> None:
    write_key_file(files.identity, canonical(account.record), mode=0o644)
    write_key_file(files.public_key, public_key_to_pem(account.keys.public.rsa), mode=0o644)


# ---------------------------------------------------------------- the next identity


@dataclass(frozen=True, slots=True)
class Vault:
    """An account's files, and the password that opens them."""

    files: AccountFiles
    password: bytes = field(repr=False)

    def save_next(self, account: Account) -> None:
        """Write the next identity beside the present one, before the server hears of it.

        Raises:
            StorageError: It cannot be written.
        """
        write_key_file(self.files.next_identity, canonical(account.record), mode=0o644)
        write_key_file(self.files.next_private_key, encrypt_private_keys(account.keys, self.password))

    def promote(self, account: Account) -> None:
        """Make the next identity the present one. Cut short, the next `unlock` goes on with it.

        Raises:
            StorageError: It cannot be written.
        """
        move_key_file(self.files.next_private_key, self.files.private_key)  # from here the present record is another's
        _settle(account, self.files)


def _settle(account: Account, files: AccountFiles) -> None:
    _write_public(account, files)
    files.next_identity.unlink(missing_ok=True)


# ---------------------------------------------------------------- unlock


def unlock(files: AccountFiles, password: bytes, *, private_key: Path | None = None) -> Account:
    """Read an account's files.

    Args:
        files: They.
        password: From `normalise_password`.
        private_key: Where the private keys are, if not in their place.

    Raises:
        WrongPasswordError: The password does not open the private keys.
        KeyFileError: A file is damaged, missing, or does not belong to the others.
        StorageError: A file cannot be read, or others can read the private keys.
    """
    try:
        keys = decrypt_private_keys(read_key_file(private_key or files.private_key, private=True), password)
        record, following = _read_record(files.identity), _read_following(files)
    except (FileNotFoundError, RemoteProtocolError, CryptoError) as error:
        message = f"the identity of {files.user_id} is missing or damaged ({files.identity.name})"
        raise KeyFileError(message, hint="put back a copy of the file; nothing was changed") from error
    if following is not None and _belongs(following, keys, files):  # `promote` was cut short
        account = Account(files.user_id, keys, following)
        _settle(account, files)
        return account
    if not _belongs(record, keys, files):
        message = f"{files.identity.name} does not belong to {files.private_key.name}"
        raise KeyFileError(message, hint="put back the files that were written together; nothing was changed")
    return Account(files.user_id, keys, record)


def unlock_next(account: Account, files: AccountFiles, password: bytes) -> Account | None:
    """Read the next identity of an unlocked account, if there is one; what was not written whole is none.

    Raises:
        KeyFileError: A file is damaged.
        StorageError: A file cannot be read.
    """
    try:
        pem = read_key_file(files.next_private_key, private=True)
        record = _read_following(files)
    except FileNotFoundError:
        return None
    if record is None:
        return None
    keys = decrypt_private_keys(pem, password)
    try:
        verify_successor(record, account.record)
    except CryptoError:
        return None
    return Account(files.user_id, keys, record, account.device_id) if _belongs(record, keys, files) else None


def _read_record(path: Path) -> IdentityRecord:
    record = decode(IdentityRecord, read_key_file(path, private=False))
    verify_record(record)
    return record


def _read_following(files: AccountFiles) -> IdentityRecord | None:
    try:
        return _read_record(files.next_identity)
    except FileNotFoundError:
        return None


def _belongs(record: IdentityRecord, keys: PrivateKeys, files: AccountFiles) -> bool:
    return record.user_id == files.user_id and verify_record(record) == keys.public
