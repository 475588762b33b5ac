"""docs/PROTOCOL.md says what the code does: its examples are run and its tables compared."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import crypto_utils
import protocol
import records
from canonical_json import canonical, decode_strictly
from connection import TRANSITIONS, State
from errors import Code
from link import LinkLimits
from messenger import content
from protocol import Goodbye, decode_frame, frame_type
from relay.limits import Limits, Rate, Startups

TEXT = (Path(__file__).parents[1] / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.split(r"\n##+ ", TEXT.partition(f"# {title}\n")[2])[0]


def rows(title: str) -> list[list[str]]:
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("example", re.findall(r"```json\n(.*?)\n```", TEXT, re.DOTALL))
def test_examples_are_frames_byte_for_byte(example: str) -> None:
    assert canonical(decode_frame(example.encode())).decode() == example


@pytest.mark.parametrize("example", re.findall(r"```json content\n(.*?)\n```", TEXT, re.DOTALL))
def test_examples_are_content_byte_for_byte(example: str) -> None:
    parsed = decode_strictly(content._contents, example.encode())
    assert canonical(parsed).decode() == example
    assert content.unpack(content.pack(parsed)) == parsed


def test_there_are_examples() -> None:
    assert len(re.findall(r"```json\n", TEXT)) > 10
    assert len(re.findall(r"```json content\n", TEXT)) == 8


def test_the_table_of_states() -> None:
    table = [
        [state.name, role.name.lower(), frame_type(frame), following.name]
        for state in State
        for (role, frame), following in TRANSITIONS[state].items()
        if frame is not Goodbye
    ]
    assert rows("3.1 The rules of a link") == table


def test_the_table_of_labels() -> None:
    assert [row[:2] for row in rows("4.1 Labels")] == [
        [label.name, label.value.decode()] for label in crypto_utils.Label
    ]


def test_the_table_of_codes() -> None:
    assert [row[0] for row in rows("9 Codes")] == list(Code)


def test_every_frame_is_described() -> None:
    described = set(re.findall(r"\*\*([a-z_]+)\*\*", section("3.2 The frames")))
    assert described == {frame_type(frame) for frame in protocol.AnyFrame.__args__}


def test_the_table_of_limits() -> None:
    values: dict[str, object] = {
        **vars(content), **vars(protocol), **vars(records),
        **{each.name: getattr(of, each.name) for of in (Limits(), LinkLimits()) for each in dataclasses.fields(of)},
    }  # fmt: skip
    for _, shown, name in rows("10 Limits"):
        value = values[name]
        if isinstance(value, Rate):
            assert shown == f"{value.burst}, then one in {value.every_s} s"
        elif isinstance(value, Startups):
            some, all_of_them = f"from {value.begin} on {value.percent} % are turned away", f"from {value.full} on all"
            assert shown == f"{some}, {all_of_them}"
        else:
            assert shown.removesuffix(" s") == f"{value:,.0f}", name
    named = {name for _, _, name in rows("10 Limits")}
    assert set(Limits.__dataclass_fields__) - named == {"max_users"}
    assert set(LinkLimits.__dataclass_fields__) - named == {"outbox_frames"}


def test_sections_that_the_code_cites_exist() -> None:
    numbers = set(re.findall(r"^##+ ([0-9.]+) ", TEXT, re.MULTILINE))
    root = Path(__file__).parents[1]
    for path in [*root.glob("*.py"), *root.glob("relay/**/*.py"), *root.glob("messenger/**/*.py")]:
        for cited in re.findall(r"PROTOCOL\.md sections? ([0-9]+(?:\.[0-9]+)?)", path.read_text(encoding="utf-8")):
            assert cited in numbers, f"{path.name} cites section {cited}"
