"""The benchmark itself: that it counts what happens. No figure is judged here."""

from __future__ import annotations

import argparse
import json
import os
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench import client, limits, passing, run, scenarios, suite2, turns
from bench.load import Load
from bench.machine import package_version, versions
from bench.picture import picture
from bench.processes import Busy, cpu_s, family, resident
from bench.report import growth, median, table
from bench.securechat import WAITING, SecureChatServer, envelope_id, template
from protocol import Message, decode_frame
from relay.storage import Address
from relay.storage.sqlite import SqliteStore

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins processes to cores, as Linux can")


def test_messages_that_are_accepted_and_arrive_are_counted() -> None:
    figures = scenarios.throughput(SecureChatServer, clients=4, seconds=0.2)
    assert figures["per_s"] > 0
    assert 1024 - 8 < figures["wire_bytes"] <= 1024 + 4
    assert 0 < figures["load_busy"] < 1.1
    assert 0 < figures["server_busy"] < 2.1


def test_a_crash_loses_nothing_that_was_accepted() -> None:
    """R-01: kill -9 while 50 senders write to people who are offline."""
    figures = scenarios.crash(SecureChatServer, seed=1)
    assert figures["accepted"] > 0
    assert figures["lost"] == 0


def test_messages_are_stored_and_come_while_others_wait() -> None:
    figures = scenarios.rows(SecureChatServer, waiting=1000, messages=200)
    assert {"store_per_s", "drain_per_s", "large_store_per_s", "large_drain_per_s"} <= set(figures)
    assert all(value > 0 for name, value in figures.items() if name.endswith("per_s"))


def test_the_limits_are_those_of_the_relays_own_frames_and_table(tmp_path: Path) -> None:
    received = [limits.body(number) for number in range(limits.GROUP)]
    connection = limits.table(tmp_path / "relay.db")
    limits.insert(connection, limits.batches(received, 0))
    connection.close()
    store = SqliteStore(tmp_path / "relay.db")
    waiting = store.pending(Address("user00003", 1), after=0, limit=200, size=2**20)
    store.close()
    assert [row.envelope for row in waiting] == received[100:200]
    assert isinstance(decode_frame(received[100]), Message)


def test_the_limit_of_both_is_that_of_either_together() -> None:
    figures = limits.figures(groups=1)
    assert all(value > 0 for value in figures.values())
    assert figures["both_us"] == pytest.approx(figures["parsed_us"] + figures["inserted_us"])


def test_the_limit_of_passing_on_is_measured_over_real_links() -> None:
    assert passing.microseconds(4, seconds=0.2) > 0


def test_the_oldest_of_a_large_mailbox_come_first() -> None:
    with scenarios.town(partial(SecureChatServer, waiting=300), 2) as place:
        load = Load(place.clients(slice(1, 2)))
        load.watched = True
        load.run_until("delivered", 150, timeout_s=10)
        load.close()
    assert [number - WAITING for number, _ in load.arrivals] == list(range(1, 300, 2))


def test_a_crowd_logs_in_and_writes() -> None:
    figures = scenarios.crowd(SecureChatServer, seconds=0.1, clients=10)
    assert figures["logins_per_s"] > 0
    assert figures["per_s"] > 0


@pytest.mark.parametrize("size", [1024, 16 * 1024, 64 * 1024])
def test_an_envelope_has_the_size_that_was_asked_for(size: int) -> None:
    before, after = template("alice", "bob", size)
    assert size - 8 < len(before) - 4 + 24 + len(after) <= size


def test_an_envelope_that_cannot_be_so_small_is_that_of_a_text_of_this_size() -> None:
    before, after = template("alice", "bob", 200)
    assert 4200 < len(before) + 24 + len(after) < 4400


def test_what_a_process_uses_is_found() -> None:
    assert os.getpid() in family(os.getppid())
    assert cpu_s(os.getpid()) > 0
    assert resident(os.getpid()) > 1_000_000
    busy, sum_of_squares = Busy(os.getpid()), sum(number**2 for number in range(300_000))
    assert sum_of_squares
    assert busy.shares()["load_busy"] > 0.1


def test_the_client_is_measured_beside_its_primitives(tmp_path: Path) -> None:
    figures = client.messages(tmp_path, count=3)
    assert set(figures) == set(client.STEPS)
    for step, names in client.STEPS.items():
        assert {"us", "sql_us", "share", *(f"{name}_us" for name in names)} == set(figures[step])
        assert figures[step]["share"] > 0
    start = {"start_ms": 900.0, "key_derivation_ms": 640.0, "rest_ms": 260.0, "memory_mib": 58.0}
    assert client.table({**figures, "start": start}).count("\n") == 1 + len(client.STEPS) + 2


def test_the_prompt_is_waited_for(tmp_path: Path) -> None:
    figures = client.start(tmp_path, starts=1)
    assert figures["rest_ms"] == figures["start_ms"] - figures["key_derivation_ms"]  # which are measured apart
    assert min(figures["start_ms"], figures["key_derivation_ms"], figures["memory_mib"]) > 10


def test_servers_are_measured_in_turns_and_each_turn_gives_a_ratio() -> None:
    order: list[str] = []

    def contender(name: str, rates: list[float]) -> turns.Contender:
        def measure() -> scenarios.Figures:
            order.append(name)
            return {"per_s": rates.pop(0), "load_busy": 0.5}

        return nullcontext(measure)

    compared = turns.side_by_side({"we": contender("we", [1, 8, 2, 6]), "they": contender("they", [1, 2, 4, 3])}, 3)
    assert order[2:] == ["we", "they"] * 3  # after a first one that does not count
    assert compared == {
        "we": {"per_s": 6, "load_busy": 0.5, "per_s_ratio": 1},
        "they": {"per_s": 3, "load_busy": 0.5, "per_s_ratio": 2},
    }
    table = turns.table({"S1": compared}, {"they": "1.2"}).splitlines()
    assert table[2:] == ["| S1: per_s | we 6 | they 1.2 3 | 2.00 |"]


def test_the_same_server_is_measured_again_and_again() -> None:
    """Which sends the same numbers, and must not send the same ids."""
    written = turns.side_by_side({"ours": turns.writing(SecureChatServer, clients=2, seconds=0.1)}, 2)
    assert written["ours"]["per_s"] > 0
    stored = turns.side_by_side({"ours": turns.storing(SecureChatServer, messages=100)}, 1)
    assert all(stored["ours"][name] > 0 for name in ("store_per_s", "drain_per_s"))


def test_the_same_number_has_a_higher_id_later_in_the_same_second() -> None:
    first, second, later = envelope_id(7, 1, 5), envelope_id(7, 1, 6), envelope_id(7, 2, 0)
    assert first < second < later
    assert {int.from_bytes(each[8:], "big") for each in (first, second, later)} == {7}


def test_who_stands_alone_is_beside_nobody_but_itself() -> None:
    both = {run.OURS: SecureChatServer, run.NEAREST: SecureChatServer}
    *beside, (scenario, alone) = turns.plan(both).items()
    assert [(name, list(each)) for name, each in beside] == [
        (name, list(both)) for name in ("S1, 100 clients", "S1, 1,000 clients", "S3")
    ]
    assert (scenario, list(alone)) == ("S1, clients", ["1,000", "100"])
    assert list(turns.plan({run.OURS: SecureChatServer})) == ["S1, clients"]


def test_a_comparison_that_fails_is_named_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_at_storing(contenders: dict[str, str]) -> turns.Comparison:
        if "S3" in contenders:
            raise TimeoutError("no answer")
        return {name: {"per_s": 1.0} for name in contenders}

    failed: list[str] = []
    monkeypatch.setattr(
        turns, "plan", lambda makers: {"S1": dict.fromkeys(makers), "S3": {"S3": None}, "S": {"x": None}}
    )
    monkeypatch.setattr(turns, "side_by_side", fail_at_storing)
    options = argparse.Namespace(only=[""], servers=[""], rounds=3)
    assert list(run.in_turns(options, failed)) == ["S1", "S"]
    assert failed == ["SecureChat, in turns, S3: TimeoutError no answer"]
    assert not run.is_whole(options, failed)


def test_turns_are_for_our_own_server_and_whom_the_options_name() -> None:
    assert run.in_turns(argparse.Namespace(servers=["no such server"]), []) == {}


# ---------------------------------------------------------------- what a run says


def sample() -> dict[str, Any]:
    def server(rate: float, lost: float) -> dict[str, dict[str, float]]:
        busy = {"load_busy": 0.99, "server_busy": 0.5}
        return {
            "S1, 100 clients": {"per_s": rate, **busy}, "S1, 1,000 clients": {"per_s": rate / 2, **busy},
            "crash": {"accepted": 1000, "lost": lost},
        }  # fmt: skip

    results = {"SecureChat": server(300, 0), "They & co, TLS": server(200, 50), "They & co, plain": server(400, 50)}
    machine = {"cpu": "a <fast> one", "system": "Linux", "python": "3"}
    return {"results": results, "versions": {"They & co": "1.2"}, "machine": machine, "commit": "abc"}


def test_the_table_has_versions_and_ratios_and_growth() -> None:
    kept = sample()
    lines = table(kept["results"], kept["versions"]).splitlines()
    assert lines[0] == "| | SecureChat | They & co 1.2, TLS | They & co 1.2, plain |"
    assert "| S1, 100 clients: per_s | 300 | 200 (1.50) | 400 (0.75) |" in lines
    assert "| S1, 100 clients: load_busy | 0.99 | 0.99 | 0.99 |" in lines
    assert lines[-1] == "| S1, 1,000 clients, of S1, 100 clients: per_s | 0.50 | 0.50 | 0.50 |"
    assert median([{"x": 1.0}, {"x": 9.0}, {"x": 2.0}]) == {"x": 2.0}


def test_what_was_not_measured_leaves_its_cell_empty() -> None:
    results = {"we": {"rows, 1,000": {"per_s": 4.0}, "rows, 10,000": {"per_s": 3.0}}, "they": {}}
    assert table(results, {}).splitlines()[2] == "| rows, 1,000: per_s | 4 |  |"
    assert growth(results) == ["| rows, 10,000, of rows, 1,000: per_s | 0.75 |  |"]


def test_the_picture_is_well_formed_and_shows_every_server_over_tls() -> None:
    root = ET.fromstring(picture(sample()))
    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert {"SecureChat", "They & co 1.2", "≥ 300", "≥ 100"} <= set(texts)
    assert [text for text in texts if text and text.endswith(" lost")] == ["0 lost", "50 lost"]


def test_the_picture_leaves_out_a_peer_of_which_something_is_missing() -> None:
    kept = sample()
    del kept["results"]["They & co, TLS"]["crash"]
    assert "They" not in picture(kept)


@pytest.mark.parametrize(
    ("failed", "rounds", "only", "whole"),
    [
        ([], 3, "", True),
        (["ejabberd, TLS, S3: TimeoutError"], 3, "", True),
        (["SecureChat, S3: TimeoutError"], 3, "", False),
        ([], 2, "", False),
        ([], 3, "S3", False),
    ],
)
def test_a_run_is_whole_when_nothing_of_ours_is_missing(failed: list[str], rounds: int, only: str, whole: bool) -> None:
    options = argparse.Namespace(only=[only], servers=[""], rounds=rounds)
    assert run.is_whole(options, failed) is whole


def test_a_part_of_a_run_never_replaces_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    assert run.keep(sample(), whole=True) != run.keep({"commit": "abc"}, whole=False)
    assert sorted(json.loads(path.read_text()).get("machine") is None for path in tmp_path.iterdir()) == [False, True]


def test_versions_are_those_of_the_packages() -> None:
    assert package_version("no-such-package-of-this-name") == "?"
    assert set(versions({"They": "no-such-package-of-this-name"})) == {"SecureChat", "They"}


def test_every_scenario_has_its_own_name() -> None:
    names = list(run.plan(1, 1))
    assert [name for name in names if name.startswith("S1")] == names[:8]
    assert names[-1] == "rows, 1,000,000"


def test_rows_and_limits_are_for_our_own_server_and_what_takes_minutes_is_for_fast_ones() -> None:
    names = list(run.plan(1, 1))
    left_out = {
        name: {each for each in names if not run.takes_part(name, each)} for name in (run.OURS, "Mosquitto, TLS")
    }
    ours = {each for each in names if each.startswith("rows")} | set(run.LIMITS)
    assert left_out == {run.OURS: set(), "Mosquitto, TLS": ours}
    assert not run.takes_part("ejabberd, plain", run.BULK)


def test_suite_2_is_measured_beside_its_primitives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite2, "ROUNDS", 3)
    figures = suite2.figures()
    assert set(figures) == {*suite2.PARTS, "primitives"}
    assert all(figures[step]["us"] > 0 for step in suite2.PARTS)
    assert suite2.table(figures).count("\n") == 1 + len(suite2.PARTS)
