"""The rules of a link, sans I/O: bytes in, frames out, and the reverse (docs/PROTOCOL.md section 3.1)."""

from __future__ import annotations

import struct
from enum import Enum, auto
from typing import Final

from errors import Code, LocalProtocolError, RemoteProtocolError
from protocol import (
    LENGTH_SIZE,
    MAX_ENVELOPE,
    MAX_FRAME,
    MAX_FRAME_BEFORE_LOGIN,
    AcceptanceProof,
    Accepted,
    Acknowledge,
    CodeSent,
    Deliveries,
    Delivery,
    Erase,
    Erased,
    FetchAcceptance,
    FetchIdentity,
    FetchLog,
    FetchPrekeys,
    FetchRows,
    Frame,
    Goodbye,
    Hello,
    Identity,
    Log,
    LoggedIn,
    Login,
    Message,
    Outbound,
    Ping,
    Pong,
    Prekeys,
    PrekeysHeld,
    PublishPrekeys,
    Receipt,
    Refusal,
    Register,
    Registered,
    Rejected,
    RequestCode,
    Revoke,
    Revoked,
    Rotate,
    Rotated,
    Rows,
    Welcome,
    decode_frames,
    encode_frames,
)


class Role(Enum):
    """Which end of the link."""

    CLIENT = auto()
    SERVER = auto()


class State(Enum):
    """Where a link stands; both ends go through the same states."""

    OPEN = auto()
    HELLO_SENT = auto()
    GREETED = auto()
    CODE_REQUESTED = auto()
    REGISTERING = auto()
    LOGGING_IN = auto()
    REVOKING = auto()
    READY = auto()
    CLOSED = auto()


_CLIENT, _SERVER, _CLOSED = Role.CLIENT, Role.SERVER, State.CLOSED
_length: Final = struct.Struct(">I").unpack_from

# What is absent is forbidden. A goodbye, which either may say in every state, is added below.
TRANSITIONS: Final[dict[State, dict[tuple[Role, type[Frame]], State]]] = {
    State.OPEN: {(_CLIENT, Hello): State.HELLO_SENT},
    State.HELLO_SENT: {(_SERVER, Welcome): State.GREETED},
    State.GREETED: {
        (_CLIENT, RequestCode): State.CODE_REQUESTED,
        (_CLIENT, Register): State.REGISTERING,
        (_CLIENT, Login): State.LOGGING_IN,
        (_CLIENT, Revoke): State.REVOKING,
    },
    State.CODE_REQUESTED: {(_SERVER, CodeSent): State.GREETED, (_SERVER, Refusal): State.GREETED},
    State.REGISTERING: {(_SERVER, Registered): State.GREETED, (_SERVER, Refusal): State.GREETED},
    State.LOGGING_IN: {(_SERVER, LoggedIn): State.READY, (_SERVER, Refusal): State.GREETED},
    State.REVOKING: {(_SERVER, Revoked): State.GREETED, (_SERVER, Refusal): State.GREETED},
    State.READY: {
        (speaker, kind): State.READY
        for speaker, kinds in (
            (
                _CLIENT,
                (
                    Message,
                    Receipt,
                    FetchIdentity,
                    FetchLog,
                    Acknowledge,
                    Rotate,
                    FetchRows,
                    FetchAcceptance,
                    Erase,
                    PublishPrekeys,
                    FetchPrekeys,
                    Ping,
                    Pong,
                ),
            ),
            (
                _SERVER,
                (
                    Accepted,
                    Rejected,
                    Identity,
                    Log,
                    Delivery,
                    Rotated,
                    Rows,
                    AcceptanceProof,
                    Erased,
                    PrekeysHeld,
                    Prekeys,
                    Refusal,
                    Ping,
                    Pong,
                ),
            ),
        )
        for kind in kinds
    },
    State.CLOSED: {},
}
for _state in State:
    if _state is not State.CLOSED:
        TRANSITIONS[_state].update({(role, Goodbye): State.CLOSED for role in Role})

# The same by role and state: what a link asks with every frame.
_ALLOWED: Final[dict[Role, dict[State, dict[type[Outbound], State]]]] = {
    role: {
        state: {kind: following for (speaker, kind), following in table.items() if speaker is role}
        for state, table in TRANSITIONS.items()
    }
    for role in Role
}

for _table in _ALLOWED[_SERVER].values():  # several that go together may go where one may
    if Delivery in _table:
        _table[Deliveries] = _table[Delivery]


class Connection:
    """One end of a link without its socket: bytes in, frames out, and the reverse.

    Attributes:
        role: Which end this is.
        failure: What the other end did wrong; from then on nothing more is read.
    """

    def __init__(self, role: Role) -> None:
        """Start as the client or the server of a new link."""
        self.role = role
        self.failure: RemoteProtocolError | None = None
        self._ours = _ALLOWED[role]
        self._theirs = _ALLOWED[Role.SERVER if role is Role.CLIENT else Role.CLIENT]
        self._begun = bytearray()  # a frame that is not complete
        self._needed = 0  # bytes of it before it makes sense to look again
        self.state = State.OPEN

    @property
    def state(self) -> State:
        """Where the link stands."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        if state is State.CLOSED:  # nothing more is read, and nothing kept for it
            self._begun.clear()
        self._may_come = self._theirs[state]
        ready = MAX_FRAME if self.role is Role.CLIENT else MAX_ENVELOPE  # bytes that the other end may send
        self._max_frame = ready if state is State.READY else MAX_FRAME_BEFORE_LOGIN

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._begun)

    def send(self, *frames: Outbound) -> bytes:
        """Return the bytes for the socket.

        Raises:
            LocalProtocolError: One of these frames is not allowed now; nothing has changed.
        """
        state = self._state
        for frame in frames:
            following = self._ours[state].get(type(frame))
            if following is None:
                message = f"{type(frame).__name__} may not be sent in state {state.name}"
                raise LocalProtocolError(message)
            state = following
        if state is not self._state:
            self.state = state
        return encode_frames(*frames)

    def receive(self, data: bytes) -> list[Frame]:
        """Take what came from the socket and return the frames that are complete.

        Frames before a bad one are returned; the bad one is then in `failure`.

        Raises:
            RemoteProtocolError: The other end had failed before.
        """
        if self.failure is not None:
            raise self.failure
        if self._state is State.CLOSED:
            return []
        if self._begun:
            self._begun += data
            if len(self._begun) < self._needed:
                return []
            data = bytes(self._begun)
            self._begun.clear()
        frames: list[Frame] = []
        try:
            self._begun += data[self._take_frames(data, frames) :]
        except RemoteProtocolError as failure:
            self.failure = failure
        return frames

    def _take_frames(self, data: bytes, frames: list[Frame]) -> int:
        """Append the complete frames of some bytes to a list and return where the rest begins."""
        start = 0
        while self._state is not _CLOSED:
            bodies, start = self._cut(data, start)
            if not bodies:
                return start
            for frame in decode_frames(bodies):
                following = self._may_come.get(type(frame))
                if following is None:
                    raise RemoteProtocolError(Code.UNEXPECTED_FRAME, type(frame).__name__.lower())
                frames.append(frame)
                if following is not self._state:
                    self.state = following
                    break  # before login there is no other; after a goodbye nothing is read any more
        return len(data)

    def _cut(self, data: bytes, start: int) -> tuple[list[bytes], int]:
        """Return the complete frames from a place on, without their lengths, and where the rest begins.

        Before login it is only one: after it, others may come, and larger ones.
        """
        bodies: list[bytes] = []
        end, many = len(data), self._state is State.READY
        while start < end and (many or not bodies):
            body = start + LENGTH_SIZE
            if body > end:
                self._needed = LENGTH_SIZE
                break
            (size,) = _length(data, start)
            if not 0 < size <= self._max_frame:  # on the length itself: nothing is kept for it
                if bodies:  # they were good, and are heard first
                    break
                raise RemoteProtocolError(Code.TOO_LARGE if size else Code.MALFORMED)
            if body + size > end:
                self._needed = LENGTH_SIZE + size
                break
            start = body + size
            bodies.append(data[body:start])
        return bodies, start
