"""What the person writes: queued on disk in one step, and sent when that is possible."""

from __future__ import annotations

from errors import UsageError
from messenger.contacts import Contacts
from messenger.content import check_text
from messenger.decisions import Decisions
from messenger.door import Door, Standing
from messenger.history import History
from messenger.identities import refuse_stopped
from messenger.keyring import Keyring
from messenger.line import Output, Step
from messenger.outbox import Outbox


class Writing:
    """Queues what goes to contacts, each in one step."""

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        step: Step,
        keyring: Keyring,
        contacts: Contacts,
        history: History,
        outbox: Outbox,
        door: Door,
        decisions: Decisions,
    ) -> None:
        """Join the parts."""
        self._step = step
        self._keyring = keyring
        self._contacts = contacts
        self._history = history
        self._outbox = outbox
        self._door = door
        self._decisions = decisions

    def send_text(self, peer: str, text: str, *, now: int) -> tuple[bytes, Output]:
        """Queue a message, on disk before this returns, and send it when that is possible.

        Returns:
            The message's id, and what is to be done.

        Raises:
            UsageError: The text or the recipient cannot be.
            UntrustedKeyError: The recipient's identity has changed and the person has not decided, or was revoked.
        """
        check_text(text)
        self._refuse_unreachable(peer)
        message_id = self._outbox.new_id(now)
        with self._step(now) as output:
            self._decisions.let_in(peer, now=now)
            self._history.add_sent(peer, message_id, text, now=now)
            self._outbox.add_message(message_id, peer)
        return message_id, output

    def _refuse_unreachable(self, peer: str) -> None:
        if peer == self._keyring.account.user_id:
            message = "that is your own number"
            raise UsageError(message, hint="write to somebody else")
        refuse_stopped(self._contacts.find(peer))
        if self._door.of(peer) is Standing.BLOCKED:
            message = f"you have blocked {peer}"
            raise UsageError(message, hint=f"/allow {peer} ends that")
