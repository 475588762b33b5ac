"""The live face: prompt_toolkit's prompt, which incoming messages do not disturb.

A pasted text of several lines is one entry (bracketed paste).
"""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from messenger.ui.qr import qr_code
from messenger.ui.terminal import fitted


class LineFace:
    """A prompt at the bottom of the terminal, and lines above it."""

    watched = True

    def __init__(self, words: Sequence[str]) -> None:
        """Prepare the prompt.

        Args:
            words: What the tab key completes at the beginning of a line.
        """
        self._words = list(words)
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

    def converse(self, prompt: Callable[[], str], status: Callable[[], str], submit: Callable[[str], None]) -> None:
        """Hand over what is typed. Ctrl-C clears a begun line and leaves on an empty one; Ctrl-D leaves."""
        completer = WordCompleter(self._words, sentence=True)
        self._session = PromptSession(
            history=InMemoryHistory(),
            completer=completer,
            complete_while_typing=False,
            bottom_toolbar=lambda: status() or None,
            erase_when_done=True,  # the line that shows the message takes its place
        )
        with patch_stdout():
            while True:
                try:
                    entry = self._session.prompt(prompt, pre_run=self._leave_if_stopped)
                except KeyboardInterrupt:
                    if not self._session.default_buffer.text:
                        raise
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
