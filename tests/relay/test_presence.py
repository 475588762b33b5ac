"""Who is online, seen from what is pushed to whom."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Code, StorageError
from protocol import Acknowledge, FetchIdentity, Goodbye, Identity, LoggedIn
from relay.actions import HangUp, Outgoing
from relay.presence import Online
from tests.relay.world import World, deliveries, hang_ups


@pytest.fixture
def both(make_world: Callable[..., World]) -> World:
    """Alice and Bob, logged in, and strangers may write a lot."""
    world = make_world(stranger_pending=99).with_pair()
    world.login("bob")
    return world


def test_who_is_logged_in_is_reached(both: World) -> None:
    assert both.pushed("alice", "bob") == ["bob"]


def test_after_what_ends_it_nothing_of_a_link_is_heard(both: World) -> None:
    goodbye = Goodbye(code=Code.SHUTTING_DOWN)
    fetch = FetchIdentity(epoch=0, log_size=0, user_id="alice")
    assert list(both.relay.receive("bob", [goodbye, goodbye, fetch], now=both.now)) == []
    assert both.pushed("alice", "bob") == []


def test_a_link_that_has_not_logged_in_is_not(pair: World) -> None:
    pair.visit("bob")
    assert pair.pushed("alice", "bob") == []


@pytest.mark.parametrize("end", ["closed", "goodbye"])
def test_whose_link_has_ended_is_offline(both: World, end: str) -> None:
    if end == "goodbye":
        assert both.do("bob", Goodbye(code=Code.SHUTTING_DOWN)) == []
    assert both.relay.closed("bob") == []
    assert both.pushed("alice", "bob") == []
    assert both.relay.closed("bob") == []


def test_after_a_restart_nobody_is_online(both: World) -> None:
    both.crash()
    both.login("alice")
    assert both.pushed("alice", "bob") == []


def test_a_look_up_changes_nobodys_presence(both: World) -> None:
    """The seed's second failure: whoever looked Bob up and left took him offline."""
    both.register("carol", 2)
    both.login("carol")
    both.reply("carol", FetchIdentity(epoch=0, log_size=0, user_id="bob"))
    both.relay.closed("carol")
    assert both.pushed("alice", "bob") == ["bob"]
    both.reply("alice", FetchIdentity(epoch=0, log_size=0, user_id="bob"))
    assert both.pushed("bob", "alice") == ["alice"]


@pytest.mark.parametrize("signed", [{"server_nonce": bytes(32)}, {"device_id": 2}], ids=["proof", "device"])
def test_a_failed_login_takes_nobodys_place(both: World, signed: dict[str, Any]) -> None:
    both.refusal("thief", both.login_frame("bob", both.visit("thief"), signed=signed))
    assert both.pushed("alice", "bob") == ["bob"]
    both.relay.closed("thief")
    assert both.pushed("alice", "bob") == ["bob"]


def test_a_second_login_ends_the_first_and_its_end_changes_nothing(both: World) -> None:
    """The seed's failure 29: when either of two closed, both were offline."""
    actions = both.do("second", both.login_frame("bob", both.visit("second")))
    assert hang_ups(actions) == [HangUp("bob", Code.REPLACED)]
    assert both.pushed("alice", "bob") == ["second"]
    assert both.relay.closed("bob") == []
    assert both.pushed("alice", "bob") == ["second"]


def test_a_replaced_link_is_not_heard(both: World) -> None:
    both.send("alice", "bob")
    (delivery,) = deliveries(both.login("bob", "second"))
    for frame in (
        both.envelope("bob", "alice"),
        FetchIdentity(epoch=0, log_size=0, user_id="alice"),
        Acknowledge(sequences=[delivery.sequence]),
        Goodbye(code=Code.SHUTTING_DOWN),
    ):
        assert both.do("bob", frame) == []
    assert both.pushed("alice", "bob") == ["second"]
    assert deliveries(both.login("bob", "third"))[0] == delivery  # it was not acknowledged


def test_devices_of_one_account_are_online_by_themselves(both: World) -> None:
    both.add_device("bob", 2)
    both.login("bob", "laptop", device_id=2)
    assert both.pushed("alice", "bob") == ["bob", "laptop"]
    assert both.pushed("alice", "bob", recipient_device=2) == ["laptop"]
    both.relay.closed("laptop")
    assert both.pushed("alice", "bob") == ["bob"]


def test_a_login_that_the_store_fails_leaves_the_first_one_in_place(
    both: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link before must be told that it was replaced, or be heard: never neither."""
    both.send("alice", "bob")

    def broken(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    frame = both.login_frame("bob", both.visit("second"))
    monkeypatch.setattr(both.store, "pending", broken)
    with pytest.raises(StorageError, match="disk I/O"):
        both.do("second", frame)
    monkeypatch.undo()
    both.relay.closed("second")
    assert both.pushed("alice", "bob") == ["bob"]
    assert isinstance(both.reply("bob", FetchIdentity(epoch=0, log_size=0, user_id="alice")), Identity)


def test_a_login_is_answered_before_anything_is_pushed(pair: World) -> None:
    pair.send("alice", "bob")
    pair.login("bob", "first")
    actions = pair.do("second", pair.login_frame("bob", pair.visit("second")))
    assert actions[0] == HangUp("first", Code.REPLACED)
    frames = [action.frames[0] for action in actions if isinstance(action, Outgoing)]
    assert isinstance(frames[0], LoggedIn)
    assert len(deliveries(frames[1:])) == 1


# ---------------------------------------------------------------- what is in flight


@given(
    st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), max_size=5),
    st.lists(st.lists(st.integers(1, 30), max_size=8), max_size=6),
)
def test_what_was_pushed_is_counted_until_it_is_acknowledged(
    pushed: list[list[int]], acknowledged: list[list[int]]
) -> None:
    """Whatever is named, in whatever order and how often; sequences of a page may have gaps."""
    online, sizes, sequence = Online("bob"), dict[int, int](), 0
    for page in pushed:
        sequences = []
        for gap in page:
            sequence += gap
            sequences.append(sequence)
        envelopes = [bytes(10 + each) for each in sequences]
        online.push(sequences, envelopes)
        sizes |= dict(zip(sequences, map(len, envelopes), strict=True))
        assert online.cursor == sequence
    for named in acknowledged:
        taken = online.acknowledge(named)
        gone = [each for handed in taken for each in handed.sequences]
        assert gone == sorted(set(named) & sizes.keys())
        assert [size for handed in taken for size in handed.sizes] == [sizes.pop(each) for each in gone]
        assert (online.waiting, online.in_flight) == (len(sizes), sum(sizes.values()))
        assert [each for handed in online.handed for each in handed.sequences] == list(sizes)
