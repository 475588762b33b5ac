"""The live client on a pseudo-terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

import pexpect
import ptyprocess
import pyte

from tests.system.nursery import nursery
from tests.system.programs import CLIENT, FORKED, ROOT

ROWS, COLUMNS = 24, 160


class Screen(pyte.Screen):
    """What stands in the window; it answers where its cursor is, as every terminal does."""

    def __init__(self, answer: Callable[[str], object]) -> None:
        super().__init__(COLUMNS, ROWS)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data)


class Written(io.StringIO):
    """All that came from the program, which also goes to the screen."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._stream = pyte.Stream(screen)

    def write(self, text: str) -> int:
        self._stream.feed(text)
        return super().write(text)


class Spawned(pexpect.spawn):  # type: ignore[misc]
    """What pexpect starts, at the price of a fork."""

    def _spawnpty(self, args: list[bytes], *, env: dict[str, str], **_: Any) -> Any:
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (ROWS, COLUMNS))
        process_id = nursery().start([os.fsdecode(word) for word in args[1:]], [slave], env)
        os.close(slave)
        return ptyprocess.PtyProcess(process_id, master)


class Terminal:
    """A client and its terminal."""

    def __init__(
        self, *arguments: str, before: Callable[[], object] | None = None, term: str = "xterm-256color"
    ) -> None:
        """Start it; `before` is done in its process first."""
        kind = Spawned if CLIENT in FORKED and before is None else pexpect.spawn
        self.child = kind(
            sys.executable, [CLIENT, *arguments], cwd=str(ROOT), encoding="utf-8", timeout=20,
            dimensions=(ROWS, COLUMNS), preexec_fn=before,
            env={**os.environ, "TERM": term},
        )  # fmt: skip
        self._found = termios.tcgetattr(self.child.child_fd)
        self._screen = Screen(self.child.send)
        self.written = self.child.logfile_read = Written(self._screen)

    def expect(self, pattern: str) -> None:
        self.child.expect(pattern)

    def see(self, text: str, *, within_s: float = 20) -> list[str]:
        """Wait until a text stands on the screen, as a person sees it, and return the screen."""
        deadline_s = time.monotonic() + within_s
        while not any(text in line for line in self._screen.display):
            assert time.monotonic() < deadline_s, "\n".join(self._screen.display)
            self.child.expect([r".+", pexpect.TIMEOUT], timeout=0.1)
        return [line.rstrip() for line in self._screen.display]

    def type(self, text: str, *, enter: bool = True) -> None:
        self.child.send(text + ("\r" if enter else ""))

    def paste(self, text: str) -> None:
        """Enter a text as a terminal does that marks what is pasted."""
        self.child.send(f"\x1b[200~{text}\x1b[201~\r")

    def end(self, *, within_s: float = 20) -> int:
        """Wait for the end, see that the terminal is as it was found, and return the exit code."""
        self.child.expect(pexpect.EOF, timeout=within_s)
        assert termios.tcgetattr(self.child.child_fd) == self._found
        assert _last(self.written.getvalue(), r"\x1b\[\?25([hl])", "h") == "h"  # the cursor is shown
        assert _last(self.written.getvalue(), r"\x1b\[\?2004([hl])", "l") == "l"  # and a paste is not marked any more
        self.child.close()
        assert "Traceback" not in self.written.getvalue(), self.written.getvalue()
        return int(self.child.exitstatus if self.child.exitstatus is not None else 128 + (self.child.signalstatus or 0))


def _last(text: str, pattern: str, otherwise: str) -> str:
    return str((re.findall(pattern, text) or [otherwise])[-1])
