"""Who works on the relay and its database, one thread at a time, and commits in groups.

A thread that has jobs does them itself when nobody else is at it: what is pushed to somebody online then waits for no
other thread. What must be on disk before its reply waits in a group for the writer's own thread: one transaction, one
fsync, then the replies. Jobs that come meanwhile are done when it has ended. A commit for each message would be some
twenty times slower.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from errors import StorageError
from relay.actions import Action, Link
from relay.limits import MINUTE, Now
from relay.service import Relay
from relay.storage import Store

log = logging.getLogger("securechat.relay")

MAX_ROUND: Final = 1024  # jobs taken at once: bounds how long the first of them waits
MAX_QUEUE: Final = 16  # jobs, each of up to 128 KiB and three times that once decoded; beyond that the I/O threads wait
EXPIRE_EVERY_S: Final = MINUTE
LINGER_S: Final = 0.05  # without a job; then acknowledges that would have saved envelopes from being written are late
LONGEST_S: Final = 1.0  # the same while jobs come: under load acknowledges may be here already, and not read yet
IDLE_S: Final = 1.0  # between two looks at whether it is time to keep house


class Job(NamedTuple):
    """Something to do on the relay, for a link."""

    link: Link
    run: Callable[[Now], Iterable[Action]]


@dataclass(slots=True)
class Group:
    """What was done since the last commit."""

    began_s: float
    links: set[Link] = field(default_factory=set)  # every link that it is about
    late: list[Action] = field(default_factory=list)  # what waits for the commit


class Writer:
    """Runs jobs against the relay, in the order in which they came."""

    def __init__(
        self,
        relay: Relay,
        store: Store,
        clock: Callable[[], Now],
        perform: Callable[[list[Action]], None],
        abandon: Callable[[set[Link]], None],
    ) -> None:
        """Prepare the thread.

        Args:
            relay: Whose jobs they are.
            store: Where a group is one transaction.
            clock: Tells the time.
            perform: Carries out actions: those that may go out early at once, the others after the commit.
            abandon: Called instead when a group failed, with every link it was about. Nothing of it is on disk;
                these links must be cut, so that both ends start anew from what is.
        """
        self._relay = relay
        self._store = store
        self._clock = clock
        self._perform = perform
        self._abandon = abandon
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()  # held by whoever works on the relay
        self._group: Group | None = None
        self._latest_s = 0.0  # when the latest jobs came
        self._expire_at_s = 0.0
        self._thread = threading.Thread(target=self._run, name="writer")
        self._called = threading.Event()  # wakes the thread
        self._watching = False  # whether the thread looks at a new group by itself
        self._running = True
        self._ended = False

    # ------------------------------------------------------------ any thread

    def start(self) -> None:
        """Begin to commit."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job for the next `work`."""
        self._jobs.append(job)

    def work(self) -> None:
        """See to it that what is queued is done: here and now, or by the thread that is at it.

        Whoever works looks into the queue again after letting go of the lock, so nothing stays behind in it. While
        there is too much in it, this waits for a commit that is under way.
        """
        while self._jobs and self._lock.acquire(blocking=len(self._jobs) > MAX_QUEUE):
            try:
                self._work_through(self._take())
            finally:
                self._lock.release()

    def stop(self) -> None:
        """Do what is queued, commit it, and end; nobody looks at later jobs any more."""
        self._running = False
        self._called.set()
        self._thread.join()

    # ------------------------------------------------------------ under the lock

    def _take(self) -> list[Job]:
        if self._ended:
            self._jobs.clear()
        return [self._jobs.popleft() for _ in range(min(len(self._jobs), MAX_ROUND))]

    def _work_through(self, jobs: list[Job]) -> None:
        now = self._clock()
        self._latest_s = now.steady_s
        group = self._present_group(now)
        self._guarded(lambda: self._do(jobs, group, now))
        self._settle()

    def _present_group(self, now: Now) -> Group:
        if self._group is None:
            self._group = Group(now.steady_s)
            self._relay.begin()
        return self._group

    def _do(self, jobs: list[Job], group: Group, now: Now) -> None:
        """Run jobs, and push envelopes before they are committed.

        What is pushed and then not committed is no harm: its recipient's link is cut before it is heard again, its
        sender was told nothing and sends it once more, and its recipient knows it by its id.
        """
        group.links.update([job.link for job in jobs])
        actions: list[Action] = []
        try:
            for job in jobs:
                actions.extend(job.run(now))
        finally:  # when one fails half way, it is known who was concerned
            group.links.update([action.link for action in actions])
        pushed: list[Action] = []
        for action in actions:
            (pushed if action.early else group.late).append(action)
        if pushed:
            self._perform(pushed)

    def _settle(self) -> None:
        """Close the group if there is nothing to write for it; otherwise the thread will, at once if somebody waits."""
        group = self._group
        if group is not None and not self._store.unwritten:
            self._close(group)
        waits = self._group is not None and bool(self._group.late)
        watched = self._watching or (self._group is None and self._relay.awaits_since_s is None)
        if waits or not watched:
            self._watching = True
            self._called.set()

    def _close(self, group: Group, *, spared: bool = False) -> None:
        """Bring the group to disk, and only then say so; what was spared until now, too, or not."""
        if self._guarded(lambda: self._store.commit(spared=spared)):
            self._group = None
            if spared:
                group.late += self._relay.committed()
            self._answer(group)

    def _answer(self, group: Group) -> None:
        """Carry out what waited for the commit; the failure of that must not end the thread."""
        try:
            if group.late:
                self._perform(group.late)
        except Exception:
            log.exception("the actions of a group failed")
            self._cut(group.links)

    def _guarded(self, work: Callable[[], None]) -> bool:
        """Do something in the group; when it fails the group has not happened, and its links are cut."""
        try:
            with self._store.attempt():
                work()
        except StorageError as error:
            log.error("%s", error)  # noqa: TRY400 - the reason is in the text, a traceback says no more
        except Exception:
            log.exception("a job failed; its group was not committed")
        else:
            return True
        group, self._group = self._group, None
        self._cut(self._relay.give_up() | (group.links if group is not None else set()))
        return False

    def _cut(self, links: set[Link]) -> None:
        """Give up links, in the relay first.

        What they still have in the queue must not overtake what was lost (delivery contract G3), and a link
        whose end was among the lost jobs would be remembered for ever.
        """
        for link in links:
            self._relay.closed(link)
        self._abandon(links)

    # ------------------------------------------------------------ its own thread

    def _run(self) -> None:
        wait_s = 0.0
        while self._running:
            self._called.wait(wait_s)
            self._called.clear()
            with self._lock:
                wait_s = self._tend()
            self.work()
        self.work()
        with self._lock:
            self._close(self._present_group(self._clock()), spared=True)
            self._ended = True

    def _tend(self) -> float:
        """Commit when it is time, and keep house; return the seconds until the next look."""
        now, group, since_s = self._clock(), self._group, self._relay.awaits_since_s
        if self._jobs:  # they wait to be done, and acknowledges may be among them: this is no silence
            self._latest_s = now.steady_s

        def is_late(began_s: float) -> bool:
            return now.steady_s >= min(self._latest_s + LINGER_S, began_s + LONGEST_S)

        spared = since_s is not None and is_late(since_s)
        if spared or (group is not None and (group.late or is_late(group.began_s))):
            self._close(self._present_group(now), spared=spared)
        if now.steady_s >= self._expire_at_s:
            self._keep_house(now)
        self._watching = group is not None or since_s is not None
        return LINGER_S if self._watching else IDLE_S

    def _keep_house(self, now: Now) -> None:
        """Drop what is too old, as a group of its own: it may fail, and others must not with it."""
        self._expire_at_s = now.steady_s + EXPIRE_EVERY_S  # before it can fail: not again at once then
        self._close(self._present_group(now), spared=True)
        group = self._present_group(now)
        if self._guarded(lambda: self._expire(now)):
            self._close(group)

    def _expire(self, now: Now) -> None:
        if self._relay.expire(now=now):
            self._expire_at_s = now.steady_s
