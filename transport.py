"""The only code that touches sockets once they are open: links, and the loop that owns them.

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
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final, Protocol

from crypto_utils import RSAPublicKey
from errors import Code, CryptoError, LocalProtocolError, NetworkError, RemoteProtocolError, SecureChatError
from protocol import Connection, Frame, Goodbye, Ping, Pong, Role, State
from tls import TURN_AWAY, TURNED_AWAY, client_context, pinned_key

log = logging.getLogger("securechat.transport")

RECORD_SIZE: Final = 16 * 1024  # bytes: a whole TLS record (RFC 8446 section 5.1), so that TLS keeps no rest of one
MAX_RECORDS: Final = 2  # read from one link at a time
WRITE_SIZE: Final = 256 * 1024  # bytes handed to TLS at once
CONNECT_TIMEOUT_S: Final = 10  # for each address of a name
ROUND: Final = 32  # links that are read before what came is acted on: more would not fit into the processor's cache
LINGER_S: Final = 2  # how long a closing link may take to flush and to hear that the other end closes too
_SCAN_S: Final = 1.0  # how often deadlines are looked at; they are all much longer

_ABOUT_LINKS: Final = frozenset({Ping, Pong, Goodbye})
_AGAIN: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """What a link may take; docs/PROTOCOL.md section 10."""

    handshake_s: float = 10.0  # for TLS, so that silent connections do not pile up
    login_s: float = 20.0  # from TLS to login, on the server's side
    frame_s: float = 10.0  # for a frame, from its first byte: a slow sender must not hold a buffer
    heartbeat_s: float = (
        20.0  # of silence before a ping, and again before giving up: TCP never sees a process that stopped
    )
    outbox_frames: int = 2048  # not yet encoded; several groups of the server's writer
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


class _Phase(Enum):
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
        self, loop: Loop, role: Role, address: str, *, pin: str | None = None, settled: Callable[[], None] | None = None
    ) -> None:
        """Prepare a link that has no socket yet; only a loop makes one."""
        self.address = address
        self.peer_key: RSAPublicKey | None = None
        self.phase = _Phase.HANDSHAKE
        self.connection = Connection(role)
        self._loop = loop
        self._pin = pin
        self._settled = settled
        self._socket: ssl.SSLSocket | None = None
        self._queue: deque[Frame] = deque()
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

    def send(self, *frames: Frame) -> None:
        """Queue frames; on a link that is closing or closed they are dropped."""
        if self._closing or self.phase is _Phase.CLOSED:
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
            if self.phase is _Phase.HANDSHAKE and not self._handshake():
                return
            if self.phase in {_Phase.OPEN, _Phase.CLOSING}:
                self._read()
            if self._queue or self._writing:
                self.flush()
        except _AGAIN as again:
            self._want(again)
        except RemoteProtocolError as failure:
            self._end(failure, failure.code)
        except (OSError, CryptoError) as error:
            self._drop(_network_error(error))
        except SecureChatError as error:
            self._drop(error)

    def _sock(self) -> ssl.SSLSocket:
        assert self._socket is not None  # noqa: S101 - adopt() comes first
        return self._socket

    def _want(self, again: OSError | None) -> None:
        """Wait for what TLS waits for."""
        writing = isinstance(again, ssl.SSLWantWriteError | BlockingIOError) or bool(self._output)
        if writing is not self._writing and self.phase is not _Phase.CLOSED:
            self._writing = writing
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
            self._loop.selector.modify(self._sock(), events, self)

    def _handshake(self) -> bool:
        """Go on with TLS, and hold the server's key against the pin before a byte of ours is sent."""
        self._sock().do_handshake()
        if self._pin is not None:
            self.peer_key = pinned_key(self._sock(), self._pin, self.address)
        self.phase = _Phase.OPEN
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
        if self.phase is _Phase.OPEN:
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
        if self.phase is _Phase.HANDSHAKE and self._closing:
            self._drop(None)
        if self.phase not in {_Phase.OPEN, _Phase.CLOSING}:
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
        if self._write() and closing and self.phase is _Phase.OPEN:
            self._finish()

    def _settle(self) -> None:
        """Tell, once, that it is no longer in doubt whether there will be a login."""
        if self._settled is not None:
            settled, self._settled = self._settled, None
            settled()

    def _encode(self) -> None:
        while self._queue and self.connection.state is not State.CLOSED:
            try:
                self._output += self.connection.send(self._queue.popleft())
            except LocalProtocolError as error:
                log.warning("%s", error)
                self.close()
                return

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
            self._drop(_network_error(error))
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
        self.phase = _Phase.CLOSING
        self._began_s = self._loop.clock()
        with suppress(OSError, ValueError):
            self._sock().unwrap()
        with suppress(OSError):
            self._sock().shutdown(socket.SHUT_WR)

    def _drop(self, reason: SecureChatError | None) -> None:
        """Let go of the socket and say so, once."""
        if self.phase is _Phase.CLOSED:
            return
        reason = self._why if self.phase is _Phase.CLOSING or self._why is not None else reason
        self.phase = _Phase.CLOSED
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
        if self.phase is _Phase.CLOSING:
            if age_s > LINGER_S:
                self._drop(None)
        elif self.phase is _Phase.HANDSHAKE:
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


class Loop:
    """A thread with a selector that owns its links."""

    def __init__(
        self,
        handler: Handler,
        *,
        name: str,
        limits: LinkLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the thread."""
        self.handler = handler
        self.limits = limits or LinkLimits()
        self.clock = clock
        self.selector = selectors.DefaultSelector()
        self._links: set[Link] = set()
        self._touched: deque[Link] = deque()
        self._tasks: deque[Callable[[], None]] = deque()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._woken = False
        self._stop_at_s: float | None = None
        self._stop_code: Code | None = None
        self.told = False  # whether the handler was told of something since it could last act
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        shortest_s = min(self.limits.handshake_s, self.limits.login_s, self.limits.frame_s, self.limits.heartbeat_s)
        self._scan_s = min(_SCAN_S, shortest_s / 4)

    # ------------------------------------------------------------ any thread

    @property
    def links(self) -> int:
        """How many links it owns."""
        return len(self._links)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, timeout_s: float = 5, code: Code | None = Code.SHUTTING_DOWN) -> None:
        """Say goodbye on every link, write what is queued, close, and end the thread."""

        def begin() -> None:
            self._stop_at_s, self._stop_code = self.clock() + timeout_s, code
            for link in list(self._links):
                link.close(code)

        self._do(begin)
        self._thread.join(timeout_s + LINGER_S)

    def serve(
        self, sock: socket.socket, context: ssl.SSLContext, *, address: str, settled: Callable[[], None] | None = None
    ) -> Link:
        """Take in an accepted connection.

        Args:
            sock: The connection.
            context: What it speaks.
            address: The other end's.
            settled: Called once, when there was a login or the link has ended.
        """
        link = Link(self, Role.SERVER, address, settled=settled)
        self._links.add(link)
        self._do(lambda: self._adopt(link, sock, context))
        return link

    def connect(self, host: str, port: int, *, pin: str) -> Link:
        """Begin to connect to a server whose key has this fingerprint; the outcome reaches the handler."""
        link = Link(self, Role.CLIENT, f"{host}:{port}", pin=pin)
        self._links.add(link)
        # A thread of its own, because looking up a name cannot be interrupted.
        threading.Thread(target=self._dial, args=(link, host, port), name="dial", daemon=True).start()
        return link

    def touch(self, link: Link) -> None:
        """Note that a link has something to do, and wake the thread."""
        if not link.touched:
            link.touched = True
            self._touched.append(link)
            self._wake_up()

    def _do(self, task: Callable[[], None]) -> None:
        self._tasks.append(task)
        self._wake_up()

    def _wake_up(self) -> None:
        if not self._woken and threading.current_thread() is not self._thread:
            self._woken = True
            with suppress(OSError):  # full: it is awake already; closed: it has ended
                self._waker.send(b"\0")

    def _dial(self, link: Link, host: str, port: int) -> None:
        try:
            sock = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S)
        except OSError as error:
            failure = NetworkError(
                f"cannot reach {host}:{port} ({_plain(error)})",
                hint="is the server running? Start it with: python server.py",
            )
            self._do(lambda: link.fail(failure))
            return
        self._do(lambda: self._adopt(link, sock, client_context()))

    # ------------------------------------------------------------ its own thread

    def _adopt(self, link: Link, sock: socket.socket, context: ssl.SSLContext) -> None:
        if link not in self._links or self._stop_at_s is not None:
            sock.close()
            link.abandon()
            return
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server_side = link.connection.role is Role.SERVER
            wrapped = context.wrap_socket(sock, server_side=server_side, do_handshake_on_connect=False)
        except OSError as error:
            sock.close()
            link.fail(_network_error(error))
            return
        link.adopt(wrapped)

    def forget(self, link: Link) -> None:
        """Let go of a link that has ended."""
        self._links.discard(link)

    def _run(self) -> None:
        self.selector.register(self._wake, selectors.EVENT_READ, None)
        scan_at_s = self.clock() + self._scan_s
        while self._stop_at_s is None or (self._links and self.clock() < self._stop_at_s):
            for number, (key, _) in enumerate(self.selector.select(self._scan_s)):
                if key.data is None:
                    self._wake.recv(4096)
                else:
                    self._guarded(key.data, key.data.ready)
                if number % ROUND == ROUND - 1:
                    self._act()
            self._take_tasks()
            now_s = self.clock()
            if now_s >= scan_at_s:
                scan_at_s = now_s + self._scan_s
                for link in list(self._links):
                    self._guarded(link, partial(link.check_deadlines, now_s))
            self._act()
        for link in list(self._links):
            link.abandon()
        self.selector.close()
        self._wake.close()
        self._waker.close()

    def _take_tasks(self) -> None:
        """Do what other threads have asked for."""
        self._woken = False  # before the queues are read: whoever adds to them now wakes us again
        while self._tasks:
            self._tasks.popleft()()

    def _act(self) -> None:
        """Let the handler act on what it was told, and write what that brings, until there is nothing left."""
        while self.told or self._touched:
            if self.told:
                self.told = False
                try:
                    self.handler.rest()
                except Exception:
                    log.exception("a handler failed")
            while self._touched:
                link = self._touched.popleft()
                self._guarded(link, link.flush)

    def _guarded(self, link: Link, work: Callable[[], None]) -> None:
        """Work for one link; a mistake of ours ends that one, and not the thread of all others."""
        try:
            work()
        except Exception:
            log.exception("a link failed")
            link.abandon()


def turn_away(sock: socket.socket) -> None:
    """Refuse an accepted connection at the least cost: with an alert, and without TLS (docs/PROTOCOL.md section 5)."""
    with sock, suppress(OSError):
        sock.setblocking(False)
        sock.send(TURN_AWAY)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(4096)  # what has come already: unread, it would make the kernel reset the connection at once


def _plain(error: OSError) -> str:
    """Return an operating system's reason for a failed connection in plain words."""
    if isinstance(error, socket.gaierror):
        return "no such host"
    if isinstance(error, TimeoutError):
        return "no answer"
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else "connection failed"


def _network_error(error: Exception) -> SecureChatError:
    if isinstance(error, ssl.SSLError) and error.reason == TURNED_AWAY:
        return RemoteProtocolError(Code.TOO_MANY_CONNECTIONS)
    if isinstance(error, ssl.SSLError | CryptoError):
        return NetworkError(
            "the other end does not speak TLS 1.3 as SecureChat does", hint="is it a SecureChat server?"
        )
    reason = _plain(error) if isinstance(error, OSError) else "failed"
    return NetworkError(f"the connection was lost ({reason})")
