"""Row 12: a recorded login is played again, on another link or at another server (Threema)."""

from __future__ import annotations

import pytest

from protocol import LoggedIn
from tests.attacks.stage import Stage


def test_a_recorded_login_is_played_again(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr("relay.service.secrets.token_bytes", bytes)
    world = stage.town.world
    login = world.login_frame("bob", world.visit("bob's own"))
    world.do("bob's own", login)
    world.visit("thief", "203.0.113.9")
    (reply, *_) = world.replies("thief", login)
    assert isinstance(reply, LoggedIn) is weak


def test_a_login_at_one_server_is_shown_to_another(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other server hands on the nonces of ours; only its own key gives it away."""
    world = stage.town.world
    if weak:
        monkeypatch.setattr(world.relay._accounts, "_server_key_hash", bytes(32))
    login = world.login_frame("bob", world.visit("evil server"), signed={"server_key_hash": bytes(32)})
    (reply, *_) = world.replies("evil server", login)
    assert isinstance(reply, LoggedIn) is weak
