"""Row 36: what shows nothing is answered, so that a stranger sees when a device is on (Careless Whisper, 2024)."""

from __future__ import annotations

from typing import Any

import pytest

from messenger.content import NO_LOG, ReceiptContent, Text
from messenger.history import History
from protocol import Frame, Receipt
from tests.attacks.stage import Stage, remember_nothing, sealed


def test_a_phone_is_watched_without_ringing(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same message again, and receipts for messages that never were."""
    if weak:  # a target that confirms whatever comes
        shown: Any = History.mark_shown
        monkeypatch.setattr(History, "mark_shown", lambda *arguments, **how: shown(*arguments, **how) or True)
        remember_nothing(monkeypatch)
    probe = sealed(stage.alice, stage.bob, Text(counter=2, log=NO_LOG, text="are you there?"))
    stage.deliver(stage.bob, probe)
    answers: list[Frame] = []

    def outward(frame: Frame) -> list[Frame]:
        if isinstance(frame, Receipt) and frame.sender_id == "bob":
            answers.append(frame)
        return [frame]

    stage.town.outward = outward
    read = list(stage.bob.read)
    about_nothing = ReceiptContent(counter=2, ids=[bytes(16)], log=NO_LOG, state="delivered")
    for _ in range(5):
        stage.deliver(stage.bob, probe)
    stage.deliver(stage.bob, sealed(stage.alice, stage.bob, about_nothing, Receipt))
    assert bool(answers) is weak
    if not weak:
        assert stage.bob.read == read


def test_a_stranger_sees_when_a_device_is_on(stage: Stage, weak: bool) -> None:
    """A message that is new and is shown, from somebody whom its reader has never written to."""
    mallory, victim = stage.town.person("mallory"), stage.bob
    victim.requests = not weak
    victim.restart()
    victim.go_online()
    probe = mallory.write("bob", "you have won")
    victim.take(victim.messenger.read("mallory", now=stage.town.now))
    stage.town.run()
    assert victim.read[-1] == "you have won"
    assert (mallory.state(probe) != "accepted") is weak
