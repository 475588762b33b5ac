"""A person talks: the face waits for them in the main thread, the session works in another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from errors import SecureChatError
from leaving import Leaving
from messenger.conversation import Conversation
from messenger.engine import Messenger
from messenger.ui import Face
from session import Session, wall_time

TYPING_EVERY_S: Final = 10.0
POLL_S: Final = 0.2  # an endless wait could not be interrupted on Windows


class Talk:
    """One conversation at the keyboard, from the first prompt to the last message out."""

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        messenger: Messenger,
        session: Session,
        face: Face,
        *,
        patience_s: float,
        offline: Callable[[SecureChatError | None], None],
        notify: Callable[[str], None],
    ) -> None:
        """Join an engine, its line and a screen.

        Args:
            messenger: The engine.
            session: Its line, not yet running.
            face: The screen.
            patience_s: How long the outbox may still go out when the person leaves.
            offline: Told when the link is lost.
            notify: Told who has written.
        """
        self._messenger = messenger
        self._session = session
        self._face = face
        self._leaving = Leaving(messenger.outbox, patience_s=patience_s)
        self._offline = offline
        self._type_again_at_s = 0.0
        self._conversation = Conversation(messenger, face, send=session.send, leave=self._leaving.begin, notify=notify)

    def run(self) -> None:
        """Talk until the person leaves.

        Raises:
            SecureChatError: The session has failed for good, or something in a pipe could not be done.
            KeyboardInterrupt: The person wants to leave at once.
        """
        worker = Worker(self._work)
        try:
            self._face.converse(self._conversation, partial(self._enter, worker), self._typed)
        except BaseException:
            self._leaving.at_once()
            with suppress(OSError):  # of a terminal that has gone: what ended the conversation says more
                self._leave(worker)
            raise
        self._leave(worker)
        if self._conversation.failed and not self._face.watched:
            message = f"not carried out or not sent: {self._conversation.failed}"
            raise SecureChatError(message, hint="why stands above")

    def _leave(self, worker: Worker) -> None:
        """Wait for the session to end, and say what it has not sent."""
        self._session.submit(self._leaving.begin)
        worker.join()
        waiting = self._messenger.outbox.count_messages()
        if waiting:
            self._face.tell(f"* not sent yet: {waiting}; what stays in the outbox goes out at the next start")

    def _enter(self, worker: Worker, entry: str) -> None:
        """Have an entry carried out, and wait for that: the next prompt may name another recipient."""
        carried_out = threading.Event()
        self._type_again_at_s = 0.0  # what is typed next is another message

        def carry_out() -> None:
            self._conversation.enter(entry, now=wall_time())
            carried_out.set()

        self._session.submit(carry_out)
        while worker.alive and not carried_out.wait(POLL_S):
            pass

    def _typed(self, begun: str) -> None:
        """Have the recipient see that the person types, from time to time, unless it is a command."""
        now_s = time.monotonic()
        is_message = begun and not begun.startswith(("/", "@")) and not "quit".startswith(begun.strip())
        if is_message and now_s >= self._type_again_at_s:
            self._type_again_at_s = now_s + TYPING_EVERY_S
            self._session.offer(lambda: self._conversation.typing(now=wall_time()))

    # ------------------------------------------------------------ the session's thread

    def _work(self) -> None:
        conversation = self._conversation
        try:
            conversation.begin(now=wall_time())
            self._session.run(
                self._leaving.is_over,
                perform=lambda output: conversation.perform(output, now=wall_time()),
                offline=self._lost,
            )
        finally:
            self._face.stop()

    def _lost(self, reason: SecureChatError | None) -> None:
        self._offline(reason)
        self._conversation.refresh()


class Worker:
    """A thread at work, whose failure becomes that of whoever joins it."""

    def __init__(self, work: Callable[[], None]) -> None:
        """Start it."""
        self._work = work
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as failure:  # noqa: BLE001 - raised again by join
            self._failure = failure

    @property
    def alive(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait for its end, and raise what it raised."""
        while self.alive:
            self._thread.join(POLL_S)
        if self._failure is not None:
            raise self._failure
