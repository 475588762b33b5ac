"""What a person has chosen for an account, at the start of the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from messenger.suites import SPOKEN


@dataclass(frozen=True, slots=True)
class Preferences:
    """The choices.

    Attributes:
        spoken: The suites that the account speaks.
        minimum_suite: Nothing goes out under a lower one.
        read_receipts: Whether contacts hear that their messages were read.
        typing: Whether contacts see when the person is typing to them.
        requests: Whether strangers hear nothing at all until they are let in.
    """

    spoken: Sequence[int] = SPOKEN
    minimum_suite: int = max(SPOKEN)
    read_receipts: bool = True
    typing: bool = True
    requests: bool = True
