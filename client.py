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
from messenger.account import AccountFiles, normalise_user_id
from messenger.backup import restore, write_backup
from messenger.commands import COMMANDS
from messenger.engine import Messenger
from messenger.opening import change_password
from messenger.server_address import DEFAULT_PORT
from messenger.suites import SPOKEN
from messenger.ui import Face
from messenger.ui.line import LineFace
from messenger.ui.plain import LineReader, PlainFace
from messenger.ui.qr import qr_code
from messenger.ui.terminal import take_over
from messenger.ui.text import log_lines, own_keys_line, safety_number_lines
from one_shot import OneShot, log_alarm
from process_lock import ProcessLock
from protocol import decode
from records import Revocation
from session import Session, revoke, wall_time
from talk import Talk

LEAVE_TERMINAL_S: Final = 0.5  # how long the outbox may still go out when a person leaves
LEAVE_PIPE_S: Final = 10.0  # and when the input was a pipe, which ends as soon as it is read


class Terminated(BaseException):
    """SIGTERM, or the terminal was closed: leave now; the outbox stays on disk."""


# ---------------------------------------------------------------- options


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = command_line.parser("client", "SecureChat: messages that only the two of you can read.")
    parser.add_argument(
        "--server",
        default=f"localhost:{DEFAULT_PORT}",
        metavar="ADDRESS",
        help="HOST:PORT, or the securechat:// line that the server prints (default: %(default)s)",
    )
    parser.add_argument("--user", metavar="ID", help="your phone number or handle (default: asked for)")
    parser.add_argument(
        "--password-file", metavar="PATH", help="read the password from the first line of a file; - is standard input"
    )
    parser.add_argument("--plain", action="store_true", help="lines in, lines out: for pipes and screen readers")
    parser.add_argument(
        "--suite",
        type=int,
        choices=SPOKEN,
        default=max(SPOKEN),
        help="the least that protects what you write: 1 is for contacts whose client is old, and has no forward secrecy"
        " (default: %(default)s)",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="one-shot actions (default: converse)")
    actions.add_parser("register", help="create the account and leave")
    send = actions.add_parser("send", help="send one message; ends 0 when the server has accepted it")
    send.add_argument("to", metavar="TO", help="phone number or handle")
    send.add_argument("text", metavar="TEXT", help="- reads it from standard input")
    recv = actions.add_parser("recv", help="show what waits and leave")
    recv.add_argument("--follow", action="store_true", help="stay, and show what comes")
    recv.add_argument("--json", action="store_true", help="one JSON object a line")
    verify = actions.add_parser("verify", help="show the safety number that you have with somebody, or compare it")
    verify.add_argument("to", metavar="WHO", help="phone number or handle")
    verify.add_argument("number", nargs="*", metavar="NUMBER", help="the number that they see")
    log = actions.add_parser("log", help="whether the server shows everybody the same keys; ends 8 if it does not")
    log.add_argument("--forget", action="store_true", help="believe it again, and read its key log anew")
    knows = actions.add_parser("server-knows", help="every row that the server holds about you")
    knows.add_argument("--json", action="store_true", help="one JSON object a page")
    erase = actions.add_parser("erase-me", help="have the server remove your account, for ever")
    erase.add_argument("number", metavar="YOUR-NUMBER", help="your own number again: nobody gets it after you")
    backup = actions.add_parser("backup", help="write the account into one file, which its password opens")
    backup.add_argument("path", metavar="PATH", type=Path, help="a new file")
    restore = actions.add_parser("restore", help="put an account back from such a file; it gets new keys")
    restore.add_argument("path", metavar="PATH", type=Path, help="the file")
    _add_keys(actions.add_parser("keys", help="your keys: show, rotate, revoke, change the password"))
    return parser.parse_args(arguments)


def _add_keys(keys: argparse.ArgumentParser) -> None:
    what = keys.add_subparsers(dest="keys", metavar="WHAT", title="what to do (default: show them)")
    what.add_parser("show", help="what there is to know of them")
    what.add_parser("rotate", help="make new keys, which the old ones sign, and tell your contacts")
    password = what.add_parser("password", help="protect them by another password")
    password.add_argument("--new-password-file", metavar="PATH", help="its first line; - is standard input")
    revoke = what.add_parser("revoke", help="end an account for ever; needs no password, and works on any machine")
    revoke.add_argument("--certificate", required=True, metavar="PATH", help="the account's revocation certificate")


def choose_face(options: argparse.Namespace, lines: LineReader) -> Face:
    """Return the live face on a real terminal, and the plain one everywhere else."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if options.plain or options.action is not None or not terminal:
        return PlainFace(lines, sys.stdout, sys.stderr, answers=options.plain)
    return LineFace([f"/{name} " for name in COMMANDS])


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
            Terminated: Here, unless the face has a prompt open and raises it there.
        """
        terminated = Terminated(number)
        if not self._face.interrupt(terminated):
            raise terminated

    def run(self) -> None:
        """Do what the options ask for.

        Raises:
            SecureChatError: It could not be done.
        """
        if self._options.action == "restore":
            self._restore()
            return
        entrance = Entrance(self._options, self._face, self._prompts)
        if self._options.action == "keys" and self._options.keys == "revoke":
            self._revoke(entrance)
            return
        user_id = self._prompts.user_id()
        data: Path = self._options.home / "data"
        with ProcessLock(data / f"{user_id}.lock", f"the account {user_id}"):
            files, path = AccountFiles(entrance.keys, user_id), data / f"{user_id}.db"
            if files.private_key.exists():
                keyring, database = self._prompts.unlock(files, path)
            elif self._options.action in {None, "register"}:
                keyring, database = entrance.create(user_id, path)
            else:
                message = f"there is no account {user_id} in {self._options.home}"
                hint = "create it: client.py register; or put it back from a backup: client.py restore"
                raise UsageError(message, hint=hint)
            with closing(database):
                self._act(entrance, Messenger(keyring, database, minimum_suite=self._options.suite), files)

    def _act(self, entrance: Entrance, messenger: Messenger, files: AccountFiles) -> None:
        """Run the action; an account that the server does not know is registered on the way."""
        if self._options.action == "verify":
            self._verify(messenger)
            return
        if self._options.action == "log":
            self._log(messenger)
            return
        if self._options.action == "backup":
            write_backup(messenger.keyring, messenger.database, files, self._options.path)
            self._face.tell(f"* {self._options.path} holds the account {files.user_id}; its password opens it.")
            self._face.tell(
                "  It serves once, and only until your keys change (keys rotate, restore): then make another."
            )
            return
        if self._options.action == "keys" and self._options.keys != "rotate":
            self._show_or_protect_keys(messenger, files)
            return
        one_shot = OneShot(self._options, self._face, self._lines, messenger, offline=self._tell_offline)
        while True:
            session = Session(messenger, entrance.address, entrance.keys, persistent=self._persistent)
            try:
                if self._options.action is None:
                    self._converse(messenger, session)
                else:
                    one_shot.run(session)
            except Refused as refused:
                if refused.code is not Code.UNKNOWN_ACCOUNT:
                    raise
                entrance.register_again(messenger.account)
            else:
                return

    @property
    def _persistent(self) -> bool:
        return self._options.action is None or (self._options.action == "recv" and self._options.follow)

    # ------------------------------------------------------------ keys

    def _verify(self, messenger: Messenger) -> None:
        """Show a safety number, or compare it with the one that the other sees."""
        peer, compared = normalise_user_id(self._options.to), "".join("".join(self._options.number).split())
        if compared:
            messenger.verify(peer, compared)
            self._face.tell(f"* {peer} is verified: you have compared your keys")
            return
        contact = messenger.contacts.find(peer)
        number = messenger.safety_number(peer)
        trust = contact.trust if contact is not None else "new"
        for line in safety_number_lines(peer, trust, number, same=f"client.py verify {peer} NUMBER"):
            self._face.show(line)
        if sys.stdout.isatty():
            self._face.show(qr_code(number))

    def _log(self, messenger: Messenger) -> None:
        """Say how the key log stands."""
        if self._options.forget:
            messenger.forget_log(now=wall_time())
        for line in log_lines(messenger.log):
            self._face.show(line)
        if messenger.log.alarm is not None:  # that a contact says otherwise is no proof: the contact may lie
            raise log_alarm("this server may show people different keys")

    def _show_or_protect_keys(self, messenger: Messenger, files: AccountFiles) -> None:
        if self._options.keys in {None, "show"}:
            self._face.show(own_keys_line(messenger.account))
            return
        change_password(messenger.keyring, messenger.database, files, self._prompts.other_password())
        self._face.tell("* the new password holds from now on")

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
        user_id = restore(self._options.path, password, keys=home / "keys", data=home / "data", now=wall_time())
        self._face.tell(f"* {user_id} is back, with new keys: the server hears of them at the next start.")
        self._face.tell(
            "  If it has other ones than this backup by then, it will not let you in: each backup serves once."
        )

    # ------------------------------------------------------------ converse

    def _converse(self, messenger: Messenger, session: Session) -> None:
        """Let a person talk until they leave."""
        patience_s = LEAVE_TERMINAL_S if sys.stdin.isatty() else LEAVE_PIPE_S
        Talk(messenger, session, self._face, patience_s=patience_s, offline=self._tell_offline).run()

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
