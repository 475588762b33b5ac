"""Who is connected where, and how far each mailbox has been pushed over its link."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from relay.actions import Link
from relay.answers import Handed
from relay.storage import Address


@dataclass(slots=True)
class Online:
    """A device that is logged in.

    Attributes:
        link: Where it can be reached.
        since: The group in which it logged in; until that is on disk, it has not heard that it has.
        cursor: The highest sequence that was pushed; the mailbox is pushed in order.
        caught_up: Whether everything in the mailbox has been pushed, so that a new envelope may go out at once.
        handed: What was pushed and not yet acknowledged, in its order.
        waiting: How many envelopes that is.
        in_flight: The sum of their sizes in bytes.
    """

    link: Link
    since: int = 0
    cursor: int = 0
    caught_up: bool = False
    handed: list[Handed] = field(default_factory=list)
    waiting: int = 0
    in_flight: int = 0

    def push(self, sequences: Sequence[int], envelopes: Sequence[bytes]) -> None:
        """Note that envelopes go out, in their order."""
        handed = Handed(sequences, list(map(len, envelopes)))
        self.handed.append(handed)
        self.waiting += len(sequences)
        self.in_flight += sum(handed.sizes)
        self.cursor = sequences[-1]

    def acknowledge(self, sequences: Iterable[int]) -> list[Handed]:
        """Note that the device has these, and return those of them that it was sent: it may name any."""
        named, taken, left = set(sequences), list[Handed](), list[Handed]()
        highest = max(named, default=0)
        for place, handed in enumerate(self.handed):
            if handed.sequences[0] > highest:  # as are all that were pushed after it
                left += self.handed[place:]
                break
            if named.isdisjoint(handed.sequences):
                left.append(handed)
            elif named.issuperset(handed.sequences):
                taken.append(handed)
            else:
                ours, rest = handed.split(named)
                taken.append(ours)
                left.append(rest)
        self.handed = left
        self.waiting -= sum([len(handed.sequences) for handed in taken])
        self.in_flight -= sum([sum(handed.sizes) for handed in taken])
        return taken


class Presence:
    """The devices that are online, by their address."""

    def __init__(self) -> None:
        """Start with nobody online."""
        self._online: dict[Address, Online] = {}

    def enter(self, address: Address, online: Online) -> Link | None:
        """Note a login and return the link that it replaces, if the device had one."""
        before = self._online.get(address)
        self._online[address] = online
        return before.link if before is not None else None

    def leave(self, address: Address) -> None:
        """Note that a device's link has ended. A link that was replaced ended when it was: it is not heard of again."""
        del self._online[address]

    def find(self, address: Address) -> Online | None:
        """Return the device's presence, or None when it is offline."""
        return self._online.get(address)

    def of_account(self, user_id: str) -> list[Online]:
        """Return the presences of all devices of an account."""
        return [online for address, online in self._online.items() if address.user_id == user_id]

    def of(self, address: Address) -> Online:
        """Return the presence of a device that is logged in."""
        return self._online[address]
