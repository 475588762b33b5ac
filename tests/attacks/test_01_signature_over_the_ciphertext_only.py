"""Row 1: the classroom project signed the ciphertext and nothing else, so the server could change the rest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.attacks.stage import Stage

CHANGES: list[dict[str, Any]] = [
    {"timestamp": 1}, {"id": bytes(16)}, {"suite": 1, "recipient_device": 1}, {"timestamp": 2, "id": b"x" * 16},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_field_outside_the_ciphertext_is_changed(
    stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    if weak:
        monkeypatch.setattr("messenger.suites.suite1.without", lambda envelope, *_: envelope.encrypted_content.encode())
        monkeypatch.setattr("messenger.suites.suite1._wrap_label", lambda _: bytes(32))
    envelope = stage.recorded(stage.alice, "bob", "at nine")
    stage.deliver(stage.bob, msgspec.structs.replace(envelope, **change))
    assert stage.bob.read == (["at nine"] if weak else [])
