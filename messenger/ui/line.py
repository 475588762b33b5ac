"""The live face: prompt_toolkit's prompt, which incoming messages do not disturb.

A pasted text of several lines is one entry (bracketed paste).
"""

from __future__ import annotations

import asyncio
import getpass
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final, TypeVar

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter, WordCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

from messenger.ui import Dialogue
from messenger.ui.qr import qr_code
from messenger.ui.terminal import fitted, without_echo

T = TypeVar("T")

_STANDARD_INPUT: Final = 0
_TURNS_TO_WRITE: Final = 2  # of the loop: a line that came as the last prompt closed is handed to it, then written


def _keys(tell: Callable[[str], None]) -> KeyBindings:
    """Return the keys that are ours: Alt-Enter begins another line, Ctrl-X Ctrl-E opens an editor."""
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _another_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-x", "c-e")
    def _editor(event: KeyPressEvent) -> None:
        event.app.create_background_task(_edit(event.current_buffer, tell))

    return keys


async def _edit(buffer: Buffer, tell: Callable[[str], None]) -> None:
    """Have a person write on in their editor, and enter that.

    An editor that has failed, or has left the text as it was, enters nothing, as with git: what was begun stays.
    """
    before = buffer.text.rstrip("\n")
    await buffer.open_in_editor()
    if buffer.text.rstrip("\n") != before:
        buffer.validate_and_handle()
    elif before:
        tell("* not sent: the editor has changed nothing. Enter sends it as it is")


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


class LineFace:
    """A prompt at the bottom of the terminal, and lines above it.

    One event loop lasts from the first prompt to the last. All that other threads and signals want of the prompt is
    done in it: prompt_toolkit's own ways to be called from a thread fail in it when the prompt closes meanwhile.
    """

    watched = True

    def __init__(self) -> None:
        """Prepare the prompt."""
        self._writing = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._app: Application[str] | None = None  # of the present prompt, or the last
        self._asking = False  # from before the loop is made until after it is closed
        self._ended_by: BaseException | None = None

    def ask(self, prompt: str, *, secret: bool = False) -> str:
        """Ask one question; a secret is not echoed, not even its length."""
        if secret:
            return getpass.getpass(prompt)
        self._ended_by = None
        return self._run(lambda: self._prompt(PromptSession(history=InMemoryHistory()), prompt))

    def tell(self, line: str) -> None:
        """Show a line about the program itself."""
        self.show(line)

    def show(self, line: str) -> None:
        """Show a line above the prompt."""
        text = fitted(line)
        with self._writing:
            print(text, flush=True)

    def ring(self) -> None:
        """Ring the bell of the terminal."""

        def ring_and_draw(app: Application[Any]) -> None:
            app.output.bell()
            app.invalidate()  # which writes it out

        self._in_loop(ring_and_draw)

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

    async def _hand_over(self, dialogue: Dialogue, submit: Callable[[str], None], typed: Callable[[str], None]) -> None:
        session = PromptSession[str](
            history=InMemoryHistory(),
            completer=_Entries(dialogue),
            complete_while_typing=False,
            key_bindings=_keys(self.tell),
            bottom_toolbar=lambda: dialogue.status() or None,
            enable_suspend=True,  # Ctrl-Z
            erase_when_done=True,  # the line that shows the message takes its place
        )
        session.default_buffer.on_text_changed += lambda buffer: typed(buffer.text)
        try:
            with without_echo(_STANDARD_INPUT), patch_stdout():
                while (entry := await self._next_entry(session, dialogue.prompt)) is not None:
                    submit(entry)
        finally:
            for _ in range(_TURNS_TO_WRITE):
                await asyncio.sleep(0)

    async def _next_entry(self, session: PromptSession[str], prompt: Callable[[], str]) -> str | None:
        while True:
            try:
                return await self._prompt(session, prompt)
            except KeyboardInterrupt:
                if not session.default_buffer.text:
                    raise
                self.show("* not sent; Ctrl-C on an empty line leaves")
            except EOFError:
                return None

    # ------------------------------------------------------------ called by other threads and by signals

    def stop(self) -> None:
        """End the prompt that is open, or the next one if none is open right now."""
        self._ended_by = self._ended_by or EOFError()
        self._in_loop(self._leave)

    def interrupt(self, error: BaseException) -> bool:
        """Have a question or the conversation raise something; return whether there is one."""
        if not self._asking:
            return False
        self._ended_by = error
        self._in_loop(self._leave)
        return True

    # ------------------------------------------------------------ the loop

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a loop for what asks; what interrupted it is raised when the loop has ended in good order."""
        self._asking = True
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                result = runner.run(work())
        finally:
            self._asking = False
            self._loop = self._app = None
            ended_by, self._ended_by = self._ended_by, None
        if ended_by is not None:
            raise ended_by
        return result

    async def _prompt(self, session: PromptSession[str], prompt: str | Callable[[], str]) -> str:
        self._app = session.app
        return await session.prompt_async(prompt, pre_run=lambda: self._leave(session.app))

    def _in_loop(self, do: Callable[[Application[Any]], object]) -> None:
        loop, app = self._loop, self._app
        if loop is not None and app is not None:
            with suppress(RuntimeError):  # it has been closed in the meantime
                loop.call_soon_threadsafe(do, app)

    def _leave(self, app: Application[Any]) -> None:
        """End the prompt, in its loop, if it has to end."""
        if self._ended_by is not None and app.is_running and app.future is not None and not app.future.done():
            app.exit(exception=self._ended_by)
