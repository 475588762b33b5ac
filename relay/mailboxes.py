"""Mailboxes: who may put an envelope where, and what is pushed when (docs/PROTOCOL.md section 8)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from errors import Code, Refused
from protocol import ALL_DEVICES, Deliveries, Envelope, Message, Rejected
from relay.actions import Action, Link, Outgoing
from relay.answers import Awaited, Source, accepted
from relay.directory import Directory
from relay.limits import Limits, Now
from relay.presence import Online, Presence
from relay.quotas import Quotas
from relay.storage import MARK_SIZE, Address, Arrival, Store

log = logging.getLogger("securechat.relay")

EXPIRE_AT_ONCE: Final = 300  # rows a round, some of up to 32 KiB: a large mailbox must not hold up everybody's commits

_ROUTE: Final = attrgetter(
    "sender_id", "sender_device", "sender_key", "recipient_id", "recipient_device", "recipient_key"
)


class Mailboxes:
    """The envelopes that wait, and those on their way."""

    def __init__(self, store: Store, directory: Directory, presence: Presence, limits: Limits) -> None:
        """Work on a store."""
        self._store = store
        self._directory = directory
        self._presence = presence
        self._limits = limits
        self._quotas = Quotas(store, limits)
        self._awaited = Awaited()
        self.group = 0  # the number of what is committed together

    # ------------------------------------------------------------ put

    def begin(self) -> None:
        """Begin a group."""
        self.group += 1

    def accept(self, envelopes: list[Envelope], came: Source) -> Iterator[Action]:
        """Put envelopes of one kind into the mailboxes of their recipients, and push them to those who are online.

        What one recipient gets is dealt with at once: most of what must be known for it is the same.
        """
        for _, alike in groupby(envelopes, _ROUTE):
            run = list(alike)
            to_oneself = run[0].sender_id == run[0].recipient_id
            if len({envelope.id for envelope in run}) == len(run) and not to_oneself:
                yield from self._accept_run(run, came)
            else:  # what becomes of one depends on what became of another
                for envelope in run:
                    yield from self._accept_run([envelope], came)

    def _accept_run(self, run: list[Envelope], came: Source) -> list[Action]:
        """Take envelopes that go the same way; each is accepted, or rejected with a reason."""
        sample = run[0]
        if not self._is_sender(sample, came.device):
            return [_rejected(came.link, envelope.id, Code.WRONG_SENDER) for envelope in run]
        actions: list[Action] = []
        arrivals = self._arrivals(run, came.link, actions)
        mailboxes = self._recipients(sample)
        if not arrivals:
            reasons = []
        elif mailboxes:
            reasons = self._quotas.take(sample, mailboxes, len(arrivals))
        else:
            reasons = [self._unknown(sample, came.now) for _ in arrivals]
        room = len(arrivals) - len(reasons)
        if room:
            actions += self._put(sample, mailboxes, arrivals[:room], came)
        refused = zip(arrivals[room:], reasons, strict=True)
        return actions + [_rejected(came.link, arrival.id, reason) for arrival, reason in refused]

    def _is_sender(self, envelope: Envelope, device: Address) -> bool:
        """Tell whether a link's account wrote an envelope, with its current identity, and not in another's name."""
        named, account = (envelope.sender_id, envelope.sender_device), self._store.account(device.user_id)
        return named == device and account is not None and envelope.sender_key == account.key_id

    def _arrivals(self, run: list[Envelope], link: Link, actions: list[Action]) -> list[Arrival]:
        """Return what is new of a run; the same envelope again is answered as the first time, whatever has changed."""
        came = [Arrival(each.id, each.encoded, each.signature.encode()[:MARK_SIZE]) for each in run]
        sender_id = run[0].sender_id
        known = self._store.accepted(sender_id, [arrival.id for arrival in came])
        for arrival in came if known else ():
            before = known.get(arrival.id)
            if before is not None and before.mark != arrival.mark:
                actions.append(_rejected(link, arrival.id, Code.DUPLICATE_ID))
            elif before is not None and not self._awaited.add_again(link, sender_id, arrival.id):
                actions.append(Outgoing(link, accepted([arrival.id], before.received_at)))
        return [arrival for arrival in came if arrival.id not in known] if known else came

    def _recipients(self, envelope: Envelope) -> tuple[Address, ...]:
        """Return the mailboxes that an envelope is for: none, if it was sealed for another identity."""
        account = self._store.account(envelope.recipient_id)
        if account is None or account.key_id != envelope.recipient_key:
            return ()
        if envelope.recipient_device == ALL_DEVICES:
            return account.mailboxes
        return tuple(mailbox for mailbox in account.mailboxes if mailbox.device_id == envelope.recipient_device)

    def _unknown(self, envelope: Envelope, now: Now) -> Code:
        """Return why there is no mailbox for an envelope; that tells who exists, and is rationed."""
        try:
            self._directory.charge(envelope.sender_id, now=now)
        except Refused as refused:
            return refused.code
        account = self._store.account(envelope.recipient_id)
        device = envelope.recipient_device
        if account is None or (device != ALL_DEVICES and (envelope.recipient_id, device) not in account.mailboxes):
            return Code.UNKNOWN_USER
        return Code.KEY_CHANGED

    def _put(
        self, envelope: Envelope, mailboxes: tuple[Address, ...], arrivals: list[Arrival], came: Source
    ) -> list[Action]:
        """Put envelopes that may be delivered into mailboxes, and push them where that keeps the order."""
        reached = [self._presence.find(mailbox) for mailbox in mailboxes]
        fitting = [self._fitting(online, arrivals) for online in reached]
        spared = fitting[0] if self._may_spare(reached, fitting) else 0
        at = came.now.wall_s
        put = [self._store.put(mailbox, envelope.sender_id, arrivals, at=at, spared=spared) for mailbox in mailboxes]
        if isinstance(envelope, Message):  # a receipt is sent by itself and is no answer
            self._store.note_written(envelope.sender_id, envelope.recipient_id)
        actions: list[Action] = []  # the store may fail; from here nothing can
        ids = [arrival.id for arrival in arrivals]
        if spared < len(ids):
            actions.append(Outgoing(came.link, accepted(ids[spared:], at)))
        for online, fits, sequences in zip(reached, fitting, put, strict=True):
            if online is not None and fits:
                actions.append(self._push(online, sequences[:fits], [each.envelope for each in arrivals[:fits]]))
        if spared:
            handed = [online.handed[-1] for online in reached if online is not None]
            self._awaited.add(came, ids[:spared], handed, [action.link for action in actions])
        return actions

    def _may_spare(self, reached: list[Online | None], fitting: list[int]) -> bool:
        """Tell whether what is handed over need not be written at once: all devices get the same."""
        return len(set(fitting)) == 1 and all(online is None or online.since != self.group for online in reached)

    # ------------------------------------------------------------ deliver

    def _fitting(self, online: Online | None, arrivals: list[Arrival]) -> int:
        """Return how many new envelopes may be pushed at once; all others wait for their page, in its order."""
        if online is None or not online.caught_up:
            return 0
        room = self._limits.delivery_window - online.waiting
        size = self._limits.delivery_window_size - online.in_flight
        for number, arrival in enumerate(arrivals):
            if number >= room or size <= 0:
                online.caught_up = False
                return number
            size -= len(arrival.envelope)
        return len(arrivals)

    def _push(self, online: Online, sequences: Sequence[int], envelopes: Sequence[bytes]) -> Outgoing:
        online.push(sequences, envelopes)
        return Outgoing(online.link, [Deliveries(sequences, envelopes)], early=online.since != self.group)

    def _has_room(self, online: Online) -> bool:
        """Tell whether the window of a link, which is counted in envelopes and in bytes, is open."""
        limits = self._limits
        return online.waiting < limits.delivery_window and online.in_flight < limits.delivery_window_size

    def fill(self, mailbox: Address, online: Online) -> list[Action]:
        """Push the next page of a device's mailbox, as far as its link's window goes."""
        if online.caught_up or not self._has_room(online):
            return []
        room = self._limits.delivery_window - online.waiting
        size = self._limits.delivery_window_size - online.in_flight
        waiting = self._store.pending(mailbox, after=online.cursor, limit=room, size=size)
        online.caught_up = len(waiting) < room and sum(len(envelope) for _, envelope in waiting) < size
        return [self._push(online, *zip(*waiting, strict=True))] if waiting else []

    def enter(self, device: Address, online: Online) -> list[Action]:
        """Push the first page to a device that logs in; what was pushed over a link that it had is pushed again."""
        self._store.keep(device)
        return self.fill(device, online)

    def forget_quotas(self) -> None:
        """Count anew: rows are gone that nobody has acknowledged."""
        self._quotas.forget()

    def count(self, mailbox: Address) -> int:
        """Return how many envelopes wait in a mailbox."""
        return self._quotas.count(mailbox, self._limits.mailbox_limit)

    # ------------------------------------------------------------ acknowledge, expire

    def acknowledge(self, mailbox: Address, sequences: list[int]) -> list[Action]:
        """Forget envelopes that their device has stored; unknown and repeated ones are passed over (G7).

        A sender whose envelope all devices have now is answered: it is on disk, although not here.
        """
        online = self._presence.of(mailbox)
        handed = online.acknowledge(sequences)
        if not handed:
            return []
        replies = self._awaited.acknowledge(handed)
        gone = [sequence for each in handed for sequence in each.sequences]
        self._store.acknowledge(mailbox, gone)
        self._quotas.give_back(mailbox, len(gone))
        return [*replies, *self.fill(mailbox, online)]

    def leave(self, device: Address) -> None:
        """Note that a device's link has ended; what was pushed over it and not acknowledged stays in its mailbox."""
        self._store.keep(device)
        self._presence.leave(device)

    # ------------------------------------------------------------ groups

    @property
    def awaits_since_s(self) -> float | None:
        """When the oldest envelope came whose acknowledge is awaited before it would be written."""
        return self._awaited.since_s

    def committed(self) -> list[Outgoing]:
        """Answer the senders of all that was pushed: everything is on disk."""
        return self._awaited.committed()

    def awaits(self, sender_id: str, envelope_id: bytes) -> bool:
        """Return whether a sender was not told yet that an envelope is safe."""
        return self._awaited.awaits(sender_id, envelope_id)

    def give_up(self) -> set[Link]:
        """Await nothing any more: nothing since the last commit has happened. Return the links that it was about."""
        self._quotas.forget()
        return self._awaited.give_up()

    def expire(self, *, now: Now) -> int:
        """Drop what is older than the retention, a round of it; return how many rows it was."""
        return self._store.expire(before=now.wall_s - self._limits.retention_s, limit=EXPIRE_AT_ONCE)


def _rejected(link: Link, envelope_id: bytes, reason: Code) -> Outgoing:
    log.info("rejected an envelope: %s", reason)
    return Outgoing(link, [Rejected(code=reason, id=envelope_id)])
