"""Replies that wait: an envelope that all its devices were handed is safe once they have it, or once it is on disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Final, NamedTuple

from protocol import MAX_ACCEPTED, Accepted, Frame
from relay.actions import Link, Outgoing
from relay.limits import Now
from relay.storage import Address

TOGETHER_S: Final = 0.02  # how long after each other envelopes may come that are answered together


class Source(NamedTuple):
    """Where envelopes come from, and when."""

    link: Link
    device: Address
    now: Now


@dataclass(slots=True, eq=False)
class Answers:
    """Replies to a sender whose envelopes every device was handed; they go out together.

    Attributes:
        came: Whom they go to, and when the first of the envelopes came.
        ids: Of these envelopes, in their order.
        again: What was sent again meanwhile: over which link, and its id.
        told: The links that heard of it before it is safe.
        missing: How many acknowledges the replies wait for.
    """

    came: Source
    ids: dict[bytes, None] = field(default_factory=dict)
    again: list[tuple[Link, bytes]] = field(default_factory=list)
    told: set[Link] = field(default_factory=set)
    missing: int = 0

    def replies(self) -> list[Outgoing]:
        """Return what is said once they are complete."""
        at = self.came.now.wall_s
        again = [Outgoing(link, accepted([envelope_id], at), early=True) for link, envelope_id in self.again]
        return [Outgoing(self.came.link, accepted(list(self.ids), at), early=True), *again]


@dataclass(slots=True, eq=False)
class Handed:
    """Envelopes that went over a link at once, and are not acknowledged.

    Attributes:
        sequences: Those of the envelopes, in their order.
        sizes: Of the envelopes, in bytes.
        answers: The replies that wait for them.
    """

    sequences: Sequence[int]
    sizes: Sequence[int]
    answers: Answers | None = None

    def split(self, named: set[int]) -> tuple[Handed, Handed]:
        """Return what is named of it, and the rest."""
        inside = [sequence in named for sequence in self.sequences]
        return self._part(inside), self._part([not each for each in inside])

    def _part(self, chosen: list[bool]) -> Handed:
        return Handed(list(compress(self.sequences, chosen)), list(compress(self.sizes, chosen)), self.answers)


class Awaited:
    """All replies that wait."""

    def __init__(self) -> None:
        """Start with none."""
        self._all: dict[Answers, None] = {}  # oldest first
        self._by_link: dict[Link, Answers] = {}  # to which the next reply over it is added
        self._by_sender: defaultdict[str, set[Answers]] = defaultdict(set)  # few: of the last second

    @property
    def since_s(self) -> float | None:
        """When the oldest envelope came whose reply waits."""
        return next(iter(self._all)).came.now.steady_s if self._all else None

    def add(self, came: Source, ids: list[bytes], handed: Iterable[Handed], told: Iterable[Link]) -> None:
        """Answer envelopes when all of them are acknowledged wherever they were handed over.

        Args:
            came: Whom to answer.
            ids: Of the envelopes.
            handed: They, for each of the devices.
            told: The links that they go to.
        """
        answers = self._answers(came)
        for envelope_id in ids:
            answers.ids[envelope_id] = None
        answers.told.update(told)
        for each in handed:
            each.answers = answers
            answers.missing += len(each.sequences)

    def _answers(self, came: Source) -> Answers:
        """Return what the next reply over a link is added to."""
        answers = self._by_link.get(came.link)
        if (
            answers is None
            or came.now.steady_s >= answers.came.now.steady_s + TOGETHER_S
            or came.now.wall_s != answers.came.now.wall_s
        ):
            answers = self._by_link[came.link] = Answers(came)
            self._all[answers] = None
            self._by_sender[came.device.user_id].add(answers)
        return answers

    def add_again(self, link: Link, sender_id: str, envelope_id: bytes) -> bool:
        """Answer an envelope over another link too, if its reply waits; return whether it does."""
        answers = self._find(sender_id, envelope_id)
        if answers is not None:
            answers.again.append((link, envelope_id))
        return answers is not None

    def awaits(self, sender_id: str, envelope_id: bytes) -> bool:
        """Return whether the reply about an envelope waits."""
        return self._find(sender_id, envelope_id) is not None

    def _find(self, sender_id: str, envelope_id: bytes) -> Answers | None:
        return next((each for each in self._by_sender.get(sender_id, ()) if envelope_id in each.ids), None)

    def acknowledge(self, handed: Iterable[Handed]) -> list[Outgoing]:
        """Return the replies that waited for nothing but these; the next to the same sender are others."""
        replies: list[Outgoing] = []
        for each in handed:
            answers = each.answers
            if answers is not None and answers in self._all:  # a commit may have come first
                answers.missing -= len(each.sequences)
                if not answers.missing:
                    replies += answers.replies()
                    self._forget(answers)
        return replies

    def _forget(self, answers: Answers) -> None:
        came = answers.came
        del self._all[answers]
        if self._by_link.get(came.link) is answers:
            del self._by_link[came.link]
        mine = self._by_sender[came.device.user_id]
        mine.remove(answers)
        if not mine:
            del self._by_sender[came.device.user_id]

    def _take_all(self) -> list[Answers]:
        answers = list(self._all)
        for remembered in (self._all, self._by_link, self._by_sender):
            remembered.clear()
        return answers

    def committed(self) -> list[Outgoing]:
        """Return all of them: everything is on disk."""
        return [reply for answers in self._take_all() for reply in answers.replies()]

    def give_up(self) -> set[Link]:
        """Await nothing any more: nothing since the last commit has happened. Return the links that it was about."""
        return {link for each in self._take_all() for link in (*each.told, *(reply.link for reply in each.replies()))}


def accepted(ids: list[bytes], at: int) -> list[Frame]:
    """Return what tells a sender that envelopes are safe, since a time."""
    return [Accepted(ids=ids[first : first + MAX_ACCEPTED], timestamp=at) for first in range(0, len(ids), MAX_ACCEPTED)]
