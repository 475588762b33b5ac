"""What a face must know of the terminal."""

from __future__ import annotations

import os
from typing import Final

from messenger.ui.text import folded

_STANDARD_OUTPUT: Final = 1
_COLUMNS: Final = 80  # where it cannot be known


def fitted(text: str) -> str:
    """Break the lines of a text to the present width of the terminal.

    The variable COLUMNS is not asked: it may be of the time before the window was made smaller.
    """
    try:
        columns = os.get_terminal_size(_STANDARD_OUTPUT).columns
    except OSError:
        columns = _COLUMNS
    return folded(text, columns or _COLUMNS)
