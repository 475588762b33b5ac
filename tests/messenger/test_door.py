"""Strangers, whom nothing answers, and those who are blocked."""

from __future__ import annotations

import pytest

from errors import UsageError
from messenger.door import Standing
from messenger.events import EnvelopeRefused, MessageRequested, MessagesMissing, StateChanged
from protocol import Frame, Receipt
from tests.messenger.people import Person, Town


@pytest.fixture
def alice(town: Town) -> Person:
    return town.person("alice")


@pytest.fixture
def bob(town: Town, alice: Person) -> Person:
    """Somebody who has met nobody, and is asked before strangers hear anything."""
    bob = town.person("bob")
    bob.requests = True
    bob.restart()
    bob.go_online()
    return bob


@pytest.fixture
def receipts(town: Town, bob: Person) -> list[Frame]:
    """What bob's device says by itself."""
    said: list[Frame] = []

    def outward(frame: Frame) -> list[Frame]:
        if isinstance(frame, Receipt) and frame.sender_id == "bob":
            said.append(frame)
        return [frame]

    town.outward = outward
    return said


def states(person: Person) -> list[str]:
    return [event.state for event in person.events if isinstance(event, StateChanged)]


def test_a_stranger_hears_nothing_until_there_is_an_answer(alice: Person, bob: Person, receipts: list[Frame]) -> None:
    sent = [alice.write("bob", text) for text in ("hello", "are you there?")]
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    bob.town.run()
    assert bob.read == ["hello", "are you there?"]
    assert bob.saw(MessageRequested) == [MessageRequested("alice")]
    assert (receipts, states(alice)) == ([], ["accepted", "accepted"])
    assert bob.messenger.door.of("alice") is Standing.REQUEST
    bob.write("alice", "yes")
    assert [alice.state(each) for each in sent] == ["read", "read"]
    assert alice.read == ["yes"]
    assert bob.messenger.door.of("alice") is Standing.KNOWN
    alice.write("bob", "good")
    assert states(alice)[-1] == "delivered"
    assert len(bob.saw(MessageRequested)) == 1


def test_who_is_let_in_hears_how_far_each_message_has_come(alice: Person, bob: Person) -> None:
    first = alice.write("bob", "one")
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    second = alice.write("bob", "two")
    bob.looks = False
    third = alice.write("bob", "three")
    bob.take(bob.messenger.decisions.allow("alice", now=bob.town.now))
    bob.town.run()
    assert [alice.state(each) for each in (first, second, third)] == ["read", "delivered", "accepted"]
    before = len(states(alice))
    bob.take(bob.messenger.decisions.allow("alice", now=bob.town.now))
    bob.town.run()
    assert len(states(alice)) == before


def test_what_was_read_stays_with_who_wants_that(alice: Person, bob: Person) -> None:
    bob.read_receipts = False
    bob.restart()
    bob.go_online()
    sent = alice.write("bob", "hello")
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    bob.take(bob.messenger.decisions.allow("alice", now=bob.town.now))
    bob.town.run()
    assert alice.state(sent) == "delivered"


def test_nothing_is_seen_of_who_is_blocked_and_nothing_is_missing_afterwards(
    alice: Person, bob: Person, receipts: list[Frame]
) -> None:
    alice.write("bob", "hello")
    bob.take(bob.messenger.decisions.block("alice", now=bob.town.now))
    bob.town.run()
    sent = [alice.write("bob", f"number {number}") for number in range(3)]
    assert bob.read == ["hello"]
    assert bob.messenger.archive.count("alice") == 1
    assert bob.messenger.settled
    assert (receipts, [alice.state(each) for each in sent]) == ([], ["accepted"] * 3)
    assert bob.messenger.door.all() == {"alice": Standing.BLOCKED}
    with pytest.raises(UsageError, match="blocked"):
        bob.messenger.writing.send_text("alice", "hello", now=bob.town.now)
    bob.take(bob.messenger.decisions.allow("alice", now=bob.town.now))
    alice.write("bob", "are you back?")
    assert bob.read == ["hello", "are you back?"]
    assert [*bob.saw(MessagesMissing), *bob.saw(EnvelopeRefused)] == []
    assert [alice.state(each) for each in sent] == ["accepted"] * 3


def test_nothing_is_asked_of_who_is_blocked(alice: Person, bob: Person, receipts: list[Frame]) -> None:
    """Their message does not open: bob has lost the session."""
    alice.write("bob", "hello")
    bob.take(bob.messenger.decisions.block("alice", now=bob.town.now))
    bob.database.run("DELETE FROM session")
    before = len(bob.events)
    alice.write("bob", "hello?")
    assert (bob.events[before:], receipts, bob.messenger.settled) == ([], [], True)


def test_who_was_written_to_is_known_whoever_looks_first(alice: Person, bob: Person, receipts: list[Frame]) -> None:
    bob.write("alice", "hello")
    alice.write("bob", "hello")
    assert bob.saw(MessageRequested) == []
    assert states(alice)[-1] == "delivered"
    assert bob.messenger.door.all() == {"alice": Standing.KNOWN}


def test_nobody_can_be_let_in_who_was_never_met(bob: Person) -> None:
    assert bob.messenger.door.of("carol") is Standing.REQUEST
    for decide in (bob.messenger.decisions.allow, bob.messenger.decisions.block):
        with pytest.raises(UsageError, match="no contact"):
            decide("carol", now=bob.town.now)
