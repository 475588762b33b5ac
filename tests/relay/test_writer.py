"""The writer: groups, order, and nothing said before it is on disk."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from canonical_json import canonical
from crypto_utils import encode_base64
from errors import Code, StorageError
from protocol import Accepted, Acknowledge, Delivery, FetchIdentity, Frame, LoggedIn, Ping, Rejected
from relay import writer
from relay.actions import Action, HangUp, Link, Outgoing
from relay.answers import TOGETHER_S
from relay.limits import DAY, MINUTE, Now
from relay.storage import Address
from relay.writer import MAX_ROUND, Job, Writer
from tests.relay.world import World, contents, deliveries, frames_to, single

TIMEOUT_S = 10


class Bench:
    """A writer on a world, whose output can be waited for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.performed: list[Action] = []
        self.groups: list[list[Action]] = []
        self.abandoned: list[set[Link]] = []
        self.arrived = threading.Condition()
        self.watch: Callable[[list[Action]], None] = lambda _actions: None
        self.writer = Writer(world.relay, world.store, lambda: world.now, self.perform, self.abandon)

    def perform(self, actions: list[Action]) -> None:
        self.watch(actions)
        with self.arrived:
            self.groups.append(actions)
            self.performed += actions
            self.arrived.notify_all()

    def abandon(self, links: set[Link]) -> None:
        with self.arrived:
            self.abandoned.append(links)
            self.arrived.notify_all()

    @staticmethod
    def say(name: str) -> Job:
        return Job(name, lambda _now: [Outgoing(name, [Ping()])])

    def command(self, link: str, frame: Frame) -> Job:
        return Job(link, lambda now: self.world.relay.receive(link, [frame], now=now))

    def submit(self, *jobs: Job) -> None:
        for job in jobs:
            self.writer.submit(job)

    def run(self, *jobs: Job) -> None:
        """Carry out jobs as one group, here and now."""
        self.submit(*jobs)
        self.writer.work()
        self.commit()

    def commit(self) -> None:
        self.writer._close(self.writer._present_group(self.world.now), spared=True)

    def run_to_the_end(self) -> None:
        self.writer.start()
        self.writer.stop()

    def replies(self) -> list[Frame]:
        outgoing = [action for action in self.performed if isinstance(action, Outgoing)]
        return [frame for action in outgoing for whole in action.frames for frame in single(whole)]

    def wait(self, condition: Callable[[], object]) -> None:
        with self.arrived:
            assert self.arrived.wait_for(condition, timeout=TIMEOUT_S)


@pytest.fixture
def bench(world: World) -> Iterator[Bench]:
    bench = Bench(world)
    yield bench
    if bench.writer._thread.is_alive():  # the test has failed
        bench.writer.stop()


@pytest.fixture
def full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let every commit fail until `undo`."""

    def failing(*, spared: bool) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(bench.world.store, "commit", failing)
    return monkeypatch


def fail(_now: Now) -> list[Action]:
    raise ZeroDivisionError


def slow(begun: threading.Event, go_on: threading.Event) -> Job:
    def run(_now: Now) -> list[Action]:
        begun.set()
        assert go_on.wait(TIMEOUT_S)
        return [Outgoing("slow", [Ping()])]

    return Job("slow", run)


# ---------------------------------------------------------------- groups


def test_keeps_the_order_and_commits_in_groups(bench: Bench) -> None:
    names = [str(number) for number in range(MAX_ROUND + 10)]
    bench.submit(*map(bench.say, names))
    bench.run_to_the_end()
    assert [action.link for action in bench.performed] == names
    assert [len(group) for group in bench.groups if group] == [MAX_ROUND, 10]


def test_what_is_queued_during_a_commit_is_the_next_group(bench: Bench) -> None:
    begun, go_on = threading.Event(), threading.Event()
    bench.submit(slow(begun, go_on))
    bench.writer.start()
    assert begun.wait(TIMEOUT_S)
    bench.submit(*map(bench.say, "abc"))
    go_on.set()
    bench.writer.stop()
    assert [[action.link for action in group] for group in bench.groups] == [["slow"], ["a", "b", "c"]]


def test_jobs_that_are_done_at_once_have_one_time_and_one_commit(bench: Bench) -> None:
    world = bench.world.with_pair()
    times: list[Now] = []
    commits: list[str] = []
    world.store._db.set_trace_callback(commits.append)

    def look(now: Now) -> list[Action]:
        world.pass_time(1)
        times.append(now)
        return []

    bench.submit(*[bench.command("alice", world.envelope("alice", "bob")) for _ in range(2)])
    bench.submit(*[Job("link", look) for _ in range(5)])
    bench.writer._expire_at_s = 1e9
    bench.run_to_the_end()
    assert len(set(times)) == 1
    assert commits.count("COMMIT") == 1


def test_what_needs_no_disk_is_answered_by_the_thread_that_asks(bench: Bench) -> None:
    bench.submit(bench.say("a"))
    bench.writer.work()  # the writer's own thread has not even begun
    assert [action.link for action in bench.performed] == ["a"]


def test_what_comes_while_another_thread_is_at_it_is_done_by_that_one(bench: Bench) -> None:
    begun, go_on = threading.Event(), threading.Event()
    bench.submit(slow(begun, go_on))
    other = threading.Thread(target=bench.writer.work)
    other.start()
    assert begun.wait(TIMEOUT_S)
    bench.submit(bench.say("quick"))
    bench.writer.work()  # does not wait
    assert bench.performed == []
    go_on.set()
    other.join(TIMEOUT_S)
    assert [action.link for action in bench.performed] == ["slow", "quick"]


def test_stopping_finishes_what_is_queued(bench: Bench) -> None:
    bench.submit(*map(bench.say, "abc"))
    bench.writer.start()
    bench.submit(*map(bench.say, "def"))
    bench.writer.stop()
    assert [action.link for action in bench.performed] == list("abcdef")


def test_who_works_waits_for_the_commit_while_the_queue_is_full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a link whose commands cannot be done yet is not read any further."""
    monkeypatch.setattr(writer, "MAX_QUEUE", 2)
    done = threading.Event()

    def work() -> None:
        bench.submit(*map(bench.say, "abc"))
        bench.writer.work()
        done.set()

    thread = threading.Thread(target=work)
    with bench.writer._lock:  # a commit is under way
        thread.start()
        assert not done.wait(0.1)
    assert done.wait(TIMEOUT_S)
    thread.join()
    assert [action.link for action in bench.performed] == ["a", "b", "c"]


def test_nothing_is_done_any_more_when_the_writer_has_ended(bench: Bench) -> None:
    """While the server goes down its I/O threads still hear clients; the store is about to be closed."""
    bench.run_to_the_end()
    bench.submit(*map(bench.say, "abcdef"))
    bench.writer.work()
    assert bench.performed == []


# ---------------------------------------------------------------- nothing is said before it is on disk


def test_an_answer_is_given_when_another_process_could_read_what_it_says(bench: Bench) -> None:
    """G1."""
    bench.world.with_pair()
    seen: list[tuple[int, int]] = []

    def look(actions: list[Action]) -> None:
        other = sqlite3.connect(bench.world.path)
        (stored,) = other.execute("SELECT count(*) FROM mailbox").fetchone()
        seen.append(
            (stored, sum(isinstance(action.frames[0], Accepted) for action in actions if isinstance(action, Outgoing)))
        )
        other.close()

    bench.watch = look
    for _ in range(2):
        bench.run(bench.command("alice", bench.world.envelope("alice", "bob")))
    assert seen == [(1, 1), (2, 1)]


def test_who_is_online_has_it_before_the_commit_and_its_sender_is_told_after(bench: Bench) -> None:
    world = bench.world.with_pair()
    world.login("bob")
    seen: list[tuple[str, bool]] = []

    def look(actions: list[Action]) -> None:
        seen.extend(
            (type(action.frames[0]).__name__, world.store.unwritten)
            for action in actions
            if isinstance(action, Outgoing)
        )

    bench.watch = look
    bench.run(bench.command("alice", world.envelope("alice", "bob")))
    assert seen == [("Deliveries", True), ("Accepted", False)]
    assert world.store.count_pending(Address("bob", 1), limit=9) == 1  # nobody acknowledged: it was written


def test_what_is_acknowledged_in_time_is_never_written(bench: Bench) -> None:
    """The sender is told as if it were on disk: it is, on the recipient's."""
    world = bench.world.with_pair()
    world.login("bob")

    def answer(actions: list[Action]) -> None:
        for delivery in deliveries(frames_to("bob", actions)):
            bench.submit(bench.command("bob", Acknowledge(sequences=[delivery.sequence])))

    bench.watch = answer
    for _ in range(3):
        bench.run(bench.command("alice", world.envelope("alice", "bob")))
    assert [type(frame).__name__ for frame in bench.replies()] == ["Delivery", "Accepted"] * 3
    assert world.store._db.execute("SELECT count(*) FROM mailbox").fetchone() == (0,)


def accepted(bench: Bench) -> int:
    return sum(isinstance(frame, Accepted) for frame in bench.replies())


def in_mailboxes(world: World) -> int:
    return int(world.store._db.execute("SELECT count(*) FROM mailbox").fetchone()[0])


def test_what_must_be_written_waits_for_nothing_and_takes_nothing_along(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LINGER_S", 3600)
    monkeypatch.setattr(writer, "LONGEST_S", 3600)
    world = bench.world.with_pair()
    world.login("bob")
    world.register("carol", 2)
    to_bob, to_carol = world.envelope("alice", "bob"), world.envelope("alice", "carol")
    bench.writer.start()
    bench.submit(bench.command("alice", to_bob), bench.command("alice", to_carol))
    bench.writer.work()
    bench.wait(lambda: accepted(bench))
    assert [frame.ids[0] for frame in bench.replies() if isinstance(frame, Accepted)] == [to_carol.id]
    with bench.writer._lock:
        assert in_mailboxes(world) == 1
    bench.writer.stop()
    assert accepted(bench) == 2
    assert in_mailboxes(world) == 2


def test_the_same_envelope_again_is_not_answered_before_it_is_safe(bench: Bench) -> None:
    """G1: Bob was handed it, and has not said that he has it."""
    world = bench.world.with_pair()
    world.login("bob")
    envelope = world.envelope("alice", "bob")
    stored: list[int] = []

    def look(actions: list[Action]) -> None:
        if any(isinstance(action, Outgoing) and isinstance(action.frames[0], Accepted) for action in actions):
            stored.append(in_mailboxes(world))

    bench.watch = look
    for _ in range(2):
        bench.submit(bench.command("alice", envelope))
        bench.writer.work()
    assert stored == []
    bench.commit()
    assert stored == [1]
    assert accepted(bench) == 2  # each time that it was sent


def test_the_same_envelope_again_is_answered_with_the_first_once_it_is_acknowledged(bench: Bench) -> None:
    """Also over another link: the first may be dead."""
    world = bench.world.with_pair()
    world.login("bob")
    envelope = world.envelope("alice", "bob")
    other = world.login_frame("alice", world.visit("alice again"))
    bench.submit(bench.command("alice", envelope))
    bench.writer.work()
    (delivery,) = [frame for frame in bench.replies() if isinstance(frame, Delivery)]
    bench.submit(bench.command("alice again", other), bench.command("alice again", envelope))
    bench.submit(bench.command("bob", Acknowledge(sequences=[delivery.sequence])))
    bench.writer.work()
    answers = [one for one in bench.performed if isinstance(one, Outgoing) and isinstance(one.frames[0], Accepted)]
    assert [answer.link for answer in answers] == ["alice", "alice again"]
    assert in_mailboxes(world) == 0
    changed = msgspec.structs.replace(envelope, timestamp=1, signature=encode_base64(bytes(256)))
    assert world.rejection("alice again", changed) is Code.DUPLICATE_ID


def test_with_two_devices_both_must_have_it(bench: Bench) -> None:
    world = bench.world.with_pair()
    world.add_device("bob", 2)
    for device_id in (1, 2):
        world.login("bob", f"bob {device_id}", device_id=device_id)
    bench.submit(bench.command("alice", world.envelope("alice", "bob")))
    bench.writer.work()
    pushed = {link: deliveries(frames_to(link, bench.performed)) for link in ("bob 1", "bob 2")}
    for link, answered in (("bob 1", 0), ("bob 2", 1)):
        (delivery,) = pushed[link]
        bench.submit(bench.command(link, Acknowledge(sequences=[delivery.sequence])))
        bench.writer.work()
        assert accepted(bench) == answered
    assert in_mailboxes(world) == 0


def test_who_comes_back_over_another_link_gets_it_again(bench: Bench) -> None:
    world = bench.world.with_pair()
    world.login("bob")
    again = world.login_frame("bob", world.visit("bob again"))
    envelope = world.envelope("alice", "bob")
    bench.submit(bench.command("alice", envelope))
    bench.writer.work()
    bench.run(bench.command("bob again", again))
    assert contents(frames_to("bob again", bench.performed)) == [canonical(envelope)]


def test_what_was_handed_to_a_link_that_ends_is_written(bench: Bench) -> None:
    world = bench.world.with_pair()
    world.login("bob")
    envelope = world.envelope("alice", "bob")
    bench.submit(bench.command("alice", envelope))
    bench.writer.work()
    bench.run(Job("bob", lambda _now: world.relay.closed("bob")))
    assert accepted(bench) == 1
    assert contents(world.login("bob")) == [canonical(envelope)]


def test_who_waits_for_an_acknowledge_is_cut_with_a_failed_group(bench: Bench) -> None:
    """Its envelope was only in memory, with the rest of what has not happened; it will be sent again."""
    world = bench.world.with_pair()
    world.login("bob")
    bench.submit(bench.command("alice", world.envelope("alice", "bob")))
    bench.writer.work()
    bench.run(Job("other", fail))
    assert bench.abandoned == [{"alice", "bob", "other"}]
    assert accepted(bench) == 0


def test_a_recipient_who_does_not_acknowledge_holds_up_nobody_for_long(bench: Bench) -> None:
    world = bench.world.with_pair()
    world.login("bob")
    bench.writer.start()
    bench.submit(bench.command("alice", world.envelope("alice", "bob")))
    bench.writer.work()
    with bench.arrived:
        assert not bench.arrived.wait_for(lambda: accepted(bench), timeout=0.1)  # by the world's clock, no time passes
    world.pass_time(writer.LINGER_S)
    bench.wait(lambda: accepted(bench))
    bench.writer.stop()
    assert world.store.count_pending(Address("bob", 1), limit=9) == 1


def test_while_jobs_come_acknowledges_may_be_on_their_way_but_not_for_ever(bench: Bench) -> None:
    world = bench.world.with_pair()
    world.login("bob")
    bench.writer._expire_at_s = 1e9
    began_s = world.now.steady_s
    bench.submit(bench.command("alice", world.envelope("alice", "bob")))
    while not accepted(bench):
        bench.submit(bench.say("somebody"))
        bench.writer.work()
        world.pass_time(writer.LINGER_S / 2)
        bench.writer._tend()  # as the thread does
    assert writer.LONGEST_S <= world.now.steady_s - began_s <= writer.LONGEST_S + writer.LINGER_S


def test_jobs_that_had_to_wait_are_no_silence(bench: Bench) -> None:
    """Acknowledges may be among them, and what was pushed would be written for nothing."""
    world = bench.world.with_pair()
    world.login("bob")
    bench.writer._expire_at_s = 1e9
    bench.submit(bench.command("alice", world.envelope("alice", "bob")))
    bench.writer.work()
    (delivery,) = [frame for frame in bench.replies() if isinstance(frame, Delivery)]
    bench.submit(bench.command("bob", Acknowledge(sequences=[delivery.sequence])))
    world.pass_time(2 * writer.LINGER_S)
    bench.writer._tend()  # as the thread does, before it looks into the queue
    assert in_mailboxes(world) == 0
    bench.writer.work()
    assert accepted(bench) == 1
    assert in_mailboxes(world) == 0


def test_envelopes_that_come_together_are_answered_together_and_others_are_not(bench: Bench) -> None:
    world = bench.world.with_pair()
    world.login("bob")
    world.send("bob", "alice")  # no strangers
    for pause_s in (TOGETHER_S / 2, TOGETHER_S, 0):
        bench.submit(bench.command("alice", world.envelope("alice", "bob")))
        bench.writer.work()
        world.pass_time(pause_s)
    sequences = [frame.sequence for frame in bench.replies() if isinstance(frame, Delivery)]
    answered = []
    for sequence in sequences:
        bench.submit(bench.command("bob", Acknowledge(sequences=[sequence])))
        bench.writer.work()
        answered.append(accepted(bench))
    assert answered == [0, 2, 3]


def test_one_who_is_slow_does_not_delay_the_answers_of_others(bench: Bench) -> None:
    world = bench.world.with_pair()
    world.register("carol", 2)
    for user_id in ("bob", "carol"):
        world.login(user_id)
    bench.submit(bench.command("alice", world.envelope("alice", "bob")))  # who says nothing
    bench.submit(bench.command("bob", world.envelope("bob", "carol")))
    bench.writer.work()
    (delivery,) = deliveries(frames_to("carol", bench.performed))
    bench.submit(bench.command("carol", Acknowledge(sequences=[delivery.sequence])))
    bench.writer.work()
    assert [action.link for action in bench.performed[-1:]] == ["bob"]
    assert accepted(bench) == 1


def test_a_device_that_logs_in_hears_of_that_first(bench: Bench) -> None:
    world = bench.world.with_pair()
    login = world.login_frame("bob", world.visit("bob"))
    bench.run(bench.command("bob", login), bench.command("alice", world.envelope("alice", "bob")))
    assert [type(frame) for frame in frames_to("bob", bench.performed)] == [LoggedIn, Delivery]


def test_while_a_group_is_under_way_nobody_else_sees_it(bench: Bench) -> None:
    bench.world.with_pair()
    counted: list[int] = []

    def look(_now: Now) -> list[Action]:
        other = sqlite3.connect(bench.world.path)
        counted.append(other.execute("SELECT count(*) FROM mailbox").fetchone()[0])
        other.close()
        assert bench.performed == []
        return []

    bench.run(bench.command("alice", bench.world.envelope("alice", "bob")), Job("observer", look))
    assert counted == [0]
    assert isinstance(bench.replies()[0], Accepted)


# ---------------------------------------------------------------- failures


def test_a_group_that_cannot_be_committed_is_abandoned_whole(bench: Bench, full: pytest.MonkeyPatch) -> None:
    def create(_now: Now) -> list[Action]:
        bench.world.store.create_account("alice", created_at=0)
        return [Outgoing("other", [Ping()]), HangUp("third", Code.REPLACED)]

    bench.writer._expire_at_s = 1e9
    bench.submit(Job("one", create), bench.say("two"))
    bench.writer.start()
    bench.wait(lambda: bench.abandoned)
    full.undo()
    assert bench.abandoned == [{"one", "two", "other", "third"}]
    bench.submit(bench.say("later"))
    bench.writer.stop()
    assert [action.link for action in bench.performed] == ["later"]
    assert bench.world.store.count_accounts() == 0


def test_a_job_that_fails_takes_its_group_along_and_nothing_else(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.submit(bench.say("one"), Job("two", fail), bench.say("three"))
    bench.writer.start()
    bench.wait(lambda: bench.abandoned)
    assert bench.abandoned == [{"one", "two", "three"}]
    bench.submit(bench.say("four"))
    bench.writer.stop()
    assert [action.link for action in bench.performed] == ["four"]
    assert "a job failed" in caplog.text


def test_a_job_that_fails_half_way_cuts_those_whom_its_first_half_was_about(bench: Bench) -> None:
    def half(_now: Now) -> Iterator[Action]:
        yield Outgoing("other", [Ping()])
        raise ZeroDivisionError

    bench.run(Job("half", half))
    assert bench.abandoned == [{"half", "other"}]
    assert bench.performed == []


def test_nothing_overtakes_an_envelope_that_was_not_committed(bench: Bench) -> None:
    """G3: the first envelope is lost and its link cut; the second was already in the queue."""
    world = bench.world.with_pair()
    first, second = (world.envelope("alice", "bob") for _ in range(2))
    bench.writer._expire_at_s = 1e9
    bench.run(bench.command("alice", first), Job("other", fail))
    bench.run(bench.command("alice", second))
    assert bench.abandoned == [{"alice", "other"}]
    assert bench.performed == []
    world.login("alice")
    bench.run(bench.command("alice", first), bench.command("alice", second))  # as the client repeats them
    assert contents(world.login("bob")) == [canonical(first), canonical(second)]


def test_a_recipient_whose_push_was_not_committed_is_cut_and_gets_it_later(bench: Bench) -> None:
    """Otherwise the relay would believe that Bob has it."""
    world = bench.world.with_pair()
    world.login("bob")
    envelope = world.envelope("alice", "bob")
    bench.run(bench.command("alice", envelope), Job("other", fail))
    assert bench.abandoned == [{"alice", "bob", "other"}]
    world.login("alice")
    bench.run(bench.command("alice", envelope))
    assert contents(world.login("bob")) == [canonical(envelope)]


def test_the_end_of_a_link_is_not_lost_with_its_group(bench: Bench) -> None:
    """The job that tells of it never runs: the link would be online for ever."""
    world = bench.world.with_pair()
    bench.run(Job("other", fail), Job("alice", lambda _now: world.relay.closed("alice")))
    assert world.relay._visitors == {}
    assert world.relay._presence._online == {}


def test_a_login_that_was_not_committed_is_none(bench: Bench) -> None:
    world = bench.world.with_pair()
    frame = world.login_frame("alice", world.visit("second"))
    bench.run(bench.command("second", frame), Job("other", fail))
    assert bench.abandoned == [{"alice", "second", "other"}]  # also the link that it would have replaced
    assert world.do("second", FetchIdentity(epoch=0, log_size=0, user_id="bob")) == []
    assert world.do("alice", FetchIdentity(epoch=0, log_size=0, user_id="bob")) == []
    assert isinstance(world.login("alice")[0], LoggedIn)


def test_a_full_disk_accepts_nothing_and_room_on_it_everything(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """R-07."""
    world = bench.world.with_pair()
    bench.run()
    (pages,) = world.store._db.execute("PRAGMA page_count").fetchone()
    world.store._db.execute(f"PRAGMA max_page_count = {pages}")
    envelopes = [world.envelope("alice", "bob", encrypted_content=encode_base64(bytes(50_000))) for _ in range(2)]
    bench.run(*(bench.command("alice", envelope) for envelope in envelopes))
    assert bench.abandoned == [{"alice"}]
    assert bench.replies() == []
    assert "full" in caplog.text
    world.store._db.execute("PRAGMA max_page_count = 1000000")
    world.login("alice")
    bench.run(*(bench.command("alice", envelope) for envelope in envelopes))
    assert [reply.ids[0] for reply in bench.replies() if isinstance(reply, Accepted)] == [one.id for one in envelopes]
    assert contents(world.login("bob")) == [canonical(envelope) for envelope in envelopes]


def test_a_refusal_is_no_failure(bench: Bench) -> None:
    """The others in its group are served."""
    world = bench.world.with_pair()
    refused, taken = world.envelope("alice", "nobody"), world.envelope("alice", "bob")
    bench.run(bench.command("alice", refused), bench.command("alice", taken))
    assert bench.abandoned == []
    assert [type(reply) for reply in bench.replies()] == [Rejected, Accepted]


def test_actions_that_fail_end_their_links_and_not_the_writer(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def fail_for_one(actions: list[Action]) -> None:
        if any(action.link == "one" for action in actions):
            raise ZeroDivisionError

    bench.watch = fail_for_one
    bench.world.visit("one")
    bench.submit(bench.say("one"), bench.say("two"))
    bench.writer.start()
    bench.wait(lambda: bench.abandoned)
    bench.submit(bench.say("three"))
    bench.writer.stop()
    assert bench.abandoned == [{"one", "two"}]
    assert [action.link for action in bench.performed] == ["three"]
    assert "the actions of a group failed" in caplog.text
    assert bench.world.relay._visitors == {}


# ---------------------------------------------------------------- housekeeping


def test_keeps_house_also_when_nobody_asks_for_anything(bench: Bench) -> None:
    world = bench.world.with_pair()
    world.send("alice", "bob")
    world.pass_time(31 * DAY)
    bench.writer.start()
    deadline_s = time.monotonic() + TIMEOUT_S
    while sqlite3.connect(world.path).execute("SELECT count(*) FROM mailbox").fetchone() != (0,):
        assert time.monotonic() < deadline_s
    bench.writer.stop()
    assert contents(world.login("bob")) == []


def test_keeps_house_once_a_minute_and_at_once_while_there_is_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[float] = []
    more = True

    def expire(now: Now) -> bool:
        rounds.append(now.steady_s)
        return more

    monkeypatch.setattr(bench.world.relay, "expire", expire)
    bench.writer._tend()
    more = False
    bench.writer._tend()
    for _ in range(4):
        bench.world.pass_time(MINUTE / 2)
        bench.writer._tend()
    assert rounds == [0, 0, MINUTE, 2 * MINUTE]


def test_housekeeping_that_fails_does_not_take_every_group_along(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_to_expire(now: Now) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.world.relay, "expire", fail_to_expire)
    world = bench.world.with_pair()
    world.login("bob")
    world.register("carol", 2)
    for recipient in ("bob", "carol"):  # one is online, and does not acknowledge
        bench.submit(bench.command("alice", world.envelope("alice", recipient)))
    bench.writer.work()
    bench.writer._tend()
    assert bench.abandoned == [set()]
    assert accepted(bench) == 2


def test_does_not_touch_the_disk_while_there_is_nothing_to_do(bench: Bench) -> None:
    bench.writer._tend()
    statements: list[str] = []
    bench.world.store._db.set_trace_callback(statements.append)
    bench.run(bench.say("one"))
    bench.writer._tend()
    assert statements == []
