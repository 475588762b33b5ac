"""Row 18: somebody is brought to speak a lower suite than they can."""

from __future__ import annotations

import pytest

from errors import Code
from messenger.content import NO_LOG, Text
from messenger.protection import Protection
from messenger.suites.suite1 import Suite1
from protocol import Message, Prekeys, Refusal
from tests.attacks.stage import Stage, sealed


def test_a_server_hides_the_keys_for_the_higher_suite(
    stage2: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that falls back then writes what a thief of the RSA key can read for ever."""
    alice, sent = stage2.alice, list[Message]()
    alice.database.run("DELETE FROM session")
    if weak:
        monkeypatch.setattr(Protection, "to_send", lambda *_: Suite1())
    hidden = Refusal(code=Code.NO_PREKEYS, command="fetch_prekeys", retry_after_s=0, subject="bob")
    stage2.town.inward = lambda frame: [hidden if isinstance(frame, Prekeys) else frame]

    def record(frame: object) -> list[object]:
        if isinstance(frame, Message):
            sent.append(frame)
        return [frame]

    stage2.town.outward = record  # type: ignore[assignment]
    alice.write("bob", "secret")
    assert ([envelope.suite for envelope in sent] == [1]) is weak


def test_a_thief_of_the_rsa_key_writes_in_the_lower_suite(
    stage2: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if weak:
        monkeypatch.setattr(Protection, "of_envelope", lambda *_: Suite1())
    forged = sealed(stage2.bob, stage2.alice, Text(counter=2, log=NO_LOG, text="it is me"))
    stage2.deliver(stage2.alice, forged)
    assert ("it is me" in stage2.alice.read) is weak
