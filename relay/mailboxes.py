"""Mailboxes: who may put an envelope where, and what is pushed when (docs/PROTOCOL.md section 8)."""

from __future__ import annotations

from msgspec import Raw

from crypto_utils import sha256
from errors import Code, Refused
from protocol import ALL_DEVICES, Accepted, Delivery, Envelope, Message
from relay.actions import Action, Link, Outgoing
from relay.directory import Directory
from relay.limits import Limits, Now
from relay.presence import Online, Presence
from relay.storage import Address, Store

MAX_COUNTS = 100_000  # mailboxes whose fill is remembered, about 20 MB
EXPIRE_AT_ONCE = 1000  # rows a round: a large mailbox must not hold up everybody's commits


class Mailboxes:
    """The envelopes that wait, and those on their way."""

    def __init__(self, store: Store, directory: Directory, presence: Presence, limits: Limits) -> None:
        """Work on a store."""
        self._store = store
        self._directory = directory
        self._presence = presence
        self._limits = limits
        self.transaction = 0  # its number
        self._pushed: set[int] = set()  # sequences put and pushed in this transaction, not yet acknowledged
        self._kept = False  # whether something was put in this transaction and not pushed
        self._at_most: dict[Address, int] = {}  # no more than so many wait: counting each time would be dear

    # ------------------------------------------------------------ store

    def begin(self) -> None:
        """Begin a transaction."""
        self.transaction += 1
        self._pushed.clear()
        self._kept = False

    @property
    def only_awaits_acknowledges(self) -> bool:
        """Whether all that was put in this transaction has been pushed, and some not acknowledged yet."""
        return bool(self._pushed) and not self._kept

    def foresee(self, envelopes: list[Envelope]) -> None:
        """Prepare for `accept` of envelopes, all at once."""
        self._store.foresee([(envelope.sender_id, envelope.id) for envelope in envelopes])

    def accept(self, envelope: Envelope, *, sender: Address, link: Link, now: Now) -> list[Action]:
        """Put an envelope into the mailboxes of its recipient, and push it to those who are online.

        The same envelope again is answered as the first time, whatever has changed since.

        Raises:
            Refused: It may not be delivered; nothing was stored.
        """
        self._check_sender(envelope, sender)
        data = envelope.encoded
        digest = sha256(data)
        before = self._store.accepted(envelope.sender_id, envelope.id)
        if before is not None:
            if before.digest != digest:
                raise Refused(Code.DUPLICATE_ID)
            return [Outgoing(link, Accepted(id=envelope.id, timestamp=before.received_at))]
        mailboxes = self._recipients(envelope, now)
        self._check_quotas(envelope, mailboxes)
        actions: list[Action] = [Outgoing(link, Accepted(id=envelope.id, timestamp=now.wall_s))]
        sequences = [
            self._store.put(mailbox, envelope.sender_id, envelope.id, data, digest, received_at=now.wall_s)
            for mailbox in mailboxes
        ]
        if isinstance(envelope, Message):  # a receipt is sent by itself and is no answer
            self._store.note_written(envelope.sender_id, envelope.recipient_id)
        for mailbox, sequence in zip(mailboxes, sequences, strict=True):  # the store may fail; from here nothing can
            actions += self._push_new(mailbox, sequence, data)
        return actions

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
                if self._store.count_pending(mailbox, limit=limit, sender_id=envelope.sender_id) >= limit:
                    raise Refused(Code.STRANGER_LIMIT)
            if self._is_full(mailbox):
                raise Refused(Code.MAILBOX_FULL)

    def _is_full(self, mailbox: Address) -> bool:
        """Tell whether a mailbox holds all that it may; it is counted only where that is possible."""
        limit = self._limits.mailbox_limit
        most = self._at_most.get(mailbox, limit)
        if most >= limit:
            most = self._store.count_pending(mailbox, limit=limit)
        if len(self._at_most) >= MAX_COUNTS:
            self._at_most.clear()
        self._at_most[mailbox] = most + 1  # with the one that is about to be put there
        return most >= limit

    # ------------------------------------------------------------ deliver

    def _push_new(self, mailbox: Address, sequence: int, data: bytes) -> list[Action]:
        """Push an envelope at once where that keeps the order; otherwise it waits for its page."""
        online = self._presence.find(mailbox)
        if online is not None and online.caught_up and self._has_room(online):
            pushed = self._push(online, sequence, data)
            if pushed.early:
                self._pushed.add(sequence)
            else:
                self._kept = True
            return [pushed]
        self._kept = True
        if online is not None:
            online.caught_up = False
        return []

    def _push(self, online: Online, sequence: int, data: bytes) -> Outgoing:
        online.push(sequence, len(data))
        early = online.since != self.transaction
        return Outgoing(online.link, Delivery(envelope=Raw(data), sequence=sequence), early)

    def _has_room(self, online: Online) -> bool:
        """Tell whether the window of a link, which is counted in envelopes and in bytes, is open."""
        limits = self._limits
        return len(online.unacknowledged) < limits.delivery_window and online.in_flight < limits.delivery_window_size

    def fill(self, mailbox: Address, online: Online) -> list[Action]:
        """Push the next page of the mailbox of a device that logs in or is, as far as its link's window goes."""
        if online.caught_up or not self._has_room(online):
            return []
        room = self._limits.delivery_window - len(online.unacknowledged)
        size = self._limits.delivery_window_size - online.in_flight
        waiting = self._store.pending(mailbox, after=online.cursor, limit=room, size=size)
        online.caught_up = len(waiting) < room and sum(len(envelope) for _, envelope in waiting) < size
        return [self._push(online, *envelope) for envelope in waiting]

    def count(self, mailbox: Address) -> int:
        """Return how many envelopes wait in a mailbox."""
        return self._store.count_pending(mailbox, limit=self._limits.mailbox_limit)

    # ------------------------------------------------------------ acknowledge, expire

    def acknowledge(self, mailbox: Address, sequences: list[int]) -> list[Action]:
        """Forget envelopes that their device has stored; unknown and repeated ones are passed over (G7)."""
        self._store.acknowledge(mailbox, sequences)
        self._pushed.difference_update(sequences)
        online = self._presence.of(mailbox)
        gone = online.acknowledge(sequences)
        if mailbox in self._at_most:
            self._at_most[mailbox] -= gone
        return self.fill(mailbox, online)

    def expire(self, *, now: Now) -> int:
        """Drop what is older than the retention, a round of it; return how many."""
        return self._store.expire(before=now.wall_s - self._limits.retention_s, limit=EXPIRE_AT_ONCE)
