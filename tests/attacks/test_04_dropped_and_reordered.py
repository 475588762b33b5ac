"""Row 4: the server drops a message, or lets a later one overtake it (Telegram's "crime-pizza", Threema)."""

from __future__ import annotations

import pytest

from messenger.events import MessagesMissing
from messenger.inbox import Inbox
from tests.attacks.stage import Stage


def test_a_dropped_message_is_noticed_with_the_next(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr(Inbox, "_note_counter", lambda *_: None)
    first = stage.recorded(stage.alice, "bob", "I say yes to the pizza")
    second = stage.recorded(stage.alice, "bob", "I say no to the crime")
    stage.deliver(stage.bob, second)
    assert stage.bob.saw(MessagesMissing) == ([] if weak else [MessagesMissing("alice", 1)])
    stage.deliver(stage.bob, first)
    assert stage.bob.read == ["I say no to the crime", "I say yes to the pizza"]
