"""The one thread that owns the relay and its database, and commits in groups.

Whatever is queued when a commit ends becomes the next group: one transaction, one fsync, then the actions.
A commit for each message would be some twenty times slower.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from errors import StorageError
from protocol import Frame
from relay.actions import Action, Link
from relay.limits import MINUTE, Now
from relay.service import Relay
from relay.storage import Store

log = logging.getLogger("securechat.relay")

MAX_GROUP: Final = 1024  # jobs taken at once: bounds how long the first of them waits
MAX_QUEUE: Final = 2048  # jobs, each of what one read brought; beyond that the I/O threads wait, and so the senders
EXPIRE_EVERY_S: Final = MINUTE
LINGER_S: Final = 0.02  # at most, for acknowledges of what was pushed, when nothing else waits for the commit
BUSY_S: Final = 0.002  # after that, as long as jobs come without a pause: what they bring may be the acknowledges
LONGEST_S: Final = 0.25  # and no longer than this: whoever is written to by the same group waits for their reply
IDLE_S: Final = 1.0  # without a job; then it is time to keep house
QUEUE_POLL_S: Final = 0.005  # how often a thread that waits for room in the queue looks again


class Job(NamedTuple):
    """Something to do in the writer's thread, for a link."""

    link: Link
    run: Callable[[Now], Iterable[Action]]
    frames: Sequence[Frame] = ()  # the commands that it carries out


@dataclass(slots=True)
class Work:
    """A group under way."""

    now: Now
    jobs: list[Job]
    actions: list[Action] = field(default_factory=list)  # all of them
    late: list[Action] = field(default_factory=list)  # those that wait for the commit

    @property
    def links(self) -> set[Link]:
        """Every link that it is about."""
        return {job.link for job in self.jobs} | {action.link for action in self.actions}


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
            perform: Carries out the actions of a group, after its commit.
            abandon: Called instead when a group could not be committed, with every link it was about. Nothing
                of it is on disk; these links must be cut, so that both ends start anew from what is.
        """
        self._relay = relay
        self._store = store
        self._clock = clock
        self._perform = perform
        self._abandon = abandon
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer")
        self._expire_at_s = 0.0
        self._running = True
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; waits while there are too many. After the end nobody looks at it any more."""
        while self._queue.qsize() >= MAX_QUEUE and not self._ended.wait(QUEUE_POLL_S):
            pass
        self._queue.put(job)

    def stop(self) -> None:
        """Finish what is queued, and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._running:
                self._commit(self._next_jobs(IDLE_S))
        finally:
            self._ended.set()

    def _next_jobs(self, timeout_s: float) -> list[Job]:
        """Wait for a job and take all that came with it."""
        jobs: list[Job] = []
        with suppress(queue.Empty):
            job = self._queue.get(timeout=timeout_s)
            while job is not None:
                jobs.append(job)
                if len(jobs) == MAX_GROUP:
                    return jobs
                job = self._queue.get_nowait()
            self._running = False
        return jobs

    def _commit(self, group: list[Job]) -> None:
        now = self._clock()
        housekeeping = now.steady_s >= self._expire_at_s
        if not group and not housekeeping:
            return
        work = Work(now, group)
        try:
            with self._store.transaction():
                self._relay.begin()
                self._do(group, work)
                self._linger(work)
                if housekeeping:
                    self._expire_at_s = now.steady_s + EXPIRE_EVERY_S  # before it can fail: not in every group then
                    if self._relay.expire(now=now):
                        self._expire_at_s = now.steady_s
        except StorageError as error:
            log.error("%s", error)  # noqa: TRY400 - the reason is in the text, a traceback says no more
            self._cut(work.links)
        except Exception:
            log.exception("a job failed; its group was not committed")
            self._cut(work.links)
        else:
            self._carry_out(work)

    def _do(self, jobs: list[Job], work: Work) -> None:
        """Run jobs, and push envelopes before they are committed.

        What is pushed and then not committed is no harm: its recipient's link is cut before it is heard again, its
        sender was told nothing and sends it once more, and its recipient knows it by its id.
        """
        self._relay.foresee([frame for job in jobs for frame in job.frames])
        begin = len(work.actions)
        for job in jobs:
            work.actions.extend(job.run(work.now))  # when it fails half way, it is known who was concerned
        actions = work.actions[begin:]
        work.late += [action for action in actions if not action.early]
        pushed = [action for action in actions if action.early]
        if pushed:
            self._perform(pushed)

    def _linger(self, work: Work) -> None:
        """Give recipients a moment to acknowledge what was pushed: what they have need not be written at all."""
        began_s = now_s = self._clock().steady_s
        while self._running and self._relay.only_awaits_acknowledges and now_s < began_s + LONGEST_S:
            jobs = self._next_jobs(max(began_s + LINGER_S - now_s, BUSY_S))
            if not jobs:
                return
            now_s = self._clock().steady_s
            work.jobs += jobs
            self._do(jobs, work)

    def _carry_out(self, work: Work) -> None:
        """Perform the actions of a group that is on disk; their failure must not end the thread."""
        try:
            self._perform(work.late)
        except Exception:
            log.exception("the actions of a group failed")
            self._cut(work.links)

    def _cut(self, links: set[Link]) -> None:
        """Give up links, in the relay first.

        What they still have in the queue must not overtake what was lost (delivery contract G3), and a link
        whose end was among the lost jobs would be remembered for ever.
        """
        for link in links:
            self._relay.closed(link)
        self._abandon(links)
