"""Row 37: the server says that a message was delivered which it has thrown away (More is Less, 2018)."""

from __future__ import annotations

import pytest

from messenger.account import Account
from messenger.content import NO_LOG, ReceiptContent, pack
from messenger.suites.draft import Draft
from messenger.suites.suite1 import Suite1
from protocol import Accepted, Message, Receipt
from tests.attacks.stage import Stage


def test_the_server_confirms_what_it_has_dropped(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can seal in anybody's name, and only not sign."""
    if weak:
        monkeypatch.setattr("messenger.suites.suite1.verify", lambda *_: None)
    stage.town.outward = lambda frame: [] if isinstance(frame, Message) else [frame]
    message = stage.alice.write("bob", "important")
    stage.alice.take(stage.alice.messenger.receive([Accepted(ids=[message], timestamp=1)], now=stage.town.now))
    content = ReceiptContent(counter=1, ids=[message], log=NO_LOG, state="delivered")
    server = Account("bob", stage.town.keys[2], stage.bob.account.record)
    draft = Draft(Receipt, bytes(16), 1)
    stage.deliver(stage.alice, Suite1().encrypt(server, stage.alice.account.record, draft, pack(content)))
    assert (stage.alice.state(message) == "delivered") is weak
