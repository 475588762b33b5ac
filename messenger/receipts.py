"""What contacts are told of their messages: that they are here, that they were read, or that they did not open."""

from __future__ import annotations

from messenger.content import MAX_RECEIPTS
from messenger.door import Door, Standing
from messenger.history import History
from messenger.inbox import Inbox, Shown
from messenger.outbox import Outbox


class Receipts:
    """Queues receipts. Every change runs inside the caller's transaction."""

    def __init__(self, inbox: Inbox, history: History, outbox: Outbox, door: Door, *, of_reading: bool) -> None:
        """Work for an account.

        Args:
            inbox: What came in.
            history: What is known of it.
            outbox: Where receipts are queued.
            door: Who hears anything.
            of_reading: Whether contacts hear of what was read; that it has arrived, they always do.
        """
        self._inbox = inbox
        self._history = history
        self._outbox = outbox
        self._door = door
        self._of_reading = of_reading

    def shown(self, messages: list[Shown], *, read: bool, now: int) -> None:
        """Note that messages were shown, to somebody who reads them or only where they can be found."""
        due = self._inbox.shown(messages, read=read, now=now)
        state = "read" if read and self._of_reading else "delivered"  # that it was read says that it is here, too
        for peer in self._tell(due, state, now):
            self._history.forget_changes(peer)

    def read(self, peer: str, *, now: int) -> None:
        """Note that everything that a contact has sent and was shown was read."""
        were_read = self._history.mark_read(peer, now=now)
        if self._of_reading:
            self._tell({peer: were_read}, "read", now)

    def catch_up(self, peer: str, *, now: int) -> None:
        """Tell a contact who was let in what became of their messages until then."""
        for state, ids in self._history.taken_in(peer).items():
            self._queue({peer: ids}, "read" if state == "read" and self._of_reading else "delivered", now)
        self._history.forget_changes(peer)

    def unopened(self, *, now: int) -> None:
        """Ask for what did not open to be sent again."""
        self._queue(self._inbox.take_unopened(), "unopened", now)

    def _tell(self, messages: dict[str, list[bytes]], state: str, now: int) -> list[str]:
        """Queue receipts for those who are let in, and return them: to others they would say when somebody is there."""
        known = [peer for peer in messages if self._door.of(peer) is Standing.KNOWN]
        self._queue({peer: messages[peer] for peer in known}, state, now)
        return known

    def _queue(self, messages: dict[str, list[bytes]], state: str, now: int) -> None:
        for peer, ids in messages.items():
            for at in range(0, len(ids), MAX_RECEIPTS):
                self._outbox.add_receipt(self._outbox.new_id(now), peer, ids[at : at + MAX_RECEIPTS], state)
