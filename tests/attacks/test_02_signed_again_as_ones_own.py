"""Row 2: Mallory takes Alice's signature off and signs the same ciphertext as her own (Davis, USENIX 2001)."""

from __future__ import annotations

import msgspec
import pytest

from canonical_json import without
from crypto_utils import Label, encode_base64, sign
from messenger.events import MessageReceived
from tests.attacks.stage import Stage


def test_mallory_claims_what_alice_wrote(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:
        monkeypatch.setattr("messenger.suites.suite1._wrap_label", lambda _: bytes(32))
    mallory = stage.town.person("mallory")
    envelope = stage.recorded(stage.alice, "bob", "I found the proof")
    claimed = msgspec.structs.replace(envelope, sender_id="mallory", sender_key=mallory.account.key_id)
    signature = sign(mallory.account.keys.rsa, Label.ENVELOPE_1, without(claimed, "signature"))
    stage.deliver(stage.bob, msgspec.structs.replace(claimed, signature=encode_base64(signature)))
    shown = [(event.peer, event.text) for event in stage.bob.events if isinstance(event, MessageReceived)]
    assert shown == ([("mallory", "I found the proof")] if weak else [])
