"""The plain face: lines in, lines out, for pipes, screen readers and dumb terminals."""

from __future__ import annotations

import codecs
import getpass
import os
import queue
import threading
from collections.abc import Callable
from typing import Final, TextIO

from messenger.ui import Dialogue
from messenger.ui.terminal import fitted

_READ_SIZE: Final = 64 * 1024  # bytes
MAX_LINE: Final = 1024 * 1024  # letters: a message has at most 64 KiB
_POLL_S: Final = 0.5  # Windows does not interrupt an endless wait for Ctrl-C


class LineReader:
    """Reads lines from a descriptor, without Python's buffered standard input.

    A thread that waits in that one when the program ends would bring the interpreter down.
    """

    def __init__(self, descriptor: int) -> None:
        """Read from a descriptor."""
        self.descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._ended = False

    def read(self) -> str | None:
        """Return the next line without its end, or None when there are no more.

        One that is longer than anything that can be said comes in pieces.
        """
        while "\n" not in self._text and not self._ended and len(self._text) < MAX_LINE:
            data = os.read(self.descriptor, _READ_SIZE)
            self._text += self._decoder.decode(data, final=not data)
            self._ended = not data
        if "\n" not in self._text[:MAX_LINE] and not self._ended:
            line, self._text = self._text[:MAX_LINE], self._text[MAX_LINE:]
            return line
        line, newline, self._text = self._text.partition("\n")
        return line.removesuffix("\r") if line or newline else None

    def read_all(self) -> str:
        """Return all that is left, less one line end at its end."""
        lines = []
        while (line := self.read()) is not None:
            lines.append(line)
        return "\n".join(lines)


class PlainFace:
    """Shows the conversation on one stream, everything else on another, and never moves the cursor."""

    def __init__(self, lines: LineReader, conversation: TextIO, about: TextIO, *, answers: bool) -> None:
        """Use three streams.

        Args:
            lines: Standard input.
            conversation: Standard output.
            about: Standard error.
            answers: Whether questions may be answered by lines of a standard input that is no terminal.
        """
        self._lines = lines
        self._conversation = conversation
        self._about = about
        self._interactive = os.isatty(lines.descriptor)
        self._answers = answers or self._interactive
        self._entries: queue.Queue[str | None] = queue.Queue(maxsize=1)  # no reading ahead of what is carried out
        self._reader: threading.Thread | None = None
        self._open_prompt = ""  # of the conversation, on a terminal, while it is not answered
        self._writing = threading.Lock()  # both streams may be one terminal

    @property
    def watched(self) -> bool:
        """Whether a person types: a pipe gets everything as it comes."""
        return self._interactive

    def ask(self, prompt: str, *, secret: bool = False) -> str:
        """Ask one question; a secret is not echoed."""
        if not self._answers:
            raise EOFError
        if self._interactive and secret:
            return getpass.getpass(prompt, self._about)
        self._prompt(prompt)
        answer = self._lines.read() if self._reader is None else self._next_entry()
        if answer is None:
            raise EOFError
        return answer

    def _prompt(self, prompt: str) -> None:
        with self._writing:
            self._about.write(prompt if self._interactive else prompt.rstrip() + "\n")
            self._about.flush()

    def tell(self, line: str) -> None:
        """Show a line about the program itself."""
        self._write(self._about, line)

    def show(self, line: str) -> None:
        """Show a line of the conversation."""
        self._write(self._conversation, line)

    def ring(self) -> None:
        """Ring the bell of a terminal."""
        if self._about.isatty():
            with self._writing:
                self._about.write("\a")
                self._about.flush()

    def progress(self, line: str) -> None:
        """Show a line about an own message's way."""
        self.show(line)

    def _write(self, stream: TextIO, line: str) -> None:
        """Write a line; where the prompt stands already, below it, and the prompt anew after it."""
        if stream.isatty():
            line = fitted(line)
        with self._writing:
            if self._open_prompt:
                self._about.write("\n")
                self._about.flush()
            stream.write(line + "\n")
            stream.flush()
            if self._open_prompt:
                self._about.write(self._open_prompt)
                self._about.flush()

    def draw(self, text: str) -> None:
        """Show nothing: a QR code is no use to a pipe or a screen reader, and its text was told before."""

    def converse(self, dialogue: Dialogue, submit: Callable[[str], None], typed: Callable[[str], None]) -> None:
        """Hand over each line of standard input until it ends; the status has no place that could change."""
        del typed  # a line comes when it is done
        if self._reader is None:
            self._reader = threading.Thread(target=self._read_ahead, name="lines", daemon=True)
            self._reader.start()
        while True:
            if self._interactive:
                self._open_prompt = dialogue.prompt()
                self._prompt(self._open_prompt)
            entry = self._next_entry()
            self._open_prompt = ""
            if entry is None:
                return
            submit(entry)

    def refresh(self) -> None:
        """Show nothing: what was written stays as it is."""

    def _next_entry(self) -> str | None:
        while True:
            try:
                return self._entries.get(timeout=_POLL_S)
            except queue.Empty:
                continue

    def _read_ahead(self) -> None:
        """Read in a thread of its own: nothing can wake one that waits for a terminal or a pipe."""
        while (entry := self._lines.read()) is not None:
            self._entries.put(entry)
        self._entries.put(None)

    def stop(self) -> None:
        """End `converse`; the thread that reads ends with the program."""
        threading.Thread(target=self._entries.put, args=(None,), name="stop", daemon=True).start()

    def interrupt(self, error: BaseException) -> bool:
        """Leave it to the signal: what waits here can be interrupted."""
        del error
        return False
