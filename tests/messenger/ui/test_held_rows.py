"""The rows that the server holds, as a person reads them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from crypto_utils import encode_base64
from messenger.ui.held_rows import NOT_KNOWN, held_lines
from messenger.ui.text import clock, sanitise

AT = 1_700_000_000


def test_what_all_rows_of_a_table_have_is_said_once() -> None:
    rows: list[tuple[str, dict[str, int | str]]] = [
        ("device", {"created_at": AT, "device_id": 1, "user_id": "alice"}),
        ("prekey", {"device_id": 1, "id": 7, "one_time": 0, "prekey": f"6313 bytes, SHA-256 {'ab' * 32}"}),
        ("prekey", {"device_id": 1, "id": 8, "one_time": 1, "prekey": f"613 bytes, SHA-256 {'cd' * 32}"}),
    ]
    assert held_lines(rows, last=True) == [
        "  device: where you log in from",
        f"    created at {clock(AT)}, device id 1, user id alice",
        "  prekey (2 rows, each with device id 1): public keys with which others begin to write to you",
        "    id 7, one time 0, prekey of 6.3 kB (SHA-256 abababab…)",
        "    id 8, one time 1, prekey of 613 bytes (SHA-256 cdcdcdcd…)",
        NOT_KNOWN,
    ]
    assert held_lines(rows[:1], last=False) == held_lines(rows, last=True)[:2]
    assert held_lines([], last=True) == [NOT_KNOWN]


def test_of_what_is_binary_the_beginning_is_shown() -> None:
    (_, line) = held_lines([("mailbox", {"envelope_id": encode_base64(b"\1" * 16), "mark": "empty"})], last=False)
    assert line == "    envelope id AQEBAQEB…, mark empty"


names = st.text(max_size=10)
tables = st.lists(
    st.tuples(
        st.sampled_from(["mailbox", "another"]) | names,
        st.dictionaries(names, st.integers(-(2**63), 2**63) | st.text(max_size=20), max_size=4),
    ),
    max_size=6,
)


@given(tables)
def test_every_table_and_column_stands_there_whatever_the_server_says(
    rows: list[tuple[str, dict[str, int | str]]],
) -> None:
    text = "\n".join(held_lines(rows, last=False))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    for table, columns in rows:
        for name in (table, *columns):
            assert sanitise(name.replace("_", " ") if name != table else name).split("\n")[0] in text
