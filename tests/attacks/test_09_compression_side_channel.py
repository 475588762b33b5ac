"""Row 9: what is compressed beside a secret tells by its size whether it guesses it (CRIME, Threema)."""

from __future__ import annotations

import pytest

from messenger import content
from messenger.content import NO_LOG, Text, pack


def test_a_right_guess_is_not_smaller(weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr(content, "COMPRESS_ABOVE", 0)
        monkeypatch.setattr(content, "padded_size", lambda size: size)
    secret = "the code is 731942"
    right, wrong = (
        len(pack(Text(counter=1, log=NO_LOG, text=f"{secret} / the code is {guess}"))) for guess in ("731942", "250861")
    )
    assert (right < wrong) is weak
