"""What a face must know of the terminal."""

from __future__ import annotations

import os
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
    if termios is None or not os.isatty(descriptor) or os.tcgetpgrp(descriptor) != os.getpgrp():
        return  # in the background it is not ours to set
    mode = termios.tcgetattr(descriptor)
    mode[0] |= termios.ICRNL
    mode[1] |= termios.OPOST
    mode[3] |= termios.ICANON | termios.ISIG | termios.IEXTEN | termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, mode)


def fitted(text: str) -> str:
    """Break the lines of a text to the present width of the terminal.

    The variable COLUMNS is not asked: it may be of the time before the window was made smaller.
    """
    try:
        columns = os.get_terminal_size(_STANDARD_OUTPUT).columns
    except OSError:
        columns = _COLUMNS
    return folded(text, columns or _COLUMNS)
