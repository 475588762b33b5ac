"""What the relay wants done after its transaction is on disk."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from errors import Code
from protocol import Frame

Link = Hashable  # whatever the program uses for one; the relay only compares it


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Send a frame over a link."""

    link: Link
    frame: Frame


@dataclass(frozen=True, slots=True)
class HangUp:
    """Say goodbye on a link and close it."""

    link: Link
    code: Code


@dataclass(frozen=True, slots=True)
class SendCode:
    """Bring a verification code to its person, by another road than the link; then call `Relay.code_delivered`."""

    link: Link
    user_id: str
    code: str = field(repr=False)


Action = Outgoing | HangUp | SendCode
