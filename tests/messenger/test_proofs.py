"""What the server proves of own messages, and what a client makes of a server that does not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from acceptance import sign_acceptance
from errors import Code
from messenger.events import AcceptanceMissing, AcceptanceProven
from protocol import AcceptanceProof, Frame
from tests.messenger.people import Person, Town
from tests.relay.world import SERVER_KEY


@pytest.fixture
def alice(town: Town) -> Person:
    return town.person("alice")


@pytest.fixture
def bob(alice: Person) -> Person:
    return alice.town.person("bob")


def ask(person: Person, peer: str) -> None:
    person.take(person.messenger.ask_for_proof(peer, now=person.town.now))
    person.town.run()


def steps(person: Person, peer: str) -> list[str]:
    return [state for state, _ in person.messenger.archive.last_way(peer)[1]]


def test_the_server_proves_that_it_has_a_message_and_that_it_was_fetched(alice: Person, bob: Person) -> None:
    bob.go_offline()
    alice.write("bob", "hello")
    ask(alice, "bob")
    assert [event.fetched for event in alice.saw(AcceptanceProven)] == [False]
    assert steps(alice, "bob") == ["accepted", "signed"]
    bob.go_online()
    alice.town.run()
    ask(alice, "bob")
    assert [event.fetched for event in alice.saw(AcceptanceProven)] == [False, True]
    assert set(steps(alice, "bob")) == {"accepted", "signed", "fetched", "delivered"}
    said, _ = alice.messenger.archive.last_way("bob")
    proof = alice.messenger.archive.proof(said)
    assert proof is not None
    assert b'"fetched":true' in proof


def test_nothing_is_asked_where_there_is_nothing_to_prove(alice: Person, bob: Person) -> None:
    ask(alice, "bob")
    alice.go_offline()
    alice.take(alice.messenger.writing.send_text("bob", "hello", now=alice.town.now)[1])
    ask(alice, "bob")
    assert (alice.saw(AcceptanceProven), alice.saw(AcceptanceMissing)) == ([], [])


@pytest.mark.parametrize("lie", ["another key", "another message", "another sender", "changed"])
def test_a_word_that_does_not_hold_is_none(alice: Person, bob: Person, lie: str) -> None:
    alice.write("bob", "hello")

    def lying(frame: Frame) -> list[Frame]:
        if not isinstance(frame, AcceptanceProof):
            return [frame]
        told = frame.acceptance
        if lie == "another key":
            told = sign_acceptance(SERVER_KEY, told)
        elif lie == "another message":
            told = replace(told, id=bytes(16))
        elif lie == "another sender":
            told = replace(told, sender_id="bob")
        else:
            told = replace(told, fetched=not told.fetched)
        return [AcceptanceProof(acceptance=told)]

    alice.town.inward = lying
    ask(alice, "bob")
    assert alice.saw(AcceptanceMissing) == [AcceptanceMissing("bob", None)]
    assert "signed" not in steps(alice, "bob")


def test_a_server_that_has_forgotten_is_seen(alice: Person, bob: Person) -> None:
    alice.write("bob", "hello")
    alice.town.world.store._db.execute("DELETE FROM mailbox")
    alice.town.world.store._spared.clear()
    ask(alice, "bob")
    assert alice.saw(AcceptanceMissing) == [AcceptanceMissing("bob", Code.NOT_HELD)]


def test_a_word_that_nobody_asked_for_is_passed_over(alice: Person, bob: Person) -> None:
    alice.write("bob", "hello")
    kept: list[Frame] = []

    def twice(frame: Frame) -> list[Frame]:
        if isinstance(frame, AcceptanceProof):
            kept.append(frame)
            return [frame, frame]
        return [frame]

    alice.town.inward = twice
    ask(alice, "bob")
    assert len(alice.saw(AcceptanceProven)) == 1
