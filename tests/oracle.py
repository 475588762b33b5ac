"""The judge of every delivery test: what was sent, what was accepted, what was shown (delivery contract G1 to G3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

M = TypeVar("M", bound=Hashable)


@dataclass(frozen=True)
class Verdict(Generic[M]):
    """What became of the messages of one sender to one recipient."""

    lost: list[M]  # accepted and never shown
    duplicated: list[M]  # shown more than once
    unexpected: list[M]  # shown and never sent
    disordered: list[M]  # shown before one that was sent before it
    recovered: int  # shown although nobody had promised it: no fault

    @property
    def kept(self) -> bool:
        """Whether the contract held."""
        return not (self.lost or self.duplicated or self.unexpected or self.disordered)


def figures(verdict: Verdict[M]) -> dict[str, int]:
    """Return what is counted: the first three must be 0."""
    return {
        "lost": len(verdict.lost),
        "duplicated": len(verdict.duplicated),
        "unexpected": len(verdict.unexpected),
        "recovered": verdict.recovered,
    }


def judge(*, sent: Sequence[M], accepted: Iterable[M], shown: Sequence[M]) -> Verdict[M]:
    """Judge a history; each message is sent once and has a name of its own."""
    promised, counts = set(accepted), Counter(shown)
    places = {message: place for place, message in enumerate(sent)}
    order = [places[message] for message in shown if message in places]
    return Verdict(
        lost=[message for message in sent if message in promised and message not in counts],
        duplicated=[message for message, count in counts.items() if count > 1],
        unexpected=[message for message in counts if message not in places],
        disordered=[sent[one] for one, next_one in pairwise(order) if one > next_one],
        recovered=sum(message in places and message not in promised for message in counts),
    )
