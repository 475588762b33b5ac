"""Canonical JSON: one way to write a thing, held against the RFC's rules."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from canonical_json import canonical, without
from protocol import Message, Receipt
from tests.strategies import FRAMES


def rfc8785(value: Any) -> str:
    """Encode by the RFC's rules, restricted as ours is, and written without looking at ours."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{rfc8785(key)}:{rfc8785(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(rfc8785, value)) + "]"
    if isinstance(value, int):
        return str(value)
    short = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
    return '"' + "".join(short.get(ord(c), f"\\u{ord(c):04x}" if ord(c) < 32 else c) for c in value) + '"'


text = st.text(st.characters(codec="utf-8"))
ascii_keys = st.text(st.characters(min_codepoint=32, max_codepoint=126))
objects = st.recursive(
    st.integers(0, 2**53 - 1) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ascii_keys, inner, max_size=4),
)


@given(st.dictionaries(ascii_keys, objects, max_size=5))
def test_the_encoding_is_that_of_rfc_8785(value: dict[str, Any]) -> None:
    assert canonical(value).decode() == rfc8785(value)
    assert json.loads(canonical(value)) == value


def test_the_string_example_of_rfc_8785_section_3_2_2() -> None:
    encoded = canonical({"string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f"})
    assert encoded.decode() == '{"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'


def test_a_signature_covers_the_type_and_all_but_what_is_left_out() -> None:
    message = FRAMES["message"]
    assert isinstance(message, Message)
    receipt = Receipt(**msgspec.structs.asdict(message))
    assert without(message, "signature") != without(receipt, "signature")
    assert set(json.loads(without(message, "signature"))) == set(json.loads(canonical(message))) - {"signature"}
