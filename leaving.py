"""When a client that is told to leave has left: what was queued may still go out, for a while."""

from __future__ import annotations

import time

from messenger.outbox import Outbox


class Leaving:
    """The end of a conversation or of a daemon."""

    def __init__(self, outbox: Outbox, *, patience_s: float) -> None:
        """Wait so long for an outbox, once it is time to leave."""
        self._outbox = outbox
        self._patience_s = patience_s
        self._since_s: float | None = None

    def begin(self) -> None:
        """Leave as soon as what was queued has gone out."""
        if self._since_s is None:
            self._since_s = time.monotonic()

    def at_once(self) -> None:
        """Wait for nothing."""
        self._patience_s = 0

    def is_over(self) -> bool:
        """Tell whether it has begun, and nothing waits any more or for too long."""
        if self._since_s is None:
            return False
        return not self._outbox.count_messages() or time.monotonic() > self._since_s + self._patience_s
