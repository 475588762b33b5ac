"""Row 3: the server delivers an envelope again, at once, after a restart, months later."""

from __future__ import annotations

import pytest

from relay.limits import DAY
from tests.attacks.stage import Stage, remember_nothing


def test_the_same_envelope_is_delivered_again(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        remember_nothing(monkeypatch)
    envelope = stage.recorded(stage.alice, "bob", "pay 100")
    stage.deliver(stage.bob, envelope, envelope)
    stage.bob.restart()
    stage.bob.go_online()
    stage.town.world.pass_time(200 * DAY)
    stage.deliver(stage.bob, envelope)
    assert set(stage.bob.read) == {"pay 100"}
    assert (len(stage.bob.read) > 1) is weak
