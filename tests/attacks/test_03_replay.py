"""Row 3: the server delivers an envelope again, at once, after a restart, months later."""

from __future__ import annotations

import pytest

from messenger.history import History
from relay.limits import DAY
from tests.attacks.stage import Stage


def test_the_same_envelope_is_delivered_again(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr(History, "was_seen", lambda *_: False)
        monkeypatch.setattr(History, "add_received", lambda *_, **__: None)
    envelope = stage.recorded(stage.alice, "bob", "pay 100")
    stage.deliver(stage.bob, envelope, envelope)
    stage.bob.restart()
    stage.bob.go_online()
    stage.town.world.pass_time(200 * DAY)
    stage.deliver(stage.bob, envelope)
    assert set(stage.bob.read) == {"pay 100"}
    assert (len(stage.bob.read) > 1) is weak
