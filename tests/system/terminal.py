"""The live client on a pseudo-terminal."""

from __future__ import annotations

import os
import sys

import pexpect

from tests.system.programs import ROOT


class Terminal:
    """A client and its terminal."""

    def __init__(self, *arguments: str) -> None:
        self.child = pexpect.spawn(
            sys.executable, ["client.py", *arguments], cwd=str(ROOT), encoding="utf-8", timeout=20,
            dimensions=(24, 160),
            env={**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )  # fmt: skip

    def expect(self, pattern: str) -> None:
        self.child.expect(pattern)

    def type(self, text: str, *, enter: bool = True) -> None:
        self.child.send(text + ("\r" if enter else ""))

    def end(self) -> int:
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert "Traceback" not in (self.child.before or "")
        return int(self.child.exitstatus if self.child.exitstatus is not None else 128 + (self.child.signalstatus or 0))
