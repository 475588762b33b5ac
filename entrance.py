"""From a person at a prompt to an unlocked, registered account.

The questions are those of the classroom project. What must never be here is what the account is then used for.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from crypto_utils import ADVISED_PASSWORD, normalise_password
from errors import Code, KeyFileError, Refused, UsageError, WrongPasswordError, describe
from identity import CODE_DIGITS
from key_files import read_key_file
from messenger.account import (
    Account,
    AccountFiles,
    Vault,
    accounts_in,
    generate,
    normalise_user_id,
    save,
    save_certificate,
)
from messenger.database import Database
from messenger.keyring import Keyring
from messenger.opening import open_account
from messenger.server_address import ServerAddress, locate
from messenger.suites import SPOKEN
from messenger.ui import Face
from messenger.ui.plain import LineReader
from session import register, request_code, wall_time

PASSWORD_TRIES: Final = 3
WHERE_IT_IS: Final = ": its operator has it, usually in the server's own terminal"
NO_DATABASE: Final = (
    "{} was not there: history, contacts, and whom you have verified begin anew, and the first key of each contact is"
    " believed again. If you have a copy of the file, or a backup, stop here and put it back."
)


class NoAnswerError(UsageError):
    """A question came to the end of the input; asking again is no use."""


# ---------------------------------------------------------------- prompts


class Prompts:
    """The questions before the conversation, in the words of the classroom project."""

    def __init__(self, options: argparse.Namespace, face: Face, lines: LineReader) -> None:
        """Ask on a face, unless the options answer."""
        self._options = options
        self._face = face
        self._lines = lines

    def _ask(self, prompt: str, flag: str, *, secret: bool = False) -> str:
        try:
            return self._face.ask(prompt, secret=secret)
        except EOFError:
            message = f"no answer to: {prompt.strip()}"
            raise NoAnswerError(message, hint=f"use {flag}") from None

    def user_id(self) -> str:
        """Return whose account it is.

        Raises:
            UsageError: What was given cannot be a user id.
        """
        if self._options.user is not None:
            return normalise_user_id(self._options.user)
        flag = "--user, or --plain to answer by lines of standard input"
        accounts = accounts_in(self._options.home / "keys")
        only = accounts[0] if len(accounts) == 1 else ""
        question = f"Enter your phone number (or nothing for {only}): " if only else "Enter your phone number: "
        while True:
            answer = self._ask(question, flag).strip() or only
            try:
                return normalise_user_id(answer)
            except UsageError as error:
                self._face.tell(f"! {describe(error)}")

    def code(self) -> str:
        """Return the verification code."""
        while True:
            code = self._ask(
                "Enter the verification code shown above: ", "--plain to answer by lines of standard input"
            ).strip()
            if len(code) == CODE_DIGITS and code.isascii() and code.isdigit():
                return code
            self._face.tell(f"! a code has {CODE_DIGITS} digits")

    def _password(self, prompt: str) -> bytes:
        path = self._options.password_file
        if path is not None:
            return self._from_file(path, "--password-file")
        hint = "--password-file PATH, or --plain to answer by lines of standard input"
        return normalise_password(self._ask(prompt, hint, secret=True))

    def password(self) -> bytes:
        """Return the password of something that was made before."""
        return self._password("Enter your password: ")

    def _from_file(self, path: str, option: str) -> bytes:
        """Return the password in the first line of a file; - is standard input."""
        if path == "-":
            return normalise_password(self._lines.read() or "")
        try:
            text = read_key_file(Path(path), private=True).decode()
        except FileNotFoundError:
            message = f"there is no file {path}"
            raise UsageError(message, hint=f"give {option} a file whose first line is the password") from None
        except UnicodeDecodeError:
            message = f"{path} is not text"
            raise UsageError(message, hint="save it as UTF-8") from None
        return normalise_password(text.partition("\n")[0].removesuffix("\r"))

    def other_password(self) -> bytes:
        """Return another password for an account that has one, typed twice.

        Raises:
            UsageError: It was not possible to get one.
        """
        path = self._options.new_password_file
        if path is not None:
            return self._from_file(path, "--new-password-file")
        return self._twice("Enter the new password: ")

    def new_password(self) -> bytes:
        """Return the password of a new account, typed twice.

        Raises:
            UsageError: It was not possible to get one.
        """
        if self._options.password_file is not None:
            return self._password("")
        return self._twice("Create a password to protect your private key: ")

    def _twice(self, prompt: str) -> bytes:
        hint = "--plain to answer by lines of standard input"
        for _ in range(PASSWORD_TRIES):
            try:
                password = normalise_password(self._ask(prompt, hint, secret=True))
                if normalise_password(self._ask("Confirm your password: ", hint, secret=True)) == password:
                    if len(password.decode()) < ADVISED_PASSWORD:
                        self._face.tell(f"* {ADVISED_PASSWORD} characters or more would be safer")
                    return password
                self._face.tell("! the two passwords differ")
            except NoAnswerError:
                raise
            except UsageError as error:
                self._face.tell(f"! {describe(error)}")
        message = "no password was chosen"
        raise UsageError(message, hint="start again")

    def unlock(self, files: AccountFiles, path: Path) -> tuple[Keyring, Database]:
        """Open the account's files and its database with its password: three tries, one if it comes from a file.

        Raises:
            KeyFileError: No password opened it, or a file is damaged.
        """
        from_file, is_there = self._options.password_file is not None, path.exists() and path.stat().st_size > 0
        if not is_there and self._options.action not in {None, "register"}:
            message = f"there is no database {path}"
            hint = "put back a copy of it, or restore a backup; to begin anew, start client.py without an action"
            raise KeyFileError(message, hint=hint)
        tries = 1 if from_file else PASSWORD_TRIES
        for attempt in range(1, tries + 1):
            try:
                opened = open_account(files, path, self._password("Enter your password: "))
            except NoAnswerError:
                raise
            except (WrongPasswordError, UsageError) as error:
                if from_file and isinstance(error, UsageError):
                    raise
                self._face.tell(f"! {error} (attempt {attempt} of {tries})")
            else:
                if not is_there:
                    self._face.tell(f"! {NO_DATABASE.format(path)}")
                return opened
        message = "Authentication failed: Maximum attempts exceeded"
        raise KeyFileError(message, hint="the password cannot be reset: it protects the key on this machine only")


# ---------------------------------------------------------------- getting an account


class Entrance:
    """Gets a person to an unlocked, registered account."""

    def __init__(self, options: argparse.Namespace, face: Face, prompts: Prompts) -> None:
        """Work in the home that the options name."""
        self._face = face
        self._prompts = prompts
        self.keys: Path = options.home / "keys"
        self.address: ServerAddress = locate(options.server, self.keys)

    def create(self, user_id: str, path: Path) -> tuple[Keyring, Database]:
        """Register a new account; its keys are on disk, encrypted, before the server learns of it.

        Args:
            user_id: Its name.
            path: Where its database shall be.

        Raises:
            SecureChatError: The server refuses, or cannot be reached.
        """
        account = generate(user_id, suites=list(SPOKEN), now=wall_time())
        request_code(self.address, self.keys, account)
        self._face.tell(f"* the server has sent a verification code for {user_id}{WHERE_IT_IS}")
        code = self._prompts.code()
        password = self._prompts.new_password()
        files = AccountFiles(self.keys, user_id)
        save(account, files, password)
        database = Database(path, password)
        self._confirm(account, code)
        self._face.tell(f"* {files.revocation} ends the account without the password: keep a copy of it elsewhere")
        return Keyring(account, database, Vault(files, password)), database

    def register_again(self, account: Account) -> None:
        """Register an account whose keys exist: the server forgot it, or its registration was cut short.

        Raises:
            SecureChatError: The server refuses, or cannot be reached.
        """
        request_code(self.address, self.keys, account)
        unknown = f"* the server does not know {account.user_id} yet; it has sent a verification code"
        self._face.tell(unknown + WHERE_IT_IS)
        code = self._prompts.code()
        if account.record.epoch > 1:  # it will know no other identity, and so no certificate of one
            path = AccountFiles(self.keys, account.user_id).revocation_of(account.record.epoch)
            save_certificate(account, path)
            self._face.tell(f"* {path} is the certificate that ends the account there: keep a copy of it, too")
        self._confirm(account, code)

    def _confirm(self, account: Account, code: str) -> None:
        while True:
            try:
                register(self.address, self.keys, account, code)
            except Refused as refused:
                if refused.code not in {Code.WRONG_CODE, Code.CODE_EXPIRED}:
                    raise
                self._face.tell(f"! {describe(refused)}")
                if refused.code is Code.CODE_EXPIRED:
                    request_code(self.address, self.keys, account)
                    self._face.tell(f"* the server has sent a new one{WHERE_IT_IS}")
                code = self._prompts.code()
            else:
                self._face.tell(f"* registered as {account.user_id}")
                return
