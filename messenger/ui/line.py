"""The live face: prompt_toolkit's prompt, which incoming messages do not disturb.

A pasted text of several lines is one entry (bracketed paste).
"""

from __future__ import annotations

import asyncio
import getpass
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application, get_app, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter, WordCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from messenger.ui import Dialogue
from messenger.ui.qr import qr_code
from messenger.ui.terminal import fitted, without_echo

T = TypeVar("T")

_STANDARD_INPUT: Final = 0
_BUNDLE_S: Final = 0.05


def _keys(edit: Callable[[Buffer], Coroutine[Any, Any, None]]) -> KeyBindings:
    """Return the keys that are ours: Alt-Enter begins another line, Ctrl-X Ctrl-E opens an editor."""
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _another_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-x", "c-e")
    def _editor(event: KeyPressEvent) -> None:
        event.app.create_background_task(edit(event.current_buffer))

    return keys


class _Entries(Completer):
    """Completes what an entry may begin with, and paths where one comes next."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._words = WordCompleter(dialogue.words, sentence=True)
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        for begin in self._dialogue.before_paths():
            if text.startswith(begin):
                return self._paths.get_completions(Document(text.removeprefix(begin)), complete_event)
        return self._words.get_completions(document, complete_event)


class _OpenPrompt(NamedTuple):
    """What another thread needs to reach a prompt."""

    loop: asyncio.AbstractEventLoop
    app: Application[str]
    context: Context


class LineFace:
    """A prompt at the bottom of the terminal, and lines above it.

    What other threads and signals want of the prompt is done in its event loop, which lasts as long as one question or
    conversation: prompt_toolkit's own ways to be called from a thread fail there when the prompt closes meanwhile.
    """

    watched = True

    def __init__(self) -> None:
        """Prepare the prompt."""
        self._writing = threading.Lock()
        self._waiting: list[str] = []  # lines, while a prompt is open
        self._open: _OpenPrompt | None = None
        self._asking = False  # from before the loop is made until after it is closed
        self._editing = False
        self._stopped = False
        self._interrupted_by: BaseException | None = None

    def ask(self, prompt: str, *, secret: bool = False) -> str:
        """Ask one question; a secret is not echoed, not even its length."""
        if secret:
            return getpass.getpass(prompt)
        self._stopped = False
        return self._run(lambda: self._prompt(PromptSession(history=InMemoryHistory()), prompt))

    def tell(self, line: str) -> None:
        """Show a line about the program itself."""
        self.show(line)

    def show(self, line: str) -> None:
        """Show a line above the prompt, together with what follows soon; at once where none is open."""
        text = fitted(line)
        with self._writing:
            if self._open is None:
                print(text, flush=True)
                return
            self._waiting.append(text)
            is_first = len(self._waiting) == 1
        if is_first:
            self._in_loop(self._write_soon)

    def ring(self) -> None:
        """Ring the bell of the terminal."""
        with self._writing:
            if self._open is None:
                print("\a", end="", flush=True)
                return
        self._in_loop(lambda app: app.output.bell())

    def progress(self, line: str) -> None:
        """Show nothing: the status below the prompt says how far the last message has come."""

    def refresh(self) -> None:
        """Show the prompt and the status as they are now."""
        self._in_loop(Application.invalidate)

    def draw(self, text: str) -> None:
        """Show a text as a QR code."""
        self.show(qr_code(text))

    def converse(self, dialogue: Dialogue, submit: Callable[[str], None], typed: Callable[[str], None]) -> None:
        """Hand over what is typed. Ctrl-C clears a begun line and leaves on an empty one; Ctrl-D leaves."""
        with suppress(EOFError):
            self._run(lambda: self._hand_over(dialogue, submit, typed))

    async def _hand_over(
        self, dialogue: Dialogue, submit: Callable[[str], None], typed: Callable[[str], None]
    ) -> NoReturn:
        session = PromptSession[str](
            history=InMemoryHistory(),
            completer=_Entries(dialogue),
            complete_while_typing=False,
            key_bindings=_keys(self._edit),
            bottom_toolbar=lambda: dialogue.status() or None,
            enable_suspend=True,  # Ctrl-Z
            erase_when_done=True,  # the line that shows the message takes its place
        )
        session.default_buffer.on_text_changed += lambda buffer: typed(buffer.text)
        with without_echo(_STANDARD_INPUT):
            while True:
                submit(await self._next_entry(session, dialogue.prompt))

    async def _next_entry(self, session: PromptSession[str], prompt: Callable[[], str]) -> str:
        while True:
            try:
                return await self._prompt(session, prompt)
            except KeyboardInterrupt:
                if not session.default_buffer.text:
                    raise
                self.show("* not sent; Ctrl-C on an empty line leaves")

    async def _edit(self, buffer: Buffer) -> None:
        """Have a person write on in their editor, and enter that.

        An editor that has failed, or has left the text as it was, enters nothing, as with git: what was begun stays.
        """
        before = buffer.text.rstrip("\n")
        self._editing = True
        try:
            await buffer.open_in_editor()
        finally:
            self._editing = False
        app = get_app()
        if app.is_done:  # it was told to leave meanwhile
            return
        self._write_soon(app)
        if buffer.text.rstrip("\n") != before:
            buffer.validate_and_handle()
        elif before:
            self.tell("* not sent: the editor has changed nothing. Enter sends it as it is")

    def stop(self) -> None:
        """End the prompt of the conversation, or that of the next if none is open right now; from any thread."""
        self._stopped = True
        self._in_loop(self._leave)

    def interrupt(self, error: BaseException) -> bool:
        """Have a question or the conversation raise something, as soon as an entry is carried out or an editor closed.

        Returns:
            Whether there is one. A signal must raise nothing in the middle of the loop, or of a prompt that is being
            made: it would be swallowed there, or shown as a traceback.
        """
        if not self._asking:
            return False
        self._interrupted_by = error
        self._in_loop(self._leave)
        return True

    # ------------------------------------------------------------ the loop

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a loop for what asks; what interrupted it is raised when the loop has ended in good order.

        Args:
            work: Begins it, in a place where no signal raises anything.
        """
        self._asking = True
        try:
            with asyncio.Runner() as runner:
                return runner.run(work())
        finally:
            self._asking = self._stopped = False
            error, self._interrupted_by = self._interrupted_by, None
            if error is not None:
                raise error

    async def _prompt(self, session: PromptSession[str], prompt: str | Callable[[], str]) -> str:
        with self._writing:
            self._open = _OpenPrompt(asyncio.get_running_loop(), session.app, copy_context())
        try:
            return await session.prompt_async(prompt, pre_run=lambda: self._leave(session.app))
        finally:
            with self._writing:
                self._open = None
                self._print_waiting()

    def _in_loop(self, do: Callable[[Application[str]], object]) -> None:
        """Have the thread of the open prompt do something; nothing, where none is open."""
        prompt = self._open
        if prompt is not None:
            with suppress(RuntimeError):  # its loop has been closed in the meantime
                prompt.loop.call_soon_threadsafe(do, prompt.app, context=prompt.context)

    def _leave(self, app: Application[str]) -> None:
        """End the prompt if it has to end."""
        error = self._interrupted_by or (EOFError() if self._stopped else None)
        if error is not None and app.future is not None and not app.future.done():
            app.exit(exception=error)

    def _write_soon(self, app: Application[str]) -> None:
        """Write above the prompt what waits; drawing it anew for each line would take longer than the lines.

        Not while an editor has the terminal: whoever queues behind it never ends, if the terminal goes meanwhile.
        """

        async def write() -> None:
            await asyncio.sleep(_BUNDLE_S)
            if self._waiting and not self._editing:
                with suppress(OSError):  # it is met again when the prompt closes
                    await run_in_terminal(self._write)

        app.create_background_task(write())

    def _write(self) -> None:
        with self._writing:
            self._print_waiting()

    def _print_waiting(self) -> None:
        if self._waiting:
            print("\n".join(self._waiting), flush=True)
            self._waiting.clear()
