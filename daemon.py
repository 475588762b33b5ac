"""A program talks: requests come in as lines of JSON, replies and events go out as such. docs/FACES.md has them all.

What must never be here is a rule.
"""

from __future__ import annotations

import threading
from functools import partial

from errors import SecureChatError
from leaving import Leaving
from messenger.answers import carry_out
from messenger.engine import Messenger
from messenger.events import AccountErased, Arrival
from messenger.inbox import Shown
from messenger.line import Output
from messenger.requests import Quit, id_of, parse
from messenger.ui import Face
from messenger.ui.json_events import event_data
from messenger.ui.json_lines import Data, json_line
from messenger.ui.plain import LineReader
from session import Session, wall_time


class Daemon:
    """One run, from the first line to the end of the input."""

    def __init__(
        self, messenger: Messenger, session: Session, face: Face, lines: LineReader, *, patience_s: float
    ) -> None:
        """Join an engine, its line and two streams.

        Args:
            messenger: The engine.
            session: Its line, not yet running.
            face: Where lines are written, each flushed before the next step.
            lines: Standard input.
            patience_s: How long the outbox may still go out when the input has ended.
        """
        self._messenger = messenger
        self._session = session
        self._face = face
        self._lines = lines
        self._leaving = Leaving(messenger.outbox, patience_s=patience_s)

    def run(self) -> None:
        """Serve until the input ends, or a request says so.

        Raises:
            SecureChatError: The session has failed for good, or nothing can be written any more.
        """
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        self._perform(Output(events=self._messenger.resume()))
        self._session.run(self._leaving.is_over, perform=self._perform, offline=self._offline)

    def _read(self) -> None:
        """Hand over line after line; where many wait, the next is not read."""
        while (line := self._lines.read()) is not None:
            if line.strip():
                self._session.submit(partial(self._serve, line))
        self._session.submit(self._leaving.begin)

    # ------------------------------------------------------------ the session's thread

    def _serve(self, line: str) -> None:
        """Carry out a request, and reply; what it brings comes after the reply."""
        name = id_of(line)
        try:
            request = parse(line)
            answer = carry_out(request, self._messenger, now=wall_time())
        except SecureChatError as error:
            self._write({"type": "reply", "id": name, "ok": False, **_failure(error)})
            return
        self._write({"type": "reply", "id": name, "ok": True, "result": answer.result})
        self._perform(answer.output)
        if isinstance(request, Quit):
            self._leaving.begin()

    def _perform(self, output: Output) -> None:
        """Send frames, write events; what came in a message is acknowledged when its line was written and flushed."""
        self._session.send(output.frames)
        shown: list[Shown] = []
        for event in output.events:
            self._write(event_data(event))
            if isinstance(event, Arrival):
                shown.append((event.peer, event.id))
            elif isinstance(event, AccountErased):
                self._leaving.begin()
        if shown:
            self._perform(self._messenger.shown(shown, now=wall_time()))

    def _offline(self, reason: SecureChatError | None) -> None:
        self._write({"type": "offline", "reason": str(reason or "the connection was closed")})

    def _write(self, data: Data) -> None:
        self._face.show(json_line(data))


def _failure(error: SecureChatError) -> Data:
    """Return what a program hears of an error: what a person would, and the exit code of the one-shot action."""
    return {"error": str(error), "hint": error.hint, "exit": int(error.exit_code)}
