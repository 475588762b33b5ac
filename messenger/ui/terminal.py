"""What a face must know of the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

try:
    import termios
except ImportError:  # Windows has none, and its terminals keep no such state
    termios = None  # type: ignore[assignment]

from messenger.ui.text import folded

_STANDARD_OUTPUT: Final = 1
_COLUMNS: Final = 80  # where it cannot be known


def take_over(descriptor: int) -> None:
    """Have a terminal take lines again: a program that was killed at its prompt leaves one that knows no Enter."""
    if termios is None or not _is_ours(descriptor):
        return
    mode = termios.tcgetattr(descriptor)
    mode[0] |= termios.ICRNL
    mode[1] |= termios.OPOST
    mode[3] |= termios.ICANON | termios.ISIG | termios.IEXTEN | termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, mode)


@contextmanager
def without_echo(descriptor: int) -> Iterator[None]:
    """Show nothing of what is typed between two prompts: the next one has it."""
    if termios is None or not _is_ours(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    mode = termios.tcgetattr(descriptor)
    mode[0] &= ~termios.ICRNL
    mode[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, mode)
    try:
        yield
    finally:
        with suppress(termios.error):  # the terminal may have gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _is_ours(descriptor: int) -> bool:
    """Tell whether this is our terminal, and we are in its foreground: in the background it is not ours to set."""
    try:
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False


def fitted(text: str) -> str:
    """Break the lines of a text to the present width of the terminal.

    The variable COLUMNS is not asked: it may be of the time before the window was made smaller.
    """
    try:
        columns = os.get_terminal_size(_STANDARD_OUTPUT).columns
    except OSError:
        columns = _COLUMNS
    return folded(text, columns or _COLUMNS)
