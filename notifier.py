"""Lets a person who does not look know that somebody has written: by the terminal's bell, or a command of theirs."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from errors import UsageError

if TYPE_CHECKING:
    import subprocess

OFF, BELL = "off", "bell"
EVERY_S: Final = 2.0  # at most; what comes in between rings no more


def check_notification(text: str) -> str:
    """Return how to notify, which is `off`, `bell` or a command line.

    Raises:
        UsageError: It is no command line.
    """
    try:
        if words(text):
            return text
    except ValueError:
        pass
    message = f"{text!r} is no command"
    raise UsageError(message, hint="off, bell, or a command such as: notify-send SecureChat")


def words(text: str) -> list[str]:
    """Return the words of a command line; on Windows a backslash is one of a path."""
    return shlex.split(text, posix=os.name != "nt")


class Notifier:
    """Rings, not too often."""

    def __init__(self, how: str, ring: Callable[[], None], tell: Callable[[str], None]) -> None:
        """Notify so.

        Args:
            how: As `check_notification` returns it.
            ring: Rings the bell.
            tell: Tells the person, once each, that their command cannot be started any more, or how the last one
                failed, when the next begins.

        Raises:
            UsageError: There is no such command.
        """
        self._command = words(how) if how not in {OFF, BELL} else []
        if self._command and shutil.which(self._command[0]) is None:
            message = f"there is no command {self._command[0]!r} to notify with"
            raise UsageError(message, hint="--notify off, bell, or a command such as: notify-send SecureChat")
        self._ring = ring if how == BELL else None
        self._tell = tell
        self._told: set[str] = set()
        self._again_at_s = 0.0
        self._running: subprocess.Popen[bytes] | None = None

    def notify(self, name: str) -> None:
        """Say who has written, and nothing of what: others may look at the screen.

        The command gets the name as its last argument; one that does not end is not started twice.
        """
        now_s = time.monotonic()
        if now_s < self._again_at_s:
            return
        self._again_at_s = now_s + EVERY_S
        if self._ring is not None:
            self._ring()
        elif self._command and (self._running is None or self._running.poll() is not None):
            self._tell_of_failure()
            self._start(name)

    def _tell_of_failure(self) -> None:
        """Say how the last command ended, if it failed: its own words go nowhere."""
        if self._running is not None and self._running.returncode:
            self._tell_once(f"! it may not have rung: {self._command[0]} ended with {self._running.returncode}")

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)

    def _start(self, name: str) -> None:
        """Start the command; one that was there at the start of the client may be gone by now."""
        import subprocess  # noqa: PLC0415 - most people have no command

        try:
            self._running = subprocess.Popen(  # noqa: S603 - the person's own command, and no shell
                [*self._command, name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            self._tell_once(f"! nothing rings: cannot start {self._command[0]} ({error.strerror})")
