"""What the parts of the engine share: the link to the relay while there is one, and what a step brings."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from messenger.events import Event
from messenger.outbox import BEGINNING
from protocol import NONCE_SIZE, Frame, Welcome
from records import IdentityRecord


@dataclass(slots=True)
class Output:
    """What a step brought: frames to send, in order, and events to tell."""

    frames: list[Frame] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    now: int = 0  # when it was taken, seconds since 1970


Step = Callable[[int], AbstractContextManager[Output]]  # runs a step, given the time: one transaction


class Stocking(Enum):
    """How it stands with our prekeys at the server."""

    ASKED = auto()  # what it has
    LEFT = auto()  # what it lacked, and it has not answered
    SETTLED = auto()


@dataclass(slots=True)
class LinkState:
    """What is true of the present link only."""

    server_key_hash: bytes
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(NONCE_SIZE))
    welcome: Welcome | None = None
    identity_hash: bytes = b""  # under which we log in
    logins: int = 0  # how many were tried
    rotating: bool = False  # whether the server is told of the next identity, and has not answered
    behind: bool = False  # whether it knows us by a former identity only, and is told what came after
    online: bool = False
    expected: int = 0  # deliveries that waited at login and have not come yet
    cursor: int = BEGINNING  # the outbox has been sent up to this ordinal
    in_flight: set[bytes] = field(default_factory=set)  # ids sent and not yet answered
    overtaken: dict[str, set[bytes]] = field(default_factory=dict)  # of these, by peer, what is for a former key
    asked: set[str] = field(default_factory=set)  # look-ups under way
    stock: Stocking = Stocking.SETTLED  # how it stands with our prekeys at the server
    looked_at: set[str] = field(default_factory=set)  # contacts who were looked up because they speak too little
    prekeys_after: dict[str, int] = field(default_factory=dict)  # contacts who had none: when to ask again
    restock_at: int | None = None  # when to ask again what prekeys the server has, seconds since 1970
    asked_prekeys: set[str] = field(default_factory=set)  # contacts whose prekeys were asked for
    pages: dict[str, list[IdentityRecord]] = field(default_factory=dict)  # what came, of answers in several pages
    log_key: bytes = b""  # of the key log, as this server says: SubjectPublicKeyInfo
    reading_log: bool = False  # whether the server was asked for entries of its key log
    log_overdue_at: int | None = None  # when all of it should have come
    reply_is_stale: bool = False  # whether its answer is about a log that was forgotten meanwhile
    read_log_at: int | None = None  # when to ask again, seconds since 1970
    rows_page: tuple[int, int] | None = None  # of the rows that the server was asked for: table, and where in it
    ask_rows_at: int | None = None  # when to ask again, seconds since 1970
    heard_at: dict[str, int] = field(default_factory=dict)  # when contacts were last heard of, seconds since 1970
    asked_proof: tuple[str, bytes] | None = None  # of which message the server was asked for a proof: peer and id
    retry_at: int | None = None  # when to repeat what the relay put off, seconds since 1970

    def copied(self) -> LinkState:
        """Return a copy that stays as it is, whatever becomes of this one."""
        return replace(
            self,
            in_flight=set(self.in_flight),
            overtaken={peer: set(ids) for peer, ids in self.overtaken.items()},
            asked=set(self.asked),
            looked_at=set(self.looked_at),
            prekeys_after=dict(self.prekeys_after),
            asked_prekeys=set(self.asked_prekeys),
            pages={user_id: list(records) for user_id, records in self.pages.items()},
            heard_at=dict(self.heard_at),
        )


class Line:
    """The line to the relay."""

    def __init__(self) -> None:
        """Start without a link."""
        self.link: LinkState | None = None

    @property
    def online(self) -> bool:
        """Whether the relay has let us in."""
        return self.link is not None and self.link.online

    @property
    def present(self) -> LinkState:
        """The link over which what is dealt with has come."""
        assert self.link is not None  # noqa: S101 - frames come over a link
        return self.link

    def send_again(self) -> None:
        """Look through the outbox from its beginning: what had to wait may go out now."""
        if self.link is not None:
            self.link.cursor = BEGINNING
