"""What every suite is given to make an envelope of."""

from __future__ import annotations

from dataclasses import dataclass

from protocol import Message, Receipt


@dataclass(frozen=True, slots=True)
class Draft:
    """What an envelope will say outside, apart from who and to whom."""

    kind: type[Message | Receipt]
    id: bytes  # 16 bytes, fresh
    timestamp: int  # seconds since 1970
