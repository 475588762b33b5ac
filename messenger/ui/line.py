"""The live face: prompt_toolkit's prompt, which incoming messages do not disturb.

A pasted text of several lines is one entry (bracketed paste).
"""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable, Iterable
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter, WordCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

from messenger.ui import Dialogue
from messenger.ui.qr import qr_code
from messenger.ui.terminal import fitted, without_echo

_STANDARD_INPUT: Final = 0


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
    """A prompt at the bottom of the terminal, and lines above it."""

    watched = True

    def __init__(self) -> None:
        """Prepare the prompt."""
        self._writing = threading.Lock()
        self._session: PromptSession[str] | None = None
        self._stopped = False

    def ask(self, prompt: str, *, secret: bool = False) -> str:
        """Ask one question; a secret is not echoed, not even its length."""
        if secret:
            return getpass.getpass(prompt)
        self._session = PromptSession(history=InMemoryHistory())
        return self._session.prompt(prompt)

    def tell(self, line: str) -> None:
        """Show a line about the program itself."""
        self.show(line)

    def show(self, line: str) -> None:
        """Show a line above the prompt."""
        text = fitted(line)
        with self._writing:
            print(text, flush=True)

    def ring(self) -> None:
        """Ring the bell of the terminal, from the thread that draws the prompt."""
        app = self._session.app if self._session is not None else None
        if app is not None and app.is_running and app.loop is not None:
            app.loop.call_soon_threadsafe(app.output.bell)
            app.invalidate()  # which writes it out

    def progress(self, line: str) -> None:
        """Show nothing: the status below the prompt says how far the last message has come."""

    def refresh(self) -> None:
        """Show the prompt and the status as they are now."""
        app = self._session.app if self._session is not None else None
        if app is not None and app.is_running:
            app.invalidate()

    def draw(self, text: str) -> None:
        """Show a text as a QR code."""
        self.show(qr_code(text))

    def converse(self, dialogue: Dialogue, submit: Callable[[str], None], typed: Callable[[str], None]) -> None:
        """Hand over what is typed. Ctrl-C clears a begun line and leaves on an empty one; Ctrl-D leaves."""
        self._session = PromptSession(
            history=InMemoryHistory(),
            completer=_Entries(dialogue),
            complete_while_typing=False,
            key_bindings=_keys(self.tell),
            bottom_toolbar=lambda: dialogue.status() or None,
            enable_suspend=True,  # Ctrl-Z
            erase_when_done=True,  # the line that shows the message takes its place
        )
        self._session.default_buffer.on_text_changed += lambda buffer: typed(buffer.text)
        with without_echo(_STANDARD_INPUT), patch_stdout():
            while True:
                try:
                    entry = self._session.prompt(dialogue.prompt, pre_run=self._leave_if_stopped)
                except KeyboardInterrupt:
                    if not self._session.default_buffer.text:
                        raise
                    self.show("* not sent; Ctrl-C on an empty line leaves")
                    continue
                except EOFError:
                    self._stopped = False
                    return
                submit(entry)

    def stop(self) -> None:
        """End the prompt from another thread, or the next one if none is open right now."""
        self._stopped = True
        self.interrupt(EOFError())

    def _leave_if_stopped(self) -> None:
        """Catch a stop that came when the prompt was not open yet."""
        if self._stopped:
            self.interrupt(EOFError())

    def interrupt(self, error: BaseException) -> bool:
        """Have the prompt that is open raise something; return whether one is."""
        app = self._session.app if self._session is not None else None
        if app is None or not app.is_running or app.loop is None:
            return False

        def leave() -> None:
            if app.is_running and app.future is not None and not app.future.done():
                app.exit(exception=error)

        app.loop.call_soon_threadsafe(leave)
        return True
