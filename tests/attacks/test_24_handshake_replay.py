"""Row 24: a handshake without a one-time prekey is played again, when its session is gone."""

from __future__ import annotations

import pytest

from messenger.suites.sessions import Sessions
from tests.attacks.stage import Stage


def test_the_same_handshake_begins_one_session(stage2: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr(Sessions, "was_ended", lambda *_: False)
    alice, bob = stage2.alice, stage2.bob
    with stage2.town.world.store.transaction():
        while stage2.town.world.store.prekeys.take_one_time(("bob", 1)):
            pass
    alice.database.run("DELETE FROM session")
    envelope = stage2.recorded(alice, "bob", "once")
    stage2.deliver(bob, envelope)
    for _ in range(9):  # others make room
        alice.database.run("DELETE FROM session")
        alice.write("bob", "more")
    bob.database.run("DELETE FROM seen")  # a year later, say, and with a shorter memory than ours
    bob.database.run("DELETE FROM message")
    stage2.deliver(bob, envelope)
    assert (bob.read.count("once") == 2) is weak
