"""Row 8: a small stream that inflates without end kills whoever opens it (Bridgefy: one message, the whole network)."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest

from messenger import content
from messenger.content import HEADER_SIZE, MAX_INFLATED, padded_size
from tests.attacks.stage import Stage, sealed_bytes

SIZE = 30 * 1024 * 1024


def bomb() -> bytes:
    stream = zlib.compress(b'{"counter":2,"kind":"text","text":"' + b" " * SIZE + b'"}', 9)
    packed = b"\1" + len(stream).to_bytes(4, "big") + stream
    return packed.ljust(padded_size(HEADER_SIZE + len(stream)), b"\0")


def test_a_bomb_in_an_envelope(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr(content, "_inflate", zlib.decompress)
    envelope = sealed_bytes(stage.alice, stage.bob, bomb())
    tracemalloc.start()
    stage.deliver(stage.bob, envelope)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (peak > SIZE) is weak
    assert weak or peak < 8 * MAX_INFLATED
    assert stage.bob.read == []
