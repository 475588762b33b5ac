"""One connection with its socket: TLS, frames in and out, deadlines, and an orderly end.

A link belongs to one loop, and so to one thread, for life: an `ssl.SSLSocket` does not bear two (one writing
while another writes corrupts the stream, one reading while another writes can deadlock). Other threads hand
frames to `Link.send`, which wakes the loop. What must never be here is the meaning of a frame, apart from ping,
pong and goodbye, which are about the link itself.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from connection import Connection, Role, State
from crypto_utils import RSAPublicKey
from errors import Code, CryptoError, LocalProtocolError, NetworkError, RemoteProtocolError, SecureChatError
from protocol import Frame, Goodbye, Outbound, Ping, Pong
from tls import TURNED_AWAY, pinned_key

log = logging.getLogger("securechat.link")

RECORD_SIZE: Final = 16 * 1024  # bytes: a whole TLS record (RFC 8446 section 5.1), so that TLS keeps no rest of one
MAX_RECORDS: Final = 8  # read from one link at a time: large frames come a few together, and nobody waits long
WRITE_SIZE: Final = 256 * 1024  # bytes handed to TLS at once
LINGER_S: Final = 2  # how long a closing link may take to flush and to hear that the other end closes too

_ABOUT_LINKS: Final = frozenset({Ping, Pong, Goodbye})
_FULL: Final = (ssl.SSLWantWriteError, BlockingIOError)  # for every write asks: a union would be made anew
_AGAIN: Final = (ssl.SSLWantReadError, *_FULL)


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What a link may take; docs/PROTOCOL.md section 10."""

    handshake_s: float = 10.0  # for TLS, so that silent connections do not pile up
    login_s: float = 20.0  # from TLS to login, on the server's side
    frame_s: float = 10.0  # for a frame, from its first byte: a slow sender must not hold a buffer
    heartbeat_s: float = (
        20.0  # of silence before a ping, and again before giving up: TCP never sees a process that stopped
    )
    outbox_frames: int = 2048  # not yet encoded, those that are pushed together as one; several groups of the writer
    outbox_size: int = 4 * 1024 * 1024  # bytes not yet written: what a client that never reads can cost


class Handler(Protocol):
    """Whoever is told what happens on links, in the loop's thread; only `rest` may block, and so hold up all links."""

    def opened(self, link: Link) -> None:
        """TLS is up and, on the client's side, the pin holds."""

    def received(self, link: Link, frames: list[Frame]) -> None:
        """Frames came in; never pings or pongs, and never none."""

    def closed(self, link: Link, reason: SecureChatError | None) -> None:
        """The link has ended, or never came about; None when this end closed it."""

    def rest(self) -> None:
        """Everything that came at once, over all links, has been told: now is the time to act on it."""


class Owner(Protocol):
    """What a link needs of the loop that owns it (transport.py)."""

    handler: Handler
    limits: LinkLimits
    clock: Callable[[], float]
    selector: selectors.BaseSelector
    told: bool  # whether the handler was told of something since it could last act

    def touch(self, link: Link) -> None:
        """Note that a link has something to do; from any thread."""

    def forget(self, link: Link) -> None:
        """Let go of a link that has ended."""


class Phase(Enum):
    """Where a socket stands; what is said over it has states of its own (protocol.State)."""

    HANDSHAKE = auto()
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


class Link:
    """A connection with its socket. `send` and `close` may be called from any thread, the rest is the loop's.

    Attributes:
        address: The other end's IP address.
        peer_key: The server's public key as seen in TLS; None on the server's side.
    """

    def __init__(
        self,
        loop: Owner,
        role: Role,
        address: str,
        *,
        pin: str | None = None,
        settled: Callable[[], None] | None = None,
    ) -> None:
        """Prepare a link that has no socket yet; only a loop makes one."""
        self.address = address
        self.peer_key: RSAPublicKey | None = None
        self.phase = Phase.HANDSHAKE
        self.connection = Connection(role)
        self._loop = loop
        self._pin = pin
        self._settled = settled
        self._socket: ssl.SSLSocket | None = None
        self._queue: deque[Outbound] = deque()
        self._output = bytearray()
        self._writing = False  # whether the loop waits until the socket takes more
        self._closing = False
        self._closing_since_s: float | None = None
        self.touched = False  # whether the loop knows that it has something to do
        self._goodbye: Code | None = None
        self._why: SecureChatError | None = None  # what ends it, when it is not this end's wish
        self._began_s = self._heard_s = loop.clock()
        self._frame_began_s: float | None = None
        self._pinged = False

    # ------------------------------------------------------------ any thread

    def send(self, *frames: Outbound) -> None:
        """Queue frames; on a link that is closing or closed they are dropped."""
        if self._closing or self.phase is Phase.CLOSED:
            return
        self._queue.extend(frames)
        self._loop.touch(self)

    def close(self, code: Code | None = None) -> None:
        """Send what is queued, say goodbye if there is a reason to give, and close."""
        if not self._closing:
            self._goodbye, self._closing = code, True
            self._loop.touch(self)

    # ------------------------------------------------------------ the loop's thread

    def adopt(self, sock: ssl.SSLSocket) -> None:
        """Begin on a connected socket."""
        self._socket = sock
        self._began_s = self._heard_s = self._loop.clock()
        self._loop.selector.register(sock, selectors.EVENT_READ, self)
        self.ready()

    def ready(self) -> None:
        """Go on with whatever the socket allows now."""
        try:
            if self.phase is Phase.HANDSHAKE and not self._handshake():
                return
            if self.phase is not Phase.CLOSED:
                self._read()
            if self._queue or self._writing:
                self.flush()
        except _AGAIN as again:
            self._want(again)
        except RemoteProtocolError as failure:
            self._end(failure, failure.code)
        except (OSError, CryptoError) as error:
            self._drop(network_error(error))
        except SecureChatError as error:
            self._drop(error)

    def _sock(self) -> ssl.SSLSocket:
        assert self._socket is not None  # noqa: S101 - adopt() comes first
        return self._socket

    def _want(self, again: OSError | None) -> None:
        """Wait for what TLS waits for."""
        writing = isinstance(again, _FULL) or bool(self._output)
        if writing is not self._writing and self.phase is not Phase.CLOSED:
            self._writing = writing
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
            self._loop.selector.modify(self._sock(), events, self)

    def _handshake(self) -> bool:
        """Go on with TLS, and hold the server's key against the pin before a byte of ours is sent."""
        self._sock().do_handshake()
        if self._pin is not None:
            self.peer_key = pinned_key(self._sock(), self._pin, self.address)
        self.phase = Phase.OPEN
        self._heard_s = self._began_s = self._loop.clock()
        return self._tell(lambda handler: handler.opened(self))

    def _tell(self, what: Callable[[Handler], None]) -> bool:
        """Call the handler; its failure ends this link and no other."""
        self._loop.told = True
        try:
            what(self._loop.handler)
        except Exception:
            log.exception("a handler failed")
            self._end(None, Code.INTERNAL)
            return False
        return True

    def _read(self) -> None:
        try:
            data = self._sock().recv(RECORD_SIZE)
        except _AGAIN:
            if not self._writing:
                raise
            return  # the socket is ready for what waits to be written
        if not data:
            self._drop(NetworkError("the other end closed the connection"))
            return
        self._heard_s, self._pinged = self._loop.clock(), False
        if len(data) == RECORD_SIZE:
            data = self._read_on(data)
        if self.phase is Phase.OPEN:
            self._take(data)

    def _read_on(self, data: bytes) -> bytes:
        """Read what comes after a full record: mostly the rest of what was sent at once."""
        records = [data]
        with suppress(OSError):  # nothing more now, or an end, of which the next read will hear again
            while len(records) < MAX_RECORDS and len(records[-1]) == RECORD_SIZE:
                records.append(self._sock().recv(RECORD_SIZE))
        return b"".join(records)

    def _take(self, data: bytes) -> None:
        frames = self.connection.receive(data)
        if not self.connection.mid_frame:
            self._frame_began_s = None
        elif frames or self._frame_began_s is None:
            self._frame_began_s = self._heard_s
        commands = frames if _ABOUT_LINKS.isdisjoint(map(type, frames)) else self._without_link_frames(frames)
        if commands and not self._tell(lambda handler: handler.received(self, commands)):
            return
        if self.connection.failure is not None:
            raise self.connection.failure
        if self._why is not None:
            self._end(self._why, None)

    def _without_link_frames(self, frames: list[Frame]) -> list[Frame]:
        """Act on the frames that are about the link itself, and return those that are not only that."""
        for frame in frames:
            if isinstance(frame, Ping):
                self._queue.append(Pong())
            elif isinstance(frame, Goodbye):
                self._why = RemoteProtocolError(frame.code)
        return [frame for frame in frames if not isinstance(frame, (Ping, Pong))]

    def flush(self) -> None:
        """Encode what is queued and write as much as the socket takes; close when that was the last of it."""
        self.touched = False  # before the queue is read: whoever adds to it now touches the link again
        if self.phase is Phase.HANDSHAKE and self._closing:
            self._drop(None)
        if self.phase is Phase.HANDSHAKE or self.phase is Phase.CLOSED:
            return
        if len(self._queue) > self._loop.limits.outbox_frames:
            self._drop(NetworkError("the other end does not read what it is sent"))
            return
        closing = self._closing  # once: another thread may close the link while this goes on, and will touch it then
        self._encode()
        if self._settled is not None and self.connection.state is State.READY:
            self._settle()
        if closing and self._goodbye is not None and self.connection.state is not State.CLOSED:
            self._output += self.connection.send(Goodbye(code=self._goodbye))
        if self._write() and closing and self.phase is Phase.OPEN:
            self._finish()

    def _settle(self) -> None:
        """Tell, once, that it is no longer in doubt whether there will be a login."""
        if self._settled is not None:
            settled, self._settled = self._settled, None
            settled()

    def _encode(self) -> None:
        """Encode what is queued: all of it, or nothing where something may not be sent, which is a mistake of ours."""
        frames = [self._queue.popleft() for _ in range(len(self._queue))]  # other threads may add to it meanwhile
        try:
            self._output += self.connection.send(*frames)
        except LocalProtocolError as error:
            if self.connection.state is not State.CLOSED:  # after a goodbye nothing is sent
                log.warning("%s", error)
            self.close()

    def _write(self) -> bool:
        """Write; return whether all of it is out."""
        try:
            while self._output:
                with memoryview(self._output) as view, view[:WRITE_SIZE] as part:
                    sent = self._sock().send(part)
                del self._output[:sent]
        except _AGAIN as again:
            if len(self._output) > self._loop.limits.outbox_size:
                self._drop(NetworkError("the other end does not read what it is sent"))
                return False
            self._want(again)
            return False
        except OSError as error:
            self._drop(network_error(error))
            return False
        self._want(None)
        return True

    def _end(self, reason: SecureChatError | None, code: Code | None) -> None:
        """Close because of something: tell the other end, then the handler."""
        self._why = reason
        self._goodbye, self._closing = code, True
        self.flush()

    def _finish(self) -> None:
        """All is written: end our direction and wait a moment for the other end to close.

        Closing at once would make the kernel reset the connection when anything is unread, and the goodbye
        would be lost with it.
        """
        self.phase = Phase.CLOSING
        self._began_s = self._loop.clock()
        with suppress(OSError, ValueError):
            self._sock().unwrap()
        with suppress(OSError):
            self._sock().shutdown(socket.SHUT_WR)

    def _drop(self, reason: SecureChatError | None) -> None:
        """Let go of the socket and say so, once."""
        if self.phase is Phase.CLOSED:
            return
        reason = self._why if self.phase is Phase.CLOSING or self._why is not None else reason
        self.phase = Phase.CLOSED
        self._queue.clear()
        self._output.clear()
        if self._socket is not None:
            self._loop.selector.unregister(self._socket)
            self._socket.close()
        self._loop.forget(self)
        self._settle()
        self._loop.told = True
        with suppress(Exception):  # there is nothing left to end for it
            self._loop.handler.closed(self, reason)

    def fail(self, reason: SecureChatError) -> None:
        """End a link that never got a socket."""
        self._drop(reason)

    def check_deadlines(self, now_s: float) -> None:
        """End what takes too long; ping what is silent."""
        limits, age_s = self._loop.limits, now_s - self._began_s
        if self.phase is Phase.CLOSING:
            if age_s > LINGER_S:
                self._drop(None)
        elif self.phase is Phase.HANDSHAKE:
            if self._socket is not None and age_s > limits.handshake_s:
                self._drop(NetworkError("the other end did not answer in time"))
        elif self._closing:  # and the other end does not take what comes before the goodbye
            self._closing_since_s = now_s if self._closing_since_s is None else self._closing_since_s
            if now_s - self._closing_since_s > LINGER_S:
                self._drop(None)
        elif self._frame_began_s is not None and now_s - self._frame_began_s > limits.frame_s:
            self._end(NetworkError("a frame took too long"), Code.TOO_SLOW)
        elif self.connection.state is State.READY:
            self._check_heartbeat(now_s - self._heard_s)
        elif self.connection.role is Role.SERVER and age_s > limits.login_s:
            self._end(NetworkError("no login in time"), Code.TOO_SLOW)

    def _check_heartbeat(self, silent_s: float) -> None:
        if silent_s > 2 * self._loop.limits.heartbeat_s:
            self._drop(NetworkError("the other end has stopped answering"))
        elif silent_s > self._loop.limits.heartbeat_s and not self._pinged:
            self._pinged = True
            self._queue.append(Ping())
            self.flush()

    def abandon(self) -> None:
        """Let go at once: the loop ends."""
        self._drop(None)


def plain_reason(error: OSError) -> str:
    """Return an operating system's reason for a failed connection in plain words."""
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, TimeoutError):
        return "no answer"
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else "connection failed"


def network_error(error: Exception) -> SecureChatError:
    """Return what a failure of the socket or of TLS means to a person."""
    if isinstance(error, ssl.SSLError) and error.reason == TURNED_AWAY:
        return RemoteProtocolError(Code.TOO_MANY_CONNECTIONS)
    if isinstance(error, ssl.SSLError | CryptoError):
        return NetworkError(
            "the other end does not speak TLS 1.3 as SecureChat does", hint="is it a SecureChat server?"
        )
    reason = plain_reason(error) if isinstance(error, OSError) else "failed"
    return NetworkError(f"the connection was lost ({reason})")
