"""The writer: groups, order, and nothing said before it is on disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from errors import Code, StorageError
from protocol import Ping
from relay.actions import Action, HangUp, Link, Outgoing
from relay.limits import DAY, Now
from relay.writer import MAX_GROUP, Job, Writer
from tests.relay.world import World


class Bench:
    """A writer on a world, whose output can be waited for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.performed: list[Action] = []
        self.groups: list[list[Action]] = []
        self.abandoned: list[set[Link]] = []
        self.arrived = threading.Condition()
        self.writer = Writer(world.relay, world.store, lambda: world.now, self.perform, self.abandon)

    def perform(self, actions: list[Action]) -> None:
        with self.arrived:
            self.groups.append(actions)
            self.performed += actions
            self.arrived.notify_all()

    def abandon(self, links: set[Link]) -> None:
        with self.arrived:
            self.abandoned.append(links)
            self.arrived.notify_all()

    def say(self, name: str) -> Job:
        return Job(name, lambda _now: [Outgoing(name, Ping())])

    def wait(self, condition: object) -> None:
        assert callable(condition)
        with self.arrived:
            assert self.arrived.wait_for(condition, timeout=10)


@pytest.fixture
def bench(world: World) -> Bench:
    return Bench(world)


def test_keeps_the_order_and_commits_in_groups(bench: Bench) -> None:
    names = [str(number) for number in range(MAX_GROUP + 10)]
    for name in names:
        bench.writer.submit(bench.say(name))
    bench.writer.start()
    bench.writer.stop()
    assert [action.link for action in bench.performed] == names
    assert [len(group) for group in bench.groups if group] == [MAX_GROUP, 10]


def test_says_nothing_before_it_is_on_disk(bench: Bench) -> None:
    """G1: another connection sees the row when the reply is given out."""
    seen: list[int] = []

    def perform(actions: list[Action]) -> None:
        if actions:
            other = sqlite3.connect(bench.world.path)
            seen.append(other.execute("SELECT count(*) FROM account").fetchone()[0])
            other.close()

    def create(now: Now) -> list[Action]:
        bench.world.store.create_account("alice", created_at=now.wall_s)
        return [Outgoing("alice", Ping())]

    writer = Writer(bench.world.relay, bench.world.store, lambda: bench.world.now, perform, bench.abandon)
    writer.submit(Job("alice", create))
    writer.start()
    writer.stop()
    assert seen == [1]


def test_a_group_that_cannot_be_committed_is_abandoned_whole(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    transaction = bench.world.store.transaction

    @contextmanager
    def full() -> Iterator[None]:
        with transaction():
            yield
            raise StorageError("the disk is full")

    monkeypatch.setattr(bench.world.store, "transaction", full)

    def create(_now: Now) -> list[Action]:
        bench.world.store.create_account("alice", created_at=0)
        return [Outgoing("other", Ping()), HangUp("third", Code.REPLACED)]

    bench.writer.submit(Job("one", create))
    bench.writer.start()
    bench.wait(lambda: bench.abandoned)
    monkeypatch.undo()
    assert bench.abandoned == [{"one", "other", "third"}]
    bench.writer.submit(bench.say("later"))
    bench.writer.stop()
    assert [action.link for action in bench.performed] == ["later"]
    assert bench.world.store.count_accounts() == 0


def test_a_job_that_fails_takes_its_group_along_and_nothing_else(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_now: Now) -> list[Action]:
        raise ZeroDivisionError

    bench.writer.submit(bench.say("one"))
    bench.writer.submit(Job("two", fail))
    bench.writer.start()
    bench.wait(lambda: bench.abandoned)
    assert bench.abandoned == [{"one", "two"}]
    bench.writer.submit(bench.say("three"))
    bench.writer.stop()
    assert [action.link for action in bench.performed] == ["three"]
    assert "a job failed" in caplog.text


def test_keeps_house_also_when_nobody_asks_for_anything(bench: Bench) -> None:
    world = bench.world
    world.register("alice", 0)
    world.register("bob", 1)
    world.login("alice")
    world.send("alice", "bob")
    world.pass_time(31 * DAY)
    bench.writer.start()
    bench.wait(lambda: bench.groups)
    bench.writer.stop()
    assert world.login("bob")[0].pending == 0  # type: ignore[attr-defined] # LoggedIn


def test_waits_while_there_is_nothing_to_do(bench: Bench) -> None:
    bench.writer._expire_at_s = 1e9
    bench.writer._commit([])
    assert bench.groups == []
    bench.writer.start()
    with bench.arrived:
        bench.arrived.wait(1.2)
    bench.writer.stop()
    assert bench.performed == []
