"""docs/FACES.md is true of every face: its tables are compared with the commands, actions, requests and events."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from client_options import make_parser
from messenger.answers import HANDLERS
from messenger.commands import COMMANDS
from messenger.events import Event
from messenger.ui.event_lines import event_line
from messenger.ui.json_events import TYPES, event_data
from messenger.ui.json_lines import json_line
from outline import outline
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
