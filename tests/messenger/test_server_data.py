"""What a person learns of the server's rows, and how they have them removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from crypto_utils import PrivateKeys
from errors import Code, UsageError
from messenger.events import AccountErased, ContactErased, ErasureRefused, LogAlarm, ServerHolds
from protocol import Erase, Frame, Rows
from relay.limits import Limits, Rate
from tests.messenger.people import Person, Town


@pytest.fixture
def pair(tmp_path: Path, some_keys: list[PrivateKeys], quick_database: None) -> Iterator[tuple[Person, Person]]:
    del quick_database
    town = Town(tmp_path, some_keys, Limits(stranger_pending=1000, row_pages=Rate(burst=2, every_s=10)))
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "hello")
    bob.write("alice", "hello yourself")
    yield alice, bob
    town.close()


def ask(person: Person) -> None:
    person.take(person.messenger.ask_what_the_server_knows(now=person.town.now))
    person.town.run()


def tables(person: Person) -> set[str]:
    return {table for event in person.events if isinstance(event, ServerHolds) for table, _ in event.rows}


def test_all_pages_come_and_the_last_says_so(pair: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch) -> None:
    alice, _ = pair
    monkeypatch.setattr("relay.directory.MAX_ROWS", 4)
    ask(alice)
    pages = [event.last for event in alice.events if isinstance(event, ServerHolds)]
    assert pages == [False, False]
    alice.tick()
    assert len([event for event in alice.events if isinstance(event, ServerHolds)]) == 2  # the server wants a pause
    while not alice.events or not pages[-1]:
        alice.town.world.pass_time(11)
        alice.tick()
        pages = [event.last for event in alice.events if isinstance(event, ServerHolds)]
    assert len(pages) > 3  # prekeys are among the rows
    assert tables(alice) == {
        "link, in memory", "prekey", "device", "identity", "account", "acquaintance", "mailbox", "log_entry",
    }  # fmt: skip


def test_without_a_server_there_is_nothing_to_ask(pair: tuple[Person, Person]) -> None:
    alice, _ = pair
    alice.go_offline()
    with pytest.raises(UsageError, match="cannot be reached"):
        ask(alice)
    with pytest.raises(UsageError, match="cannot be reached"):
        alice.messenger.erase_account("alice", now=1)


def test_rows_that_nobody_asked_for_are_passed_over(pair: tuple[Person, Person]) -> None:
    alice, _ = pair
    alice.take(alice.messenger.receive([Rows(after=0, rows=[], table=0)], now=1))
    assert tables(alice) == set()
    assert [event for event in alice.events if isinstance(event, ServerHolds)] == []


def test_an_account_is_erased_and_its_contacts_hear_of_it_from_the_log(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    for wrong in ("", "alice", "bobby"):
        with pytest.raises(UsageError, match="for ever"):
            bob.messenger.erase_account(wrong, now=bob.town.now)
    bob.take(bob.messenger.erase_account("bob", now=bob.town.now))
    bob.town.run()
    assert len(bob.saw(AccountErased)) == 1
    alice.go_offline()
    alice.go_online()
    assert alice.saw(ContactErased) == [ContactErased("bob")]
    assert alice.saw(LogAlarm) == []
    message = alice.write("bob", "are you there?")
    assert alice.messenger.history.state(message) == ("rejected", Code.UNKNOWN_USER)


def test_a_refusal_is_told(pair: tuple[Person, Person]) -> None:
    _, bob = pair

    def spoil(frame: Frame) -> list[Frame]:
        if isinstance(frame, Erase):
            return [Erase(erasure=msgspec.structs.replace(frame.erasure, created=1))]
        return [frame]

    bob.town.outward = spoil
    bob.take(bob.messenger.erase_account("bob", now=bob.town.now))
    bob.town.run()
    assert bob.saw(ErasureRefused) == [ErasureRefused(Code.INVALID_CERTIFICATE)]


def test_nothing_is_erased_between_two_identities(pair: tuple[Person, Person]) -> None:
    _, bob = pair
    bob.town.outward = lambda _frame: []
    bob.take(bob.messenger.rotate(now=bob.town.now))
    with pytest.raises(UsageError, match="being rotated"):
        bob.messenger.erase_account("bob", now=bob.town.now)


def test_the_command_is_signed_by_the_account(pair: tuple[Person, Person]) -> None:
    _, bob = pair
    (frame,) = bob.messenger.erase_account("bob", now=7).frames
    assert isinstance(frame, Erase)
    assert (frame.erasure.user_id, frame.erasure.created) == ("bob", 7)
    assert frame.erasure.identity_hash == bob.account.identity_hash
