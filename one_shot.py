"""One thing, and out: what the client does over the line when its command line names an action.

Standard output has what was asked for; whatever else a person must know, news of keys above all, goes to standard
error. What must never be here is a rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from errors import Code, NetworkError, Refused, SecureChatError, TimeoutExpiredError, UntrustedKeyError
from messenger.content import MAX_LIFETIME_S
from messenger.durations import seconds, unless_off
from messenger.engine import Messenger
from messenger.events import (
    FAILED,
    ON_THE_WAY,
    AcceptanceMissing,
    AcceptanceProven,
    AccountErased,
    Arrival,
    ErasureRefused,
    Event,
    IdentityChanged,
    LogAlarm,
    MessageRequested,
    Online,
    OwnRotationRefused,
    ServerHolds,
    StateChanged,
    Typing,
)
from messenger.identities import identity_changed
from messenger.inbox import Shown
from messenger.line import Output
from messenger.status import status_of
from messenger.ui import Face
from messenger.ui.event_lines import event_line
from messenger.ui.held_rows import HELD_ROWS
from messenger.ui.json_events import event_data
from messenger.ui.json_lines import json_line, keys_data, said_data, sent_data, status_data
from messenger.ui.plain import LineReader
from messenger.ui.text import alarm_line, status_lines, why_lines
from messenger.writing import Writing
from session import Session, wall_time

TIMEOUT_S: Final = 30
_IN_PASSING: Final = (
    Arrival,
    MessageRequested,
    StateChanged,
    Online,
    Typing,
)  # messages stay unread, and wait for `recv`

_ENDED: Final = FAILED | {"deleted", "expired"}  # states of a message that goes no further
_FAR_ENOUGH: Final = {
    "accepted": ON_THE_WAY | _ENDED,
    "delivered": {"delivered", "read"} | _ENDED,
    "read": {"read"} | _ENDED,
}

Take = Callable[[Event], bool]  # told of an event; whether that was all that it needs


def nothing(_event: Event) -> bool:
    """Take no event."""
    return False


class OneShot:
    """The action that the options name."""

    def __init__(
        self,
        options: argparse.Namespace,
        face: Face,
        lines: LineReader,
        messenger: Messenger,
        *,
        offline: Callable[[SecureChatError | None], None],
    ) -> None:
        """Prepare it.

        Args:
            options: The command line.
            face: Where to show and tell.
            lines: Standard input.
            messenger: The engine.
            offline: Told when the link is lost and will be tried again.
        """
        self._options = options
        self._face = face
        self._lines = lines
        self._messenger = messenger
        self._offline = offline
        self._session: Session
        self._take: Take = nothing
        self._alarmed = False
        self._sent: bytes | None = None  # the message of `send`

    def run(self, session: Session) -> None:
        """Carry it out over a line; again, over another, when the account had to be registered first.

        Raises:
            SecureChatError: It could not be done.
        """
        self._session = session
        actions: dict[str, Callable[[], None]] = {
            "register": self._register,
            **dict.fromkeys(("send", "reply", "edit", "delete", "react", "timer"), self._write),
            "status": self._status,
            "why": self._why,
            "recv": self._receive,
            "keys": self._rotate,
            "server-knows": self._server_knows,
            "erase-me": self._erase_me,
        }
        actions[self._options.action]()

    def _until(self, done: Callable[[], bool], take: Take = nothing) -> None:
        self._take = take
        self._session.run(done, perform=self._perform, timeout_s=TIMEOUT_S)

    def _perform(self, output: Output) -> None:
        self._session.send(output.frames)
        for event in output.events:
            self._alarmed |= isinstance(event, LogAlarm)
            if not self._take(event) and not isinstance(event, _IN_PASSING):
                self._face.tell(self._worded(event))

    # ------------------------------------------------------------ messages

    def _register(self) -> None:
        """Log in once, which shows that the account is registered, and leave keys for those who want to write to it."""
        self._until(lambda: self._messenger.stocked)

    def _write(self) -> None:
        """Send what the action says, and wait until it has come as far as is wanted, or no further."""
        messenger, recipient = self._messenger, self._messenger.book.meant(self._options.to)
        if self._sent is None:
            self._sent, _ = self._queue(messenger.writing, recipient)
        sent, enough = self._sent, _FAR_ENOUGH[self._options.wait]
        try:
            self._until(lambda: messenger.history.state(sent)[0] in enough)
        except NetworkError as error:
            state = messenger.history.state(sent)[0]
            what = "queued, and goes out when this client runs next" if state == "queued" else f"{state}"
            _explain(error, f"the message is {what}")
            self._tell_sent(sent, recipient)
            raise
        except TimeoutExpiredError as error:
            state = messenger.history.state(sent)[0]
            if state != "queued":
                error.hint = f"the message is {state}, and need not be sent again; client.py why {recipient} tells more"
            self._tell_sent(sent, recipient)
            raise
        self._tell_sent(sent, recipient)
        if messenger.log.alarm is not None and not self._alarmed:
            self._face.tell(alarm_line(messenger.log.alarm))
        state, reason = messenger.history.state(sent)
        if state == "identity-changed":
            raise identity_changed(recipient)
        if state == "rejected":
            raise rejected(recipient, reason)
        if state == "expired":
            message = f"{recipient} did not fetch it as long as the server keeps it"
            raise TimeoutExpiredError(message, hint="send it again")

    def _tell_sent(self, sent: bytes, recipient: str) -> None:
        """Say to a program what became of its message, at the end; an account that is registered anew tries again."""
        if self._options.json:
            self._face.show(json_line(sent_data(sent, recipient, self._messenger.history.state(sent)[0])))

    def _queue(self, writing: Writing, peer: str) -> tuple[bytes, Output]:
        """Queue what the action says."""
        options, now = self._options, wall_time()
        match options.action:
            case "send":
                return writing.send_text(peer, self._text(), now=now)
            case "reply":
                return writing.send_text(peer, self._text(), answers=self._number(peer, outgoing=False), now=now)
            case "edit":
                return writing.edit(peer, self._number(peer, outgoing=True), self._text(), now=now)
            case "delete":
                return writing.delete(peer, self._number(peer, outgoing=True), now=now)
            case "react":
                return writing.react(peer, self._number(peer, outgoing=False), unless_off(options.emoji), now=now)
            case _:
                return writing.set_timer(peer, seconds(options.time, longest=MAX_LIFETIME_S), now=now)

    def _text(self) -> str:
        return self._lines.read_all() if self._options.text == "-" else self._options.text

    def _number(self, peer: str, *, outgoing: bool) -> int:
        """Return the number of the message that the options name, or of the last one."""
        named = self._options.which or self._options.message
        return self._messenger.archive.meant(peer, named, outgoing=outgoing).number

    def _receive(self) -> None:
        """Show what waits at the server; a message is acknowledged after its line was written and flushed."""
        changed: list[str] = []

        def take(event: Event) -> bool:
            if isinstance(event, IdentityChanged):
                changed.append(event.peer)
            self._print(event)
            return True

        def perform(output: Output) -> None:
            self._perform(output)
            shown: list[Shown] = [(event.peer, event.id) for event in output.events if isinstance(event, Arrival)]
            if shown:
                perform(self._messenger.shown(shown, read=True, now=wall_time()))

        self._take = take
        perform(Output(events=self._messenger.resume()))
        if self._options.follow:
            self._session.run(lambda: False, perform=perform, offline=self._offline)
        self._session.run(lambda: self._messenger.settled, perform=perform, timeout_s=TIMEOUT_S)
        if changed:
            raise identity_changed(changed[0])
        if self._messenger.log.alarm is not None:
            raise log_alarm("what came was shown")

    def _worded(self, event: Event) -> str:
        return event_line(self._messenger.book.named(event))

    def _print(self, event: Event) -> None:
        """Write an event of `recv`: messages on standard output, the rest on standard error."""
        if isinstance(event, StateChanged | Online):
            return
        if self._options.json:
            self._face.show(json_line(event_data(event)))
        elif isinstance(event, Arrival):
            self._face.show(self._worded(event))
        elif not isinstance(event, Typing):  # which a line cannot take back
            self._face.tell(self._worded(event))

    def _why(self) -> None:
        """Have the server prove that it has the last message to somebody, and show its way."""
        messenger, heard = self._messenger, list[Event]()
        peer = messenger.book.meant(self._options.to)
        said, _ = messenger.archive.last_way(peer)

        def take(event: Event) -> bool:
            if isinstance(event, Online):
                self._perform(messenger.ask_for_proof(peer, now=wall_time()))
            elif isinstance(event, AcceptanceProven | AcceptanceMissing):
                heard.append(event)
            return False

        self._until(lambda: bool(heard) or (messenger.online and said.state not in ON_THE_WAY), take)
        for line in way_lines(messenger, peer, as_json=self._options.json):
            self._face.show(line)

    # ------------------------------------------------------------ the account

    def _status(self) -> None:
        """Say how things stand, also when the server cannot be reached."""
        messenger = self._messenger
        try:
            self._until(lambda: messenger.caught_up)
        except (NetworkError, TimeoutExpiredError):
            self._show_status()
            raise
        self._show_status()

    def _show_status(self) -> None:
        status = status_of(self._messenger)
        for line in [json_line(status_data(status))] if self._options.json else status_lines(status):
            self._face.show(line)

    def _rotate(self) -> None:
        """Make new keys, and wait until the server has them and the contacts are told."""
        messenger = self._messenger
        if messenger.keyring.following is None:
            messenger.rotate(now=wall_time())

        def take(event: Event) -> bool:
            if isinstance(event, OwnRotationRefused):
                raise Refused(event.code, retry_after_s=event.retry_after_s)
            return False

        try:
            self._until(lambda: messenger.told and messenger.stocked, take)
        except NetworkError as error:
            who = "contacts hear" if messenger.keyring.following is None else "the server hears"
            _explain(error, f"the new keys are on disk; {who} of them when this client runs next")
            raise
        if self._options.json:
            self._face.show(json_line(keys_data(messenger.account)))

    def _server_knows(self) -> None:
        """Show every row that the server holds about this account."""
        pages: list[ServerHolds] = []

        def take(event: Event) -> bool:
            if isinstance(event, ServerHolds):
                pages.append(event)
                self._face.show(json_line(event_data(event)) if self._options.json else event_line(event))
            elif isinstance(event, Online):
                self._face.tell(HELD_ROWS)
                self._perform(self._messenger.ask_what_the_server_knows(now=wall_time()))
            return isinstance(event, ServerHolds)

        self._until(lambda: bool(pages) and pages[-1].last, take)

    def _erase_me(self) -> None:
        """Have the server remove this account."""
        gone: list[AccountErased] = []

        def take(event: Event) -> bool:
            if isinstance(event, AccountErased):
                gone.append(event)
            elif isinstance(event, ErasureRefused):
                raise Refused(event.code)
            elif isinstance(event, Online):
                self._perform(self._messenger.erase_account(self._options.number, now=wall_time()))
            return False

        self._until(lambda: bool(gone), take)
        if self._options.json:
            self._face.show(json_line(event_data(gone[0])))


def way_lines(messenger: Messenger, peer: str, *, as_json: bool) -> list[str]:
    """Return the lines that tell the way of the last message to somebody.

    Raises:
        UsageError: There is none.
    """
    said, steps = messenger.archive.last_way(peer)
    if as_json:
        return [json_line(said_data(said, steps, messenger.archive.proof(said)))]
    return why_lines(messenger.book.named(said), steps)


def _explain(error: SecureChatError, what: str) -> None:
    """Say first what has become of the action that a failure has interrupted."""
    error.hint = "; ".join(filter(None, [what, error.hint]))


def log_alarm(what: str) -> UntrustedKeyError:
    """Make the error of whatever needed a key from a server that contradicts its own key log."""
    message = f"{what}: the server's key log does not fit"
    return UntrustedKeyError(message, hint="client.py log says more; client.py log --forget believes it again")


def rejected(recipient: str, reason: Code | None) -> SecureChatError:
    """Make the error of a message that the server did not take."""
    if reason is Code.UNTRUSTED_LOG:
        return log_alarm(f"not sent to {recipient}")
    refused = Refused(reason or Code.INTERNAL)
    if reason is Code.UNKNOWN_USER:
        refused.args = (f"Security Error: Public key for {recipient} not found: {refused}",)
    else:
        refused.args = (f"not sent to {recipient}: {refused}",)
    return refused
