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

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; waits while the queue is full."""
        self._queue.put(job)

    def stop(self) -> None:
        """Finish what is queued, and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            group, running = self._next_group()
            self._commit(group)

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
                    more = self._relay.expire(now=now)
                    self._expire_at_s = now.steady_s + (0 if more else EXPIRE_EVERY_S)
        except StorageError as error:
            log.error("%s", error)  # noqa: TRY400 - the reason is in the text, a traceback says no more
            self._abandon(_links(group, actions))
        except Exception:
            log.exception("a job failed; its group was not committed")
            self._abandon(_links(group, actions))
        else:
            self._perform(actions)


def _links(group: list[Job], actions: list[Action]) -> set[Link]:
    return {job.link for job in group} | {action.link for action in actions}
