"""What the relay wants done: after its transaction is on disk, or early where that is safe."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from msgspec import Struct

from errors import Code
from protocol import Outbound

Link = Hashable  # whatever the program uses for one; the relay only compares it


class Outgoing(Struct, frozen=True):
    """Send frames over a link."""

    link: Link
    frames: Sequence[Outbound]
    early: bool = False  # it may go out before the transaction is on disk


class HangUp(Struct, frozen=True):
    """Say goodbye on a link and close it."""

    early: ClassVar[bool] = False
    link: Link
    code: Code


class SendCode(Struct, frozen=True):
    """Bring a verification code to its person, by another road than the link; then call `Relay.code_delivered`."""

    early: ClassVar[bool] = False
    link: Link
    user_id: str
    code: str

    def __repr__(self) -> str:
        return f"SendCode({self.user_id!r})"  # a code is a secret


Action = Outgoing | HangUp | SendCode
