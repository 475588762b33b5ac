"""Mailboxes: who may put an envelope where, and what is pushed when (docs/PROTOCOL.md section 8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import Raw

from crypto_utils import sha256
from errors import Code, Refused
from protocol import ALL_DEVICES, Accepted, Delivery, Envelope, Message
from relay.actions import Action, Link, Outgoing
from relay.directory import Directory
from relay.limits import Limits, Now
from relay.presence import Online, Presence
from relay.storage import Address, Store, Stored

EnvelopeName = tuple[str, bytes]  # sender and id

MAX_COUNTS = 100_000  # mailboxes whose fill is remembered, about 20 MB
TOGETHER_S = 0.02  # how long after each other envelopes may come that are answered together
EXPIRE_AT_ONCE = 1000  # rows a round: a large mailbox must not hold up everybody's commits


@dataclass(slots=True)
class Answers:
    """Replies to a sender whose envelopes every device was handed; they go out together.

    Attributes:
        since_s: When the first of the envelopes was pushed.
        names: Senders and ids of these.
        replies: One for each, and one for each time that it was sent again.
        pushed: Where they went.
        missing: How many acknowledges the replies wait for.
    """

    since_s: float
    names: list[EnvelopeName] = field(default_factory=list)
    replies: list[Outgoing] = field(default_factory=list)
    pushed: list[Outgoing] = field(default_factory=list)
    missing: int = 0

    def add(self, name: EnvelopeName, reply: Outgoing, pushed: list[Outgoing]) -> None:
        """Add a reply, and what it waits for."""
        self.names.append(name)
        self.replies.append(reply)
        self.pushed += pushed
        self.missing += len(pushed)

    def are_complete(self) -> bool:
        """Take one acknowledge, and tell whether it was the last."""
        self.missing -= 1
        return self.missing == 0


class Held(NamedTuple):
    """An envelope that is neither on disk nor acknowledged."""

    answers: Answers
    stored: Stored  # as it will be


class Mailboxes:
    """The envelopes that wait, and those on their way."""

    def __init__(self, store: Store, directory: Directory, presence: Presence, limits: Limits) -> None:
        """Work on a store."""
        self._store = store
        self._directory = directory
        self._presence = presence
        self._limits = limits
        self.group = 0  # the number of what is committed together
        self._awaited: dict[int, Answers] = {}  # by the sequences whose acknowledge they wait for, oldest first
        self._answers: dict[Link, Answers] = {}  # to which the next reply to a sender is added
        self._held: dict[EnvelopeName, Held] = {}  # what is in these, so that it is known when it is sent again
        self._at_most: dict[Address, int] = {}  # no more than so many wait: counting each time would be dear

    # ------------------------------------------------------------ store

    def begin(self) -> None:
        """Begin a group."""
        self.group += 1

    def accept(self, envelope: Envelope, *, sender: Address, link: Link, now: Now) -> list[Action]:
        """Put an envelope into the mailboxes of its recipient, and push it to those who are online.

        The same envelope again is answered as the first time, whatever has changed since.

        Raises:
            Refused: It may not be delivered; nothing was stored.
        """
        self._check_sender(envelope, sender)
        name, stored = (envelope.sender_id, envelope.id), Stored(sha256(envelope.encoded), now.wall_s)
        held = self._held.get(name)
        before = held.stored if held is not None else self._store.accepted(*name)
        if before is None:
            mailboxes = self._recipients(envelope, now)
            self._check_quotas(envelope, mailboxes)
            return self._take(envelope, stored, mailboxes, link, now)
        if before.digest != stored.digest:
            raise Refused(Code.DUPLICATE_ID)
        again = Accepted(id=envelope.id, timestamp=before.received_at)
        if held is None:
            return [Outgoing(link, again)]
        held.answers.replies.append(Outgoing(link, again, early=True))  # it is not safe yet
        return []

    def _take(
        self, envelope: Envelope, stored: Stored, mailboxes: tuple[Address, ...], link: Link, now: Now
    ) -> list[Action]:
        """Put an envelope that may be delivered into mailboxes, and push it where that keeps the order."""
        name, data = (envelope.sender_id, envelope.id), envelope.encoded
        reached = [self._caught_up(mailbox) for mailbox in mailboxes]
        early = all(online is not None and online.since != self.group for online in reached)
        sequences = [self._store.put(mailbox, *name, data, stored, spared=early) for mailbox in mailboxes]
        if isinstance(envelope, Message):  # a receipt is sent by itself and is no answer
            self._store.note_written(envelope.sender_id, envelope.recipient_id)
        pushed = [  # the store may fail; from here nothing can
            self._push(online, sequence, data)
            for online, sequence in zip(reached, sequences, strict=True)
            if online is not None
        ]
        reply = Outgoing(link, Accepted(id=envelope.id, timestamp=stored.received_at), early)
        if not early:
            return [reply, *pushed]
        answers = self._answers_to(link, now)
        answers.add(name, reply, pushed)
        self._held[name] = Held(answers, stored)
        for sequence in sequences:
            self._awaited[sequence] = answers
        return list(pushed)

    def _answers_to(self, link: Link, now: Now) -> Answers:
        """Return what the next reply over a link is added to."""
        answers = self._answers.get(link)
        if answers is None or now.steady_s >= answers.since_s + TOGETHER_S:
            answers = self._answers[link] = Answers(now.steady_s)
        return answers

    def _check_sender(self, envelope: Envelope, sender: Address) -> None:
        """Refuse to carry an envelope in another's name: the link's account wrote it, with its current identity."""
        named, account = (envelope.sender_id, envelope.sender_device), self._store.account(sender.user_id)
        if named != sender or account is None or envelope.sender_key != account.key_id:
            raise Refused(Code.WRONG_SENDER)

    def _recipients(self, envelope: Envelope, now: Now) -> tuple[Address, ...]:
        account = self._store.account(envelope.recipient_id)
        mailboxes = account.mailboxes if account is not None else ()
        if envelope.recipient_device != ALL_DEVICES:
            mailboxes = tuple(mailbox for mailbox in mailboxes if mailbox.device_id == envelope.recipient_device)
        if account is not None and account.key_id == envelope.recipient_key and mailboxes:
            return mailboxes
        self._directory.charge(envelope.sender_id, now=now)  # the answer tells who exists
        raise Refused(Code.KEY_CHANGED if mailboxes else Code.UNKNOWN_USER)

    def _check_quotas(self, envelope: Envelope, mailboxes: tuple[Address, ...]) -> None:
        """Hold the stranger rule and the mailbox limit; the sender hears of it (delivery contract G5)."""
        stranger = not self._store.has_written(envelope.recipient_id, envelope.sender_id)
        for mailbox in mailboxes:
            if stranger:
                limit = self._limits.stranger_pending
                if self._count(mailbox, limit, envelope.sender_id) >= limit:
                    raise Refused(Code.STRANGER_LIMIT)
            if self._is_full(mailbox):
                raise Refused(Code.MAILBOX_FULL)

    def _is_full(self, mailbox: Address) -> bool:
        """Tell whether a mailbox holds all that it may; it is counted only where that is possible."""
        limit = self._limits.mailbox_limit
        most = self._at_most.get(mailbox, limit)
        if most >= limit:
            most = self._count(mailbox, limit)
        if len(self._at_most) >= MAX_COUNTS:
            self._at_most.clear()
        self._at_most[mailbox] = most + 1  # with the one that is about to be put there
        return most >= limit

    # ------------------------------------------------------------ deliver

    def _caught_up(self, mailbox: Address) -> Online | None:
        """Return who may be pushed a new envelope at once; for all others it waits for its page, in its order."""
        online = self._presence.find(mailbox)
        if online is None or not online.caught_up:
            return None
        online.caught_up = self._has_room(online)
        return online if online.caught_up else None

    def _push(self, online: Online, sequence: int, data: bytes) -> Outgoing:
        online.push(sequence, len(data))
        early = online.since != self.group
        return Outgoing(online.link, Delivery(envelope=Raw(data), sequence=sequence), early)

    def _has_room(self, online: Online) -> bool:
        """Tell whether the window of a link, which is counted in envelopes and in bytes, is open."""
        limits = self._limits
        return len(online.unacknowledged) < limits.delivery_window and online.in_flight < limits.delivery_window_size

    def fill(self, mailbox: Address, online: Online) -> list[Action]:
        """Push the next page of a device's mailbox, as far as its link's window goes."""
        if online.caught_up or not self._has_room(online):
            return []
        room = self._limits.delivery_window - len(online.unacknowledged)
        size = self._limits.delivery_window_size - online.in_flight
        waiting = self._store.pending(mailbox, after=online.cursor, limit=room, size=size)
        online.caught_up = len(waiting) < room and sum(len(envelope) for _, envelope in waiting) < size
        return [self._push(online, *envelope) for envelope in waiting]

    def enter(self, device: Address, online: Online) -> list[Action]:
        """Push the first page to a device that logs in; what was pushed over a link that it had is pushed again."""
        before = self._presence.find(device)
        if before is not None:
            self._store.keep(before.unacknowledged)
        return self.fill(device, online)

    def count(self, mailbox: Address) -> int:
        """Return how many envelopes wait in a mailbox."""
        return self._count(mailbox, self._limits.mailbox_limit)

    def _count(self, mailbox: Address, limit: int, sender_id: str | None = None) -> int:
        online = self._presence.find(mailbox)
        handed = online.unacknowledged if online is not None else ()
        return self._store.count_pending(mailbox, limit=limit, sender_id=sender_id, handed=handed)

    # ------------------------------------------------------------ acknowledge, expire

    def acknowledge(self, mailbox: Address, sequences: list[int]) -> list[Action]:
        """Forget envelopes that their device has stored; unknown and repeated ones are passed over (G7).

        A sender whose envelope all devices have now is answered: it is on disk, although not here.
        """
        online = self._presence.of(mailbox)
        sequences = sorted(online.unacknowledged.keys() & sequences)  # it may name any, and as many as it likes
        actions: list[Action] = []
        for sequence in sequences:
            answers = self._awaited.pop(sequence, None)
            if answers is not None and answers.are_complete():
                actions += self._close(answers)
        self._store.acknowledge(mailbox, sequences)
        gone = online.acknowledge(sequences)
        if mailbox in self._at_most:
            self._at_most[mailbox] -= gone
        return actions + self.fill(mailbox, online)

    def leave(self, device: Address) -> None:
        """Note that a device's link has ended; what was pushed over it and not acknowledged stays in its mailbox."""
        self._store.keep(self._presence.of(device).unacknowledged)
        self._presence.leave(device)

    # ------------------------------------------------------------ what is awaited

    @property
    def awaits_since_s(self) -> float | None:
        """When the oldest envelope was pushed whose acknowledge is awaited before it would be written."""
        return next(iter(self._awaited.values())).since_s if self._awaited else None

    def _close(self, answers: Answers) -> list[Outgoing]:
        """Give out replies; the next to the same sender are others."""
        link = answers.replies[0].link
        if self._answers.get(link) is answers:
            del self._answers[link]
        for name in answers.names:
            del self._held[name]
        return answers.replies

    def _await_nothing(self) -> list[Answers]:
        answers = list({id(each): each for each in self._awaited.values()}.values())
        for remembered in (self._awaited, self._answers, self._held):
            remembered.clear()
        return answers

    def committed(self) -> list[Outgoing]:
        """Answer the senders of all that was pushed: everything is on disk."""
        return [reply for answers in self._await_nothing() for reply in answers.replies]

    def give_up(self) -> set[Link]:
        """Await nothing any more: nothing since the last commit has happened. Return the links that it was about."""
        self._at_most.clear()
        return {action.link for each in self._await_nothing() for action in (*each.replies, *each.pushed)}

    def expire(self, *, now: Now) -> int:
        """Drop what is older than the retention, a round of it; return how many."""
        return self._store.expire(before=now.wall_s - self._limits.retention_s, limit=EXPIRE_AT_ONCE)
