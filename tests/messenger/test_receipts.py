"""What the writers of messages hear of them."""

from __future__ import annotations

import pytest

from messenger.events import MessageReceived, StateChanged
from protocol import Acknowledge, Frame, Receipt
from tests.messenger.people import Person, Town


@pytest.fixture
def alice(town: Town) -> Person:
    return town.person("alice")


@pytest.fixture
def bob(town: Town) -> Person:
    bob = town.person("bob")
    bob.looks = False
    return bob


def show(person: Person, *, read: bool) -> None:
    messages = [(event.peer, event.id) for event in person.events if isinstance(event, MessageReceived)]
    person.take(person.messenger.shown(messages, read=read, now=person.town.now))
    person.town.run()


def heard(person: Person) -> list[str]:
    return [event.state for event in person.events if isinstance(event, StateChanged)]


def test_what_is_shown_to_a_reader_is_read_and_one_receipt_says_it(alice: Person, bob: Person) -> None:
    sent = [alice.write("bob", text) for text in ("one", "two")]
    receipts: list[Frame] = []
    alice.town.outward = lambda frame: receipts.append(frame) or [frame]  # type: ignore[func-returns-value]
    show(bob, read=True)
    assert heard(alice) == ["accepted", "accepted", "read", "read"]
    assert [alice.state(each) for each in sent] == ["read", "read"]
    assert [type(frame) for frame in receipts] == [Acknowledge, Receipt, Acknowledge]


def test_what_is_found_later_is_delivered_and_then_read(alice: Person, bob: Person) -> None:
    alice.write("bob", "hello")
    show(bob, read=False)
    assert heard(alice) == ["accepted", "delivered"]
    assert bob.messenger.archive.unread() == {"alice": 1}
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    bob.town.run()
    assert heard(alice) == ["accepted", "delivered", "read"]
    assert bob.messenger.archive.unread() == {}
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    bob.town.run()
    assert heard(alice) == ["accepted", "delivered", "read"]


def test_who_keeps_it_to_themselves_says_only_that_it_has_arrived(alice: Person, bob: Person) -> None:
    bob.read_receipts = False
    bob.restart()
    bob.go_online()
    alice.write("bob", "hello")
    show(bob, read=True)
    assert heard(alice) == ["accepted", "delivered"]
    assert bob.messenger.archive.unread() == {}
    alice.write("bob", "hello again")
    show(bob, read=False)
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    bob.town.run()
    assert heard(alice) == ["accepted", "delivered", "accepted", "delivered"]
    assert bob.messenger.archive.unread() == {}


def test_receipts_that_overtake_each_other_take_nothing_back(alice: Person, bob: Person) -> None:
    """That it was read is known; that it has arrived comes later, over another link."""
    message = alice.write("bob", "hello")
    show(bob, read=True)
    with bob.database.transaction():
        bob.messenger.outbox.add_receipt(bob.messenger.outbox.new_id(bob.town.now), "alice", [message], "delivered")
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    bob.town.run()
    assert alice.state(message) == "read"
    assert heard(alice) == ["accepted", "read"]
