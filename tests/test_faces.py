"""docs/FACES.md is true of every face: its tables are compared with the commands, actions, requests and events."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from client_options import make_parser
from crypto_utils import PrivateKeys
from identity import create_record
from messenger.answers import HANDLERS, carry_out
from messenger.commands import COMMANDS
from messenger.events import Event
from messenger.requests import parse
from messenger.ui.event_lines import event_line
from messenger.ui.json_events import TYPES, event_data
from messenger.ui.json_lines import json_line
from outline import outline
from tests.messenger.people import Person, Town
from tests.messenger.ui.test_text import EVENTS

PAGE = (Path(__file__).parent.parent / "docs" / "FACES.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this heading."""
    found = re.search(rf"^\| {heading}.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert found is not None
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def code(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


def test_every_command_stands_in_the_table() -> None:
    named = [word for row in table("what") for word in code(row[1]) if word.startswith("/")]
    assert sorted(named) == sorted(f"/{name}" for name in COMMANDS)


def test_every_action_stands_in_the_table() -> None:
    named = {word for row in table("what") for word in code(row[2])}
    assert named - {"--help"} == {action.name for action in outline(make_parser()).actions}


def test_every_request_stands_in_both_tables_with_its_fields() -> None:
    named = {code(row[3])[0] for row in table("what") if code(row[3])}
    tags = {str(kind.__struct_config__.tag): kind for kind in HANDLERS}
    assert named == set(tags)
    rows = {code(row[0])[0]: row[1] for row in table("request")}
    assert set(rows) == set(tags)
    for tag, kind in tags.items():
        fields = [
            f"[`{each.encode_name}`]" if not each.required else f"`{each.encode_name}`"
            for each in msgspec.structs.fields(kind)
            if each.name != "id"
        ]
        assert ", ".join(fields) == rows[tag]


def test_every_event_stands_in_the_table_under_its_type() -> None:
    named = {code(row[0])[0]: code(row[1])[0] for row in table("event")}
    assert named == {kind.__name__: name for kind, name in TYPES.items()}
    assert set(TYPES) == set(get_args(Event))


def test_there_is_an_example_of_every_event() -> None:
    assert {type(event) for event, _ in EVENTS} == set(TYPES)


@pytest.mark.parametrize("event", [event for event, _ in EVENTS], ids=lambda event: type(event).__name__)
def test_every_face_has_every_event(event: Event) -> None:
    """Whatever is in it, a line is printable, and its data can be written."""
    assert event_line(event)
    assert json_line(event_data(event)).isprintable()


def test_what_can_be_done_in_the_conversation_can_be_done_by_an_action() -> None:
    """But for what a program has no need of: choosing whom to write to, typing, and leaving."""
    without = [row[0] for row in table("what") if row[1] != "-" and row[2] == "-"]
    assert without == ["choose whom to write to", "let the other see that one types", "leave"]


# ---------------------------------------------------------------- what requests are answered


@pytest.fixture
def town(tmp_path: Path, some_keys: list[PrivateKeys], quick_database: None, few_prekeys: None) -> Iterator[Town]:
    made = Town(tmp_path, some_keys)
    yield made
    made.close()


class Program:
    """Asks in somebody's name, and keeps the results by what was asked."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.results: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def ask(self, do: str, **fields: Any) -> None:
        answer = carry_out(parse(json.dumps({"do": do, **fields})), self.person.messenger, now=self.person.town.now)
        self.results[do].append(json.loads(json.dumps(answer.result)))
        self.person.take(answer.output)
        self.person.town.run()


def everything_asked(town: Town) -> Program:
    """Have a program ask for everything there is, of an account to which everything has happened."""
    alice, bob, carol = (town.person(name) for name in ("alice", "bob", "carol"))
    program = Program(alice)
    ask = program.ask
    ask("send", to="bob", text="hello bob")
    bob.write("alice", "hello alice")
    ask("send", to="bob", text="how are you?", answers="2")
    ask("edit", to="bob", text="how are you today?")
    ask("react", to="bob", emoji="\N{FIRE}")
    ask("send", to="bob", text="taken back")
    ask("delete", to="bob")
    ask("timer", to="bob", time="1h")
    ask("send", to="bob", text="gone in an hour")
    ask("typing", to="bob")
    ask("read", to="bob")
    ask("why", to="bob")
    ask("why", to="bob")  # now that the server has proven its part
    ask("history", to="bob")
    ask("send", to="nobody", text="hello?")
    ask("history", to="nobody")
    ask("search", words="hello")
    ask("alias", to="bob", alias="Bobby")
    ask("note", to="bob", note="a note")
    ask("mute", to="bob")
    ask("keep-for", to="bob", time="4w")
    ask("verify", to="bob")
    for each in ("contacts", "status", "keys", "log", "server-knows"):
        ask(each)
    carol.write("alice", "hello")
    for decision, keys in (("keep", town.keys[0]), ("accept", town.keys[1])):
        with alice.database.transaction():
            other = create_record(keys, "carol", created=1, suites=[1])
            alice.messenger.contacts.see([other], [], now=town.now)
        ask(decision, to="carol")
    ask("allow", to="carol")
    ask("block", to="carol")
    ask("erase-me", number="alice")
    ask("quit")
    return program


def test_every_result_is_what_the_tables_say(town: Town) -> None:
    """And each key that may be left out is there once, and left out once."""
    kinds = {code(row[0])[0]: row[1] for row in table("object")}
    rows = {code(row[0])[0]: code(row[2]) for row in table("request")}
    results = everything_asked(town).results
    assert set(results) == set(rows)
    objects: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for request, answers in results.items():
        for result in answers:
            match rows[request]:
                case []:
                    assert result == {}, request
                case [kind]:
                    objects[kind].append(result)
                case [key, kind]:
                    assert list(result) == [key], request
                    objects[kind] += result[key]
    assert set(objects) == set(kinds)
    for kind, cell in kinds.items():
        always, sometimes = code(re.sub(r"\[[^]]*\]", "", cell)), re.findall(r"\[`([^`]+)`\]", cell)
        for each in objects[kind]:
            assert each.pop("type") == kind
            assert [key for key in each if key not in sometimes] == always, kind
            assert [key for key in code(cell) if key in each] == list(each), kind
        for key in sometimes:
            assert {key in each for each in objects[kind]} == {True, False}, f"{kind}: {key}"
