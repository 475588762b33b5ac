"""The client: `python client.py`. Options, which face shows it, the one-shot actions and the exit code.

It joins three parts that know nothing of each other: session.py, which has the line to the server, messenger/, which
knows what to say, and a face of messenger/ui, which has the terminal. What must never be here is a rule.
"""

from __future__ import annotations

import preflight

preflight.check()

import argparse
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import command_line
from canonical_json import decode
from client_options import parse_arguments
from daemon import Daemon
from entrance import Entrance, Prompts
from errors import (
    Code,
    ExitCode,
    KeyFileError,
    Refused,
    RemoteProtocolError,
    SecureChatError,
    UsageError,
)
from key_files import read_key_file
from local import Local
from messenger.account import AccountFiles
from messenger.backup import restore
from messenger.engine import Messenger
from messenger.preferences import Preferences
from messenger.ui import Face
from messenger.ui.plain import LineReader, PlainFace
from messenger.ui.terminal import take_over
from messenger.ui.text import restored_lines
from notifier import Notifier
from one_shot import OneShot
from process_lock import ProcessLock
from records import Revocation
from session import Session, revoke, wall_time
from talk import Talk

LEAVE_TERMINAL_S: Final = 0.5  # how long the outbox may still go out when a person leaves
LEAVE_PIPE_S: Final = 10.0  # and when the input was a pipe, which ends as soon as it is read
SPENT_BACKUP: Final = (
    "the account has had other keys since this backup was made, or it was restored before: go on with the client that"
    " has them, which gets all that is written to you. What is here can only be read: client.py history, search, export"
    "; if those keys are not yours: client.py keys revoke"
)


class Terminated(BaseException):
    """SIGTERM, or the terminal was closed: leave now; the outbox stays on disk."""


def choose_face(options: argparse.Namespace, lines: LineReader) -> Face:
    """Return the live face on a real terminal, and the plain one everywhere else."""
    dumb = os.environ.get("TERM", "dumb").lower() in {"dumb", "unknown"}  # as prompt_toolkit takes them
    terminal = sys.stdin.isatty() and sys.stdout.isatty() and not dumb
    if options.plain or options.action is not None or not terminal:
        answers = options.plain and options.action != "daemon"  # whose input is requests
        return PlainFace(lines, sys.stdout, sys.stderr, answers=answers)
    from messenger.ui.line import LineFace  # noqa: PLC0415 - a quarter of the start, which other actions need not

    return LineFace()


# ---------------------------------------------------------------- what the program does


class Client:
    """One run of the program for one account."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Choose a face."""
        self._options = options
        take_over(sys.stdin.fileno())
        self._lines = LineReader(sys.stdin.fileno())
        self._face = choose_face(options, self._lines)
        self._prompts = Prompts(options, self._face, self._lines)
        self._offline_told = ""

    def terminate(self, number: int, _frame: object) -> None:
        """Leave because of a signal.

        Raises:
            Terminated: Here, unless the face asks or converses, and raises it itself.
        """
        terminated = Terminated(number)
        if not self._face.interrupt(terminated):
            raise terminated

    def run(self) -> None:
        """Do what the options ask for.

        Raises:
            SecureChatError: It could not be done.
        """
        if self._options.action == "config":
            for each in self._options.settings:
                self._face.show(each.json if self._options.json else each.line)
            return
        if self._options.action == "restore":
            self._restore()
            return
        entrance = Entrance(self._options, self._face, self._prompts)
        if self._options.action == "keys" and self._options.keys == "revoke":
            self._revoke(entrance)
            return
        user_id = self._prompts.user_id()
        data: Path = self._options.home / "data"
        self._refuse_unknown(AccountFiles(entrance.keys, user_id))
        with ProcessLock(data / f"{user_id}.lock", f"the account {user_id}"):
            files, path = AccountFiles(entrance.keys, user_id), data / f"{user_id}.db"
            if files.private_key.exists():
                keyring, database = self._prompts.unlock(files, path)
            else:
                keyring, database = entrance.create(user_id, path)
            with closing(database):
                messenger = Messenger(keyring, database, self._preferences)
                messenger.tidy(now=wall_time())
                self._act(entrance, messenger, files)

    def _refuse_unknown(self, files: AccountFiles) -> None:
        """Refuse an action of an account that is not there, before anything is made for it.

        Raises:
            UsageError: It is not.
        """
        if self._options.action not in {None, "register"} and not files.private_key.exists():
            message = f"there is no account {files.user_id} in {self._options.home}"
            hint = "create it: client.py register; or put it back from a backup: client.py restore; or name its --home"
            raise UsageError(message, hint=hint)

    def _act(self, entrance: Entrance, messenger: Messenger, files: AccountFiles) -> None:
        """Run the action; an account that the server does not know is registered on the way."""
        local = Local(self._options, self._face, messenger, files, other_password=self._prompts.other_password).find()
        if local is not None:
            local()
            return
        one_shot = OneShot(self._options, self._face, self._lines, messenger, offline=self._tell_offline)
        while True:
            session = Session(messenger, entrance.address, entrance.keys, persistent=self._persistent)
            try:
                if self._options.action is None:
                    self._converse(messenger, session)
                elif self._options.action == "daemon":
                    Daemon(messenger, session, self._face, self._lines, patience_s=LEAVE_PIPE_S).run()
                else:
                    one_shot.run(session)
            except Refused as refused:
                if refused.code is Code.AUTHENTICATION_FAILED and messenger.keyring.is_restored:
                    refused.hint = SPENT_BACKUP
                if refused.code is not Code.UNKNOWN_ACCOUNT:
                    raise
                entrance.register_again(messenger.account)
            else:
                return

    @property
    def _preferences(self) -> Preferences:
        options = self._options
        return Preferences(
            minimum_suite=options.suite,
            read_receipts=options.read_receipts == "on",
            typing=options.typing == "on",
            requests=options.requests == "on",
        )

    @property
    def _persistent(self) -> bool:
        options = self._options
        return options.action in {None, "daemon"} or (options.action == "recv" and options.follow)

    # ------------------------------------------------------------ without an open account

    def _revoke(self, entrance: Entrance) -> None:
        """End the account whose certificate the options name."""
        path = Path(self._options.certificate)
        try:
            certificate = decode(Revocation, read_key_file(path, private=False))
        except FileNotFoundError:
            message = f"there is no file {path}"
            raise UsageError(message, hint="it was written beside the keys: keys/NUMBER_revocation.json") from None
        except RemoteProtocolError:
            message = f"{path} is no revocation certificate"
            raise KeyFileError(message, hint="it was written beside the keys: keys/NUMBER_revocation.json") from None
        revoke(entrance.address, entrance.keys, certificate)
        self._face.tell(f"* the account {certificate.user_id} has ended, for ever")

    def _restore(self) -> None:
        """Put an account back from a backup; the server and the contacts hear of its new keys at the next start."""
        home: Path = self._options.home
        password = self._prompts.password()
        restored = restore(self._options.path, password, keys=home / "keys", data=home / "data", now=wall_time())
        for line in restored_lines(restored.user_id, restored.newest_at):
            self._face.tell(line)

    # ------------------------------------------------------------ converse

    def _converse(self, messenger: Messenger, session: Session) -> None:
        """Let a person talk until they leave."""
        patience_s = LEAVE_TERMINAL_S if sys.stdin.isatty() else LEAVE_PIPE_S
        notifier = Notifier(self._options.notify, self._face.ring, self._face.tell)
        Talk(
            messenger, session, self._face, patience_s=patience_s, offline=self._tell_offline, notify=notifier.notify
        ).run()

    def _tell_offline(self, reason: SecureChatError | None) -> None:
        """Say once that the link is lost; the session goes on trying."""
        text = str(reason or "the connection was closed")
        if text != self._offline_told:
            self._offline_told = text
            self._face.tell(f"! offline: {text}; trying again")


# ---------------------------------------------------------------- the program


def main(arguments: list[str]) -> int:
    """Run the program and return its exit code."""

    def program() -> None:
        client = Client(parse_arguments(arguments))
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):  # Windows has no SIGHUP
                signal.signal(getattr(signal, name), client.terminate)
        client.run()

    try:
        return command_line.run(program)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Terminated as terminated:
        return 128 + int(terminated.args[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
