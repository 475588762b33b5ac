"""Row 43: the server shows two people two histories of everybody's keys, or takes one back (CONIKS)."""

from __future__ import annotations

from typing import Any

import pytest

from identity import create_record
from messenger.events import LogAlarm, LogDisagrees
from messenger.log_watch import LogWatch
from protocol import Identity
from tests.attacks.stage import Stage
from tests.messenger.fork import Fork
from tests.relay.world import START_S


def test_one_person_is_shown_a_false_key_and_nobody_else(
    stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob meets Carol through a key of the server's own; Carol's client never sees it. The first word to Alice does."""
    if weak:
        monkeypatch.setattr(LogWatch, "heard", lambda *_, **__: None)
    town, bob = stage.town, stage.bob
    fork = Fork(town, bob)
    false = create_record(town.keys[2], "carol", created=START_S + 1, suites=[1])
    fork.enter(false)
    carol = town.person("carol")
    fork.show()
    for person in (stage.alice, carol):
        person.go_offline()
        person.go_online()
    assert [person.saw(LogAlarm) for person in (stage.alice, bob, carol)] == [[], [], []]
    bob.write("alice", "hello")
    assert bool(stage.alice.saw(LogDisagrees)) is not weak
    fork.store.close()


def test_a_false_key_is_never_entered_into_the_log(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its owner cannot see it; and nobody who asks for a proof takes it."""
    if weak:
        monkeypatch.setattr(LogWatch, "check_answer", lambda *_, **__: bytes(32))
    town = stage.town
    town.person("carol")
    false = create_record(town.keys[0], "carol", created=START_S + 1, suites=[1])
    town.inward = lambda frame: [_with_record(frame, false) if isinstance(frame, Identity) else frame]
    stage.alice.write("carol", "for carol only")
    pinned: Any = stage.alice.messenger.contacts.find("carol")
    assert (pinned is not None) is weak
    assert bool(stage.alice.saw(LogAlarm)) is not weak


def _with_record(frame: Identity, record: Any) -> Identity:
    return Identity(proof=frame.proof, records=[record], revocations=[])
