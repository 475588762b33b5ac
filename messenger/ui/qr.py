"""A QR code in a terminal: two rows of modules a line, light ones drawn, so that it reads on a dark screen too."""

from __future__ import annotations

_BORDER = 2  # modules; ISO/IEC 18004 asks for 4, every reader of today is content with less
_HALVES = {(0, 0): "\u2588", (0, 1): "\u2580", (1, 0): "\u2584", (1, 1): " "}  # upper and lower; 1 is dark


def qr_code(text: str) -> str:
    """Return lines that show a text as a QR code (ISO/IEC 18004), error correction level L."""
    import segno  # noqa: PLC0415 - 4 MB and 15 ms of each start, for what is shown seldom

    code = segno.make_qr(text, error="l", boost_error=False)
    rows = [tuple(int(module) for module in row) for row in code.matrix_iter(border=_BORDER)]
    if len(rows) % 2:
        rows.append((0,) * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join("".join(_HALVES[halves] for halves in zip(*pair, strict=True)) for pair in pairs)
