"""A step that cannot be written down changes nothing: neither on disk nor in memory, and what follows it goes on."""

from __future__ import annotations

from dataclasses import fields

import pytest

from crypto_utils import PrivateKeys
from errors import StorageError
from identity import create_record
from messenger.events import IdentityRotated, OwnIdentityRotated
from messenger.line import LinkState
from tests.messenger.people import Person, Town

LONG = "a text that needs pages of its own " * 500


@pytest.fixture
def alice(town: Town) -> Person:
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "hello")
    bob.write("alice", "hello yourself")
    return alice


@pytest.fixture
def no_commit(alice: Person) -> None:
    """Let two steps of hers fail at their end."""
    with alice.failing_commits("outbox"):
        for peer in ("bob", "carol"):
            with pytest.raises(StorageError):
                alice.write(peer, "not written")


@pytest.mark.usefixtures("no_commit")
def test_what_is_written_after_a_step_that_failed_goes_out_over_the_same_link(alice: Person) -> None:
    assert alice.messenger.outbox.count_messages() == 0
    assert alice.messenger.settled
    message = alice.write("bob", "there is room again")
    assert alice.state(message) == "delivered"
    assert alice.links == 1
    assert alice.town.people["bob"].read == ["hello", "there is room again"]


@pytest.mark.usefixtures("no_commit")
def test_what_was_asked_of_the_server_in_a_step_that_failed_is_asked_again(alice: Person) -> None:
    carol = alice.town.person("carol")
    alice.write("carol", "who are you?")
    assert carol.read == ["who are you?"]


def test_a_decision_that_was_not_written_down_can_be_made_again(alice: Person, some_keys: list[PrivateKeys]) -> None:
    """What the held envelopes bring is shown when the decision holds, and once."""
    town, bob = alice.town, alice.town.people["bob"]
    other = create_record(some_keys[2], "bob", created=1, suites=[1])
    with alice.database.transaction():
        alice.messenger.contacts.see([other], [], now=town.now)
    bob.write("alice", LONG)
    assert alice.read == ["hello yourself"]
    with alice.full_disk(), pytest.raises(StorageError):
        alice.messenger.decisions.keep("bob", now=town.now)
    alice.tick()
    assert alice.read == ["hello yourself"]
    alice.take(alice.messenger.decisions.keep("bob", now=town.now))
    town.run()
    assert alice.read == ["hello yourself", LONG]


def test_keys_whose_step_failed_are_not_taken_for_the_present_ones_before_the_former_are_kept(alice: Person) -> None:
    before = alice.account
    alice.take(alice.messenger.rotate(now=alice.town.now))
    with alice.failing_commits("former_keys"), pytest.raises(StorageError):
        alice.town.run()
    alice.take(alice.messenger.read("bob", now=alice.town.now))
    assert alice.messenger.account == before
    alice.go_offline()
    alice.go_online()
    assert alice.messenger.account.record.epoch == 2
    assert alice.messenger.keyring.opening(before.key_id) is not None
    assert alice.saw(OwnIdentityRotated) == [OwnIdentityRotated(2)]
    assert alice.town.people["bob"].saw(IdentityRotated) == [IdentityRotated("alice", was_verified=False)]


def test_a_copy_of_a_link_shares_nothing_that_changes(some_keys: list[PrivateKeys]) -> None:
    record = create_record(some_keys[0], "bob", created=1, suites=[1])
    link = LinkState(
        b"", in_flight={b"1"}, overtaken={"bob": {b"1"}}, asked={"bob"}, looked_at={"bob"}, prekeys_after={"bob": 1},
        asked_prekeys={"bob"}, pages={"bob": [record]}, heard_at={"bob": 1},
    )  # fmt: skip
    copied = link.copied()
    for field in fields(LinkState):
        ours, theirs = getattr(link, field.name), getattr(copied, field.name)
        if isinstance(ours, set | dict | list):
            assert ours, f"{field.name} must have something in it here"
            assert theirs is not ours
        if isinstance(ours, dict):
            assert all(theirs[peer] is not inner for peer, inner in ours.items() if isinstance(inner, set | list))
        assert theirs == ours
