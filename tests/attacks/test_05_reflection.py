"""Row 5: the server sends people their own envelopes back, as if the other had written them."""

from __future__ import annotations

import msgspec
import pytest

from messenger.inbox import Inbox
from messenger.suites import suite1
from tests.attacks.stage import Stage


def test_an_own_envelope_comes_back(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:  # as where both directions share a key, and nobody looks at who is named
        monkeypatch.setattr(suite1, "seal", lambda _key, content, _label: (bytes(256), content))
        monkeypatch.setattr(suite1, "open_sealed", lambda _key, _wrapped, content, _label: content)
        monkeypatch.setattr(suite1, "verify", lambda *_: None)
        monkeypatch.setattr(Inbox, "_addressed", lambda inbox, _envelope: inbox._keyring.account)
    envelope = stage.recorded(stage.alice, "bob", "my own words")
    bob = stage.bob.account
    turned = msgspec.structs.replace(envelope, sender_id="bob", sender_key=bob.key_id) if weak else envelope
    stage.deliver(stage.alice, turned)
    assert ("my own words" in stage.alice.read) is weak
