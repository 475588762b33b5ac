"""Row 10: lengths tell what was said, and receipts give themselves away."""

from __future__ import annotations

import pytest

from messenger import content
from messenger.content import NO_LOG, Content, ReceiptContent, Text
from tests.attacks.stage import Stage, sealed


def test_short_texts_and_receipts_have_one_size_on_the_wire(
    stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if weak:
        monkeypatch.setattr(content, "padded_size", lambda size: size)
    contents: list[Content] = [Text(counter=1, log=NO_LOG, text="x" * size) for size in (1, 2, 3, 50, 100, 256)]
    contents += [
        ReceiptContent(counter=1, ids=[bytes(16)] * count, log=NO_LOG, state="delivered") for count in (1, 2, 5)
    ]
    sizes = {len(sealed(stage.alice, stage.bob, each).encrypted_content) for each in contents}
    assert (len(sizes) > 1) is weak
