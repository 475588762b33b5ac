from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import UsageError
from messenger.durations import seconds, spelt

DAY = 24 * 3600


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [("30s", 30, "30 seconds"), ("1h", 3600, "1 hour"), ("90m", 5400, "90 minutes"), ("14d", 14 * DAY, "2 weeks")],
)
def test_spans(text: str, span: int, words: str) -> None:
    assert (seconds(text, longest=30 * DAY), spelt(span)) == (span, words)


def test_off_is_none() -> None:
    assert seconds("off", longest=1) == 0


@pytest.mark.parametrize("text", ["", "0s", "1", "h", "-1h", "1.5h", "31d", "1y", "9999999999w", "1h\n"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(UsageError):
        seconds(text, longest=30 * DAY)


@given(st.integers(1, 10**6), st.sampled_from("smhdw"))
def test_what_is_spelt_means_the_same(number: int, unit: str) -> None:
    span = seconds(f"{number}{unit}", longest=10**12)
    count, name = spelt(span).split()
    assert seconds(f"{count}{name[0]}", longest=10**12) == span
