"""Edges of the relay: a queue that is full or has ended, actions that fail, pages cut by their size."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from crypto_utils import PrivateKeys
from errors import Code
from protocol import Ping
from relay import mailboxes, writer
from relay.actions import Action, Link, Outgoing
from relay.limits import DAY, Limits, Now
from relay.writer import Job, Writer
from tests.relay.world import World, deliveries


def idle(_now: Now) -> list[Action]:
    return []


def test_a_full_queue_is_waited_for_and_an_ended_one_is_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUE", 1)
    monkeypatch.setattr(writer, "QUEUE_POLL_S", 0.01)
    made = Writer(world.relay, world.store, lambda: world.now, lambda _actions: None, lambda _links: None)
    made.submit(Job("one", idle))
    waiting = threading.Thread(target=made.submit, args=(Job("two", idle),))
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    made.start()
    waiting.join(10)
    assert not waiting.is_alive()
    made.stop()
    for _ in range(3):
        made.submit(Job("late", idle))


def test_actions_that_fail_cut_their_links_and_nothing_else(world: World, caplog: pytest.LogCaptureFixture) -> None:
    cut: list[set[Link]] = []

    def fail(_actions: list[Action]) -> None:
        raise ZeroDivisionError

    made = Writer(world.relay, world.store, lambda: world.now, fail, cut.append)
    made.submit(Job("one", lambda _now: [Outgoing("two", Ping())]))
    made.start()
    made.stop()
    assert cut == [{"one", "two"}]
    assert "the actions of a group failed" in caplog.text


def test_a_long_expiry_goes_on_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "EXPIRE_AT_ONCE", 1)
    monkeypatch.setattr("relay.service.EXPIRE_AT_ONCE", 1)
    world.register("alice", 0)
    world.register("bob", 1)
    world.login("alice")
    for _ in range(2):
        world.send("alice", "bob")
    world.pass_time(31 * DAY)
    made = Writer(world.relay, world.store, lambda: world.now, lambda _actions: None, lambda _links: None)
    for _ in range(2):
        made._commit([Job("one", idle)])
    assert deliveries(world.login("bob")) == []


def test_a_login_that_names_another_identity_is_refused(world: World) -> None:
    world.register("alice")
    frame = world.login_frame("alice", world.visit("link"))
    assert world.refusal("link", msgspec.structs.replace(frame, identity_hash=bytes(32))) is Code.AUTHENTICATION_FAILED


def test_large_envelopes_are_pushed_a_few_at_a_time(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    world = World(tmp_path / "relay.db", some_keys, Limits(delivery_window_size=4000, stranger_pending=99))
    world.register("alice", 0)
    world.register("bob", 1)
    world.login("alice")
    sent = [world.send("alice", "bob", encrypted_content=bytes(1500)).id for _ in range(5)]
    pushed = deliveries(world.login("bob"))
    assert 0 < len(pushed) < 5
    for delivery in pushed:  # grows while it is gone through
        pushed += world.acknowledge("bob", delivery.sequence)
    assert len(pushed) == len(sent)
    world.store.close()
