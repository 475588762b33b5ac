"""The benchmark itself: that it counts what happens. No figure is judged here."""

from __future__ import annotations

import os

import pytest

from bench import scenarios
from bench.run import median, table
from bench.securechat import SecureChatServer

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins processes to cores, as Linux can")


def test_messages_that_are_accepted_and_arrive_are_counted() -> None:
    figures = scenarios.throughput(SecureChatServer, clients=4, seconds=0.2)
    assert figures["per_s"] > 0
    assert 0 < figures["load_busy"] < 1.1


def test_a_crash_loses_nothing_that_was_accepted() -> None:
    """R-01: kill -9 while 50 senders write to people who are offline."""
    figures = scenarios.crash(SecureChatServer, seed=1)
    assert figures["accepted"] > 0
    assert figures["lost"] == 0


def test_the_table_has_ratios() -> None:
    results = {"we": {"S1": {"per_s": 300.0}}, "they": {"S1": {"per_s": 200.0}}}
    assert table(results).splitlines()[-1] == "| S1: per_s | 300 | 200 (1.50) |"
    assert median([{"x": 1.0}, {"x": 9.0}, {"x": 2.0}]) == {"x": 2.0}
