"""The live client on a pseudo-terminal."""

from __future__ import annotations

import io
import os
import re
import sys
import termios
from collections.abc import Callable

import pexpect

from tests.system.programs import CLIENT, ROOT


class Terminal:
    """A client and its terminal."""

    def __init__(self, *arguments: str, before: Callable[[], object] | None = None) -> None:
        """Start it; `before` is done in its process first."""
        self.child = pexpect.spawn(
            sys.executable, [CLIENT, *arguments], cwd=str(ROOT), encoding="utf-8", timeout=20,
            dimensions=(24, 160), preexec_fn=before,
            env={**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )  # fmt: skip
        self._found = termios.tcgetattr(self.child.child_fd)
        self.written = self.child.logfile_read = io.StringIO()

    def expect(self, pattern: str) -> None:
        self.child.expect(pattern)

    def type(self, text: str, *, enter: bool = True) -> None:
        self.child.send(text + ("\r" if enter else ""))

    def end(self, *, within_s: float = 20) -> int:
        """Wait for the end, see that the terminal is as it was found, and return the exit code."""
        self.child.expect(pexpect.EOF, timeout=within_s)
        assert termios.tcgetattr(self.child.child_fd) == self._found
        assert _last(self.written.getvalue(), r"\x1b\[\?25([hl])", "h") == "h"  # the cursor is shown
        assert _last(self.written.getvalue(), r"\x1b\[\?2004([hl])", "l") == "l"  # and a paste is not marked any more
        self.child.close()
        assert "Traceback" not in (self.child.before or "")
        return int(self.child.exitstatus if self.child.exitstatus is not None else 128 + (self.child.signalstatus or 0))


def _last(text: str, pattern: str, otherwise: str) -> str:
    return str((re.findall(pattern, text) or [otherwise])[-1])
