"""QR codes: what a camera sees is what was meant."""

from __future__ import annotations

import pytest
import segno

from messenger.ui.qr import qr_code


def modules(drawn: str) -> list[list[int]]:
    """Read what was drawn: 1 is dark."""
    halves = {"\u2588": (0, 0), "\u2580": (0, 1), "\u2584": (1, 0), " ": (1, 1)}
    rows: list[list[int]] = []
    for line in drawn.split("\n"):
        pairs = [halves[letter] for letter in line]
        rows += [[upper for upper, _ in pairs], [lower for _, lower in pairs]]
    return rows


@pytest.mark.parametrize("text", ["0" * 60, "123456789012345678901234567890123456789012345678901234567890", "hello"])
def test_what_is_drawn_is_the_code_with_a_border(text: str) -> None:
    drawn = modules(qr_code(text))
    code = segno.make_qr(text, error="l", boost_error=False)
    size = len(code.matrix)
    assert [row[2 : 2 + size] for row in drawn[2 : 2 + size]] == [list(map(int, row)) for row in code.matrix]
    edge = [*drawn[:2], *drawn[2 + size :], [row[0] for row in drawn], [row[-1] for row in drawn]]
    assert not any(module for row in edge for module in row)


def test_a_safety_number_fits_into_any_terminal() -> None:
    lines = qr_code("9" * 60).split("\n")
    assert max(map(len, lines)) <= 33
    assert len(lines) <= 17
