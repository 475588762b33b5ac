"""Row 28: an old copy of a database uses the positions of its chain again."""

from __future__ import annotations

import shutil

import pytest

from crypto_utils import decode_base64
from protocol import Envelope, Frame, Message
from tests.attacks.stage import Stage


def test_two_messages_under_one_key_give_away_what_they_have_in_common(
    stage2: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if weak:
        monkeypatch.setattr("messenger.suites.suite2.secrets.token_bytes", bytes)
    alice, sent = stage2.alice, list[Envelope]()
    alice.go_offline()
    alice.database.close()
    copy = shutil.copy(alice.path, stage2.town.folder / "copy.db")

    def record(frame: Frame) -> list[Frame]:
        if isinstance(frame, Message):
            sent.append(frame)
        return [frame]

    stage2.town.outward = record
    for text in ("attack at dawn", "defend at dusk"):
        shutil.copy(copy, alice.path)
        alice.open()
        alice.go_online()
        alice.write("bob", text)
        alice.go_offline()
        alice.database.close()
    alice.open()
    one, other = (decode_base64(envelope.encrypted_content) for envelope in (sent[0], sent[-1]))
    differ = sum(a != b for a, b in zip(one, other, strict=True))
    assert (differ < len(one) / 4) is weak  # of two key streams all but one byte in 256 differ
