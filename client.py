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
    Refused,
    SecureChatError,
    UsageError,
    describe,
)
from messenger.account import AccountFiles, normalise_user_id
from messenger.commands import COMMANDS
from messenger.database import Database
from messenger.engine import Messenger, Output, identity_changed
from messenger.events import (
    Event,
    IdentityChanged,
    MessageReceived,
    Online,
    StateChanged,
)
from messenger.inbox import Shown
from messenger.server_address import DEFAULT_PORT
from messenger.ui import Face
from messenger.ui.json_lines import json_line
from messenger.ui.line import LineFace
from messenger.ui.plain import LineReader, PlainFace
from messenger.ui.text import event_line
from process_lock import ProcessLock
from session import Session, wall_time
from talk import Talk

ONE_SHOT_TIMEOUT_S: Final = 30
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
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="one-shot actions (default: converse)")
    actions.add_parser("register", help="create the account and leave")
    send = actions.add_parser("send", help="send one message; ends 0 when the server has accepted it")
    send.add_argument("to", metavar="TO", help="phone number or handle")
    send.add_argument("text", metavar="TEXT", help="- reads it from standard input")
    recv = actions.add_parser("recv", help="show what waits and leave")
    recv.add_argument("--follow", action="store_true", help="stay, and show what comes")
    recv.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args(arguments)


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
        self._lines = LineReader(sys.stdin.fileno())
        self._face = choose_face(options, self._lines)
        self._prompts = Prompts(options, self._face, self._lines)
        self._sent: bytes | None = None  # the message of `send`
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
        entrance = Entrance(self._options, self._face, self._prompts)
        user_id = self._prompts.user_id()
        data: Path = self._options.home / "data"
        with ProcessLock(data / f"{user_id}.lock", f"the account {user_id}"):
            files = AccountFiles(entrance.keys, user_id)
            if files.private_key.exists():
                account, password = self._prompts.unlock(files)
            elif self._options.action in {None, "register"}:
                account, password = entrance.create(user_id)
            else:
                message = f"there is no account {user_id} in {self._options.home}"
                raise UsageError(message, hint="create it first: python client.py register")
            with closing(Database(data / f"{user_id}.db", password)) as database:
                self._act(entrance, Messenger(account, database))

    def _act(self, entrance: Entrance, messenger: Messenger) -> None:
        """Run the action; an account that the server does not know is registered on the way."""
        action = {"register": self._register, "send": self._send, "recv": self._receive, None: self._converse}
        while True:
            session = Session(messenger, entrance.address, entrance.keys, persistent=self._persistent)
            try:
                action[self._options.action](messenger, session)
            except Refused as refused:
                if refused.code is not Code.UNKNOWN_ACCOUNT:
                    raise
                entrance.register_again(messenger.account)
            else:
                return

    @property
    def _persistent(self) -> bool:
        return self._options.action is None or (self._options.action == "recv" and self._options.follow)

    # ------------------------------------------------------------ one-shot

    def _register(self, messenger: Messenger, session: Session) -> None:
        """Log in once, which shows that the account is registered."""
        session.run(
            lambda: messenger.online, perform=lambda output: session.send(output.frames), timeout_s=ONE_SHOT_TIMEOUT_S
        )

    def _send(self, messenger: Messenger, session: Session) -> None:
        """Send one message and wait until the server has it."""
        recipient = normalise_user_id(self._options.to)
        if self._sent is None:
            text = self._lines.read_all() if self._options.text == "-" else self._options.text
            self._sent, _ = messenger.send_text(recipient, text, now=wall_time())
        sent = self._sent
        session.run(
            lambda: messenger.history.state(sent)[0] != "queued",
            perform=lambda output: session.send(output.frames),  # what comes in meanwhile waits for `recv`
            timeout_s=ONE_SHOT_TIMEOUT_S,
        )
        state, reason = messenger.history.state(sent)
        if state == "identity-changed":
            raise identity_changed(recipient)
        if state == "rejected":
            raise rejected(recipient, reason)

    def _receive(self, messenger: Messenger, session: Session) -> None:
        """Show what waits at the server; a message is acknowledged after its line was written and flushed."""
        changed: list[str] = []

        def perform(output: Output) -> None:
            session.send(output.frames)
            shown: list[Shown] = []
            for event in output.events:
                if isinstance(event, MessageReceived):
                    shown.append((event.peer, event.id))
                elif isinstance(event, IdentityChanged):
                    changed.append(event.peer)
                self._print(event)
            if shown:
                perform(messenger.shown(shown, now=wall_time()))

        perform(Output(events=messenger.resume()))
        if self._options.follow:
            session.run(lambda: False, perform=perform, offline=self._tell_offline)
        session.run(lambda: messenger.settled, perform=perform, timeout_s=ONE_SHOT_TIMEOUT_S)
        if changed:
            raise identity_changed(changed[0])

    def _print(self, event: Event) -> None:
        """Write an event of `recv`: messages on standard output, the rest on standard error."""
        if self._options.json:
            line = json_line(event)
            if line is not None:
                self._face.show(line)
        elif isinstance(event, MessageReceived):
            self._face.show(event_line(event))
        elif not isinstance(event, StateChanged | Online):
            self._face.tell(event_line(event))

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


def rejected(recipient: str, reason: Code | None) -> SecureChatError:
    """Make the error of a message that the server did not take."""
    refused = Refused(reason or Code.INTERNAL)
    if reason is Code.UNKNOWN_USER:
        refused.args = (f"Security Error: Public key for {recipient} not found: {refused}",)
    else:
        refused.args = (f"not sent to {recipient}: {refused}",)
    return refused


# ---------------------------------------------------------------- the program


def main(arguments: list[str]) -> int:
    """Run the program and return its exit code."""
    options = parse_arguments(arguments)
    client = Client(options)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), client.terminate)
    try:
        client.run()
    except SecureChatError as error:
        print(describe(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Terminated as terminated:
        return 128 + int(terminated.args[0])
    except BrokenPipeError:  # whoever read our output has gone; nothing that was not shown was acknowledged
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return ExitCode.FAILED
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
