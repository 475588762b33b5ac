"""The loops that own links: each is a thread with a selector.

Only here and in link.py are sockets touched once they are open.
"""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from connection import Role
from errors import Code, NetworkError
from link import LINGER_S, Handler, Link, LinkLimits, network_error, plain_reason
from tls import TURN_AWAY, client_context

log = logging.getLogger("securechat.transport")

CONNECT_TIMEOUT_S: Final = 10  # for each address of a name
ROUND: Final = 32  # links that are read before what came is acted on: more would not fit into the processor's cache
_SCAN_S: Final = 1.0  # how often deadlines are looked at; they are all much longer


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
        self.selector: selectors.BaseSelector = selectors.DefaultSelector()
        self._links: set[Link] = set()
        self._touched: deque[Link] = deque()
        self._tasks: deque[Callable[[], None]] = deque()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._woken = False
        self._stop_at_s: float | None = None
        self._stop_code: Code | None = None
        self._ended = False
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
        if self._ended:  # there is nobody else to do it, and it may hold a socket
            self._take_tasks()
        else:
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
                f"cannot reach {host}:{port} ({plain_reason(error)})",
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
            sock.getpeername()  # of one that was reset meanwhile, wrap_socket would leave a copy open
            server_side = link.connection.role is Role.SERVER
            wrapped = context.wrap_socket(sock, server_side=server_side, do_handshake_on_connect=False)
        except OSError as error:
            sock.close()
            link.fail(network_error(error))
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
        self._ended = True
        self._take_tasks()
        self.selector.close()
        self._wake.close()
        self._waker.close()

    def _take_tasks(self) -> None:
        """Do what other threads have asked for."""
        self._woken = False  # before the queues are read: whoever adds to them now wakes us again
        while self._tasks:
            try:
                task = self._tasks.popleft()
            except IndexError:  # at the end another thread may have taken it
                return
            task()

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
