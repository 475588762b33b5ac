"""What the person writes: queued on disk in one step, and sent when that is possible."""

from __future__ import annotations

from typing import Final

from errors import UsageError
from messenger.address_book import AddressBook
from messenger.archive import Archive, Said
from messenger.changes import CHANGED_WITHIN_S, Changes
from messenger.contacts import Contacts
from messenger.content import check_reaction, check_text
from messenger.decisions import Decisions
from messenger.door import Door, Standing
from messenger.events import FAILED
from messenger.history import DELETION, EDIT, REACTION, TIMER, History
from messenger.identities import refuse_stopped
from messenger.keyring import Keyring
from messenger.line import Line, Output, Step
from messenger.outbox import Outbox

THERE_S: Final = 120  # after which nobody knows whether a contact who was heard of is still there


class Writing:
    """Queues what goes to contacts, each in one step."""

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        step: Step,
        line: Line,
        keyring: Keyring,
        contacts: Contacts,
        history: History,
        archive: Archive,
        changes: Changes,
        book: AddressBook,
        outbox: Outbox,
        door: Door,
        decisions: Decisions,
        *,
        typing: bool,
    ) -> None:
        """Join the parts; `typing` is whether contacts see when the person is."""
        self._step = step
        self._line = line
        self._keyring = keyring
        self._contacts = contacts
        self._history = history
        self._archive = archive
        self._changes = changes
        self._book = book
        self._outbox = outbox
        self._door = door
        self._decisions = decisions
        self._typing = typing

    # ------------------------------------------------------------ texts

    def send_text(self, peer: str, text: str, *, answers: int | None = None, now: int) -> tuple[bytes, Output]:
        """Queue a message, on disk before this returns, and send it when that is possible.

        Args:
            peer: To whom.
            text: What.
            answers: The number of the message that it answers.
            now: Seconds since 1970.

        Returns:
            The message's id, and what is to be done.

        Raises:
            UsageError: The text or the recipient cannot be.
            UntrustedKeyError: The recipient's identity has changed and the person has not decided, or was revoked.
        """
        check_text(text)
        self._refuse_unreachable(peer)
        if answers is not None:
            self._text(peer, answers)
        lifetime_s = self._book.entry(peer).lifetime_s
        message_id = self._outbox.new_id(now)
        with self._step(now) as output:
            self._decisions.let_in(peer, now=now)
            self._history.add_sent(peer, message_id, text, about=answers, lifetime_s=lifetime_s or None, now=now)
            self._outbox.add_message(message_id, peer)
        return message_id, output

    # ------------------------------------------------------------ what changes them

    def edit(self, peer: str, number: int, text: str, *, now: int) -> tuple[bytes, Output]:
        """Have an own text say something else, here and at the contact's.

        Returns:
            The id of what tells them, or the text's own when it was not sealed yet; and what is to be done.

        Raises:
            UsageError: The text cannot be, or there is no message of that number that can be changed.
            UntrustedKeyError: As for `send_text`.
        """
        check_text(text)
        return self._rewrite(peer, number, text, EDIT, now=now)

    def delete(self, peer: str, number: int, *, now: int) -> tuple[bytes, Output]:
        """Take an own text back, here and at the contact's.

        Raises:
            UsageError: There is no message of that number that can be taken back.
            UntrustedKeyError: As for `send_text`.
        """
        return self._rewrite(peer, number, "", DELETION, now=now)

    def _rewrite(self, peer: str, number: int, text: str, kind: str, *, now: int) -> tuple[bytes, Output]:
        self._refuse_unreachable(peer)
        said = self._own(peer, number, now)
        message = self._history.outgoing(said.id)
        with self._step(now) as output:
            if message is None or message.counter is not None:  # it was sealed once, and may have arrived since
                self._changes.rewrite(number, text, now=now)
                return self._tell(peer, kind, about=number, now=now), output
            if text:  # it goes out as it is now
                self._changes.rewrite(number, text, now=now)
            else:  # as if it was never written
                self._changes.forget(number)
            return said.id, output

    def _own(self, peer: str, number: int, now: int) -> Said:
        said = self._text(peer, number)
        if not said.outgoing:
            message = f"#{number} is what the other wrote"
            raise UsageError(message, hint="you can change what you wrote yourself")
        if said.state in FAILED | {"expired"}:
            message = f"#{number} was never delivered"
            raise UsageError(message, hint="write it again")
        if said.timestamp <= now - CHANGED_WITHIN_S:
            message = f"#{number} was written more than a day ago"
            raise UsageError(message, hint="what is older stays as it is, here and at the other's")
        return said

    def _text(self, peer: str, number: int) -> Said:
        """Return a text of a conversation that was not deleted.

        Raises:
            UsageError: There is none of that number.
        """
        said = self._archive.get(peer, number)
        if said is None or said.deleted:
            message = f"there is no message #{number} here"
            raise UsageError(message, hint="/history shows the numbers")
        return said

    def react(self, peer: str, number: int, emoji: str, *, now: int) -> tuple[bytes, Output]:
        """Say what one feels about a text, in place of what was said before; an empty one takes it back.

        Raises:
            UsageError: It is no emoji, or there is no message of that number.
            UntrustedKeyError: As for `send_text`.
        """
        check_reaction(emoji)
        self._refuse_unreachable(peer)
        self._text(peer, number)
        with self._step(now) as output:
            self._decisions.let_in(peer, now=now)
            self._changes.react(number, emoji)
            return self._tell(peer, REACTION, about=number, now=now), output

    def set_timer(self, peer: str, lifetime_s: int, *, now: int) -> tuple[bytes, Output]:
        """Set how long the texts of a conversation live from now on, here and at the contact's; 0 is for ever.

        Raises:
            UsageError: The recipient cannot be.
            UntrustedKeyError: As for `send_text`.
        """
        self._refuse_unreachable(peer)
        version = self._book.entry(peer).timer_version + 1
        with self._step(now) as output:
            self._decisions.let_in(peer, now=now)
            self._book.set_timer(peer, lifetime_s, version)
            return self._tell(peer, TIMER, now=now), output

    def _tell(self, peer: str, kind: str, *, about: int | None = None, now: int) -> bytes:
        message_id = self._outbox.new_id(now)
        self._history.add_sent(peer, message_id, "", kind=kind, about=about, now=now)
        self._outbox.add_message(message_id, peer)
        return message_id

    # ------------------------------------------------------------ what is not kept

    def typing(self, peer: str, *, now: int) -> Output:
        """Let a contact know that the person is typing, if they seem to be there: they have just been heard of."""
        link = self._line.link
        heard_at = link.heard_at.get(peer) if link is not None else None
        there = heard_at is not None and heard_at >= now - THERE_S
        if not self._typing or not there or self._door.of(peer) is not Standing.KNOWN:
            return Output()
        with self._step(now) as output:
            self._outbox.add_typing(self._outbox.new_id(now), peer)
        return output

    def refuse_own(self, peer: str) -> None:
        """Refuse the account's own number.

        Raises:
            UsageError: It is.
        """
        if peer == self._keyring.account.user_id:
            message = "that is your own number"
            raise UsageError(message, hint="write to somebody else")

    def _refuse_unreachable(self, peer: str) -> None:
        self.refuse_own(peer)
        refuse_stopped(self._contacts.find(peer))
        if self._door.of(peer) is Standing.BLOCKED:
            message = f"you have blocked {peer}"
            raise UsageError(message, hint=f"/allow {peer} ends that")
