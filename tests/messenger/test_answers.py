"""What programs ask for and are answered: every request, over the engine that people use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import UntrustedKeyError, UsageError
from messenger import requests
from messenger.answers import HANDLERS, carry_out
from messenger.requests import id_of, parse
from tests.messenger.people import Person, Town


@pytest.fixture
def alice(town: Town) -> Person:
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "hello bob")
    bob.write("alice", "hello alice")
    return alice


@pytest.fixture
def bob(alice: Person) -> Person:
    return alice.town.people["bob"]


def ask(person: Person, do: str, **fields: Any) -> dict[str, Any]:
    request = parse(json.dumps({"do": do, **fields}))
    answer = carry_out(request, person.messenger, now=person.town.now)
    person.take(answer.output)
    person.town.run()
    result: dict[str, Any] = json.loads(json.dumps(answer.result))
    return result


def test_writing(alice: Person, bob: Person) -> None:
    sent = ask(alice, "send", to="bob", text="lunch?")
    assert (sent["type"], sent["to"], sent["state"]) == ("sent", "bob", "queued")
    ask(bob, "send", to="alice", text="yes", answers=sent["id"])
    ask(alice, "react", to="bob", emoji="\N{FIRE}")
    ask(bob, "edit", to="alice", text="yes!")
    ask(alice, "edit", to="bob", text="lunch at 1?", message="3")
    newest = ask(alice, "history", to="bob", number=2)["messages"]
    assert [(said["number"], said["text"]) for said in newest] == [(3, "lunch at 1?"), (4, "yes!")]
    assert newest[1]["answers"] == {"number": 3, "id": sent["id"], "own": True}
    assert newest[1]["reactions"] == {"ours": "\N{FIRE}", "theirs": ""}
    ask(alice, "react", to="bob", emoji="off")
    ask(bob, "delete", to="alice")
    (last,) = ask(alice, "history", to="bob", number=1)["messages"]
    assert (last["text"], last["deleted"], "reactions" in last) == ("", True, False)


def test_timers_and_typing(alice: Person, bob: Person) -> None:
    ask(alice, "timer", to="bob", time="1h")
    assert ask(bob, "contacts")["contacts"][0]["lifetime_s"] == 3600
    assert ask(alice, "typing", to="bob") == {}
    assert [type(event).__name__ for event in bob.events][-1] == "Typing"


def test_reading(alice: Person, bob: Person) -> None:
    message = bob.write("alice", "read me")
    assert ask(alice, "status")["unread"] == {"bob": 2}
    ask(alice, "read", to="bob")
    assert (ask(alice, "status")["unread"], bob.state(message)) == ({}, "read")
    assert [said["text"] for said in ask(alice, "search", words="read", to="bob")["messages"]] == ["read me"]
    assert ask(alice, "search", words="read", since="2999-01-01")["messages"] == []
    assert ask(alice, "search", words="hello", until="2999-01-01", number=1)["messages"][0]["text"] == "hello alice"
    assert set(ask(alice, "why", to="bob")["steps"]) == {"accepted", "delivered"}


def test_people(alice: Person) -> None:
    assert ask(alice, "alias", to="bob", alias="Bobby")["alias"] == "Bobby"
    assert ask(alice, "note", to="Bobby", note="owes me 5")["note"] == "owes me 5"
    assert ask(alice, "note", to="Bobby")["note"] == "owes me 5"
    assert ask(alice, "note", to="Bobby", note="off")["note"] == ""
    assert ask(alice, "mute", to="Bobby")["muted"] is True
    assert ask(alice, "keep-for", to="Bobby", time="4w")["kept_s"] == 4 * 7 * 24 * 3600
    assert ask(alice, "block", to="Bobby")["standing"] == "blocked"
    assert ask(alice, "allow", to="Bobby")["standing"] == "known"
    (contact,) = ask(alice, "contacts")["contacts"]
    assert (contact["user_id"], contact["alias"]) == ("bob", "Bobby")


def test_keys(alice: Person, bob: Person) -> None:
    number = ask(alice, "verify", to="bob")
    assert (number["trust"], number["number"]) == ("unverified", bob.messenger.decisions.safety_number("alice"))
    assert ask(alice, "verify", to="bob", number=number["number"])["trust"] == "verified"
    with pytest.raises(UntrustedKeyError):
        ask(alice, "verify", to="bob", number="0" * 60)
    for decide in ("accept", "keep"):
        with pytest.raises(UsageError, match="nothing to decide"):
            ask(alice, decide, to="bob")
    assert ask(alice, "keys")["epoch"] == 1
    ask(alice, "keys", rotate=True)
    assert ask(alice, "keys")["epoch"] == 2


def test_the_server(alice: Person) -> None:
    assert ask(alice, "log")["alarm"] is None
    assert ask(alice, "log", forget=True)["type"] == "log"
    assert ask(alice, "server-knows") == {}
    assert type(alice.events[-1]).__name__ == "ServerHolds"
    with pytest.raises(UsageError):
        ask(alice, "erase-me", number="bob")
    ask(alice, "erase-me", number=" Alice")
    assert "AccountErased" in {type(event).__name__ for event in alice.events}
    assert ask(alice, "quit") == {}


def test_every_request_is_answered() -> None:
    kinds = {kind for kind in vars(requests).values() if isinstance(kind, type) and issubclass(kind, requests.Request)}
    assert kinds - {requests.Request} == set(HANDLERS)


@pytest.mark.parametrize(
    "line",
    [
        "", "{}", "[]", "null", "7", "nonsense",
        '{"do": 7}', '{"do": "fly"}', '{"do": "send"}', '{"do": "status", "x": 1}',
        '{"do": "send", "to": "bob", "text": 7}', '{"do": "history", "to": "bob", "number": 0}', "[" * 10_000,
        '{"do": "history", "to": "bob", "number": 1001}', '{"do": "status", "id": {}}', '{"do": "status"', "\udcff",
    ],
)  # fmt: skip
def test_what_is_no_request(line: str) -> None:
    with pytest.raises(UsageError, match="no request"):
        parse(line)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(json.dumps))
def test_nothing_that_is_read_is_more_than_an_error(line: str) -> None:
    assert id_of(line) is None or isinstance(id_of(line), int | str)
    try:
        parse(line)
    except UsageError:
        return


def test_the_id_is_known_of_what_is_no_request() -> None:
    assert [id_of(line) for line in ('{"id": 7, "do": "fly"}', '{"id": "a"}', '{"id": []}', "[]", "\udcff")] == [
        7, "a", None, None, None,
    ]  # fmt: skip
