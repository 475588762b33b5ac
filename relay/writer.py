"""The one thread that owns the relay and its database, and commits in groups.

Whatever is queued when a commit ends becomes the next group: one transaction, one fsync, then the actions.
A commit for each message would be some twenty times slower.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

from errors import StorageError
from relay.actions import Action, Link
from relay.limits import MINUTE, Now
from relay.service import Relay
from relay.storage import Store

log = logging.getLogger("securechat.relay")

MAX_GROUP: Final = 512  # jobs a transaction: bounds how long the first of them waits
MAX_QUEUE: Final = 8192  # jobs; beyond that the I/O threads wait, and with them the senders
EXPIRE_EVERY_S: Final = MINUTE
QUEUE_POLL_S: Final = 0.1  # how often a thread that waits for room in the queue looks whether there is still a writer


class Job(NamedTuple):
    """Something to do in the writer's thread, for a link."""

    link: Link
    run: Callable[[Now], list[Action]]


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
        self._queue: queue.Queue[Job | None] = queue.Queue(MAX_QUEUE)
        self._thread = threading.Thread(target=self._run, name="writer")
        self._expire_at_s = 0.0
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; waits while the queue is full. After the end it is dropped."""
        self._put(job)

    def stop(self) -> None:
        """Finish what is queued, and end."""
        self._put(None)
        self._thread.join()

    def _put(self, job: Job | None) -> None:
        while not self._ended.is_set():  # nobody empties the queue after that: a thread that waits would wait for ever
            try:
                self._queue.put(job, timeout=QUEUE_POLL_S)
            except queue.Full:
                continue
            return

    def _run(self) -> None:
        try:
            running = True
            while running:
                group, running = self._next_group()
                self._commit(group)
        finally:
            self._ended.set()

    def _next_group(self) -> tuple[list[Job], bool]:
        """Wait for a job, take all that came with it, and say whether there will be more."""
        group: list[Job] = []
        try:
            job = self._queue.get(timeout=1)
            while job is not None and len(group) < MAX_GROUP - 1:
                group.append(job)
                job = self._queue.get_nowait()
            if job is not None:
                group.append(job)
        except queue.Empty:
            return group, True
        return group, job is not None

    def _commit(self, group: list[Job]) -> None:
        now = self._clock()
        housekeeping = now.steady_s >= self._expire_at_s
        if not group and not housekeeping:
            return
        actions: list[Action] = []
        try:
            with self._store.transaction():
                for job in group:
                    actions += job.run(now)
                if housekeeping:
                    self._expire_at_s = now.steady_s + EXPIRE_EVERY_S  # before it can fail: not in every group then
                    if self._relay.expire(now=now):
                        self._expire_at_s = now.steady_s
        except StorageError as error:
            log.error("%s", error)  # noqa: TRY400 - the reason is in the text, a traceback says no more
            self._cut(_links(group, actions))
        except Exception:
            log.exception("a job failed; its group was not committed")
            self._cut(_links(group, actions))
        else:
            self._carry_out(group, actions)

    def _carry_out(self, group: list[Job], actions: list[Action]) -> None:
        """Perform the actions of a group that is on disk; their failure must not end the thread."""
        try:
            self._perform(actions)
        except Exception:
            log.exception("the actions of a group failed")
            self._cut(_links(group, actions))

    def _cut(self, links: set[Link]) -> None:
        """Give up links, in the relay first.

        What they still have in the queue must not overtake what was lost (delivery contract G3), and a link
        whose end was among the lost jobs would be remembered for ever.
        """
        for link in links:
            self._relay.closed(link)
        self._abandon(links)


def _links(group: list[Job], actions: list[Action]) -> set[Link]:
    return {job.link for job in group} | {action.link for action in actions}
