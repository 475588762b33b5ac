"""The load generator: one process, one selector, many clients, and a count of what comes back.

It knows no protocol. A `Client` says what its bytes mean, so that every server gets the same work. How busy the
generator was is part of every result: near 100 % it has measured itself.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Final, Protocol

from bench.tls_socket import TlsSocket

READ_SIZE: Final = 64 * 1024  # bytes


@dataclass(slots=True)
class Heard:
    """What came in over one client's link."""

    accepted: int = 0  # replies to the sender: the message is safe
    delivered: list[int] = field(default_factory=list)  # numbers of the messages that arrived
    answer: bytes = b""  # what the client must send because of it: acknowledgements


class Client(Protocol):
    """A logged-in client of some server."""

    @property
    def sock(self) -> socket.socket | TlsSocket:
        """Its connection."""

    def message(self, number: int) -> bytes:
        """Return the bytes that send message `number` to this client's partner."""

    def hear(self, data: bytes) -> Heard:
        """Take what came in."""


class Load:
    """Clients under one selector."""

    def __init__(self, clients: list[Client]) -> None:
        """Take over logged-in clients."""
        self.clients = clients
        self.sent = 0
        self.accepted = 0
        self.delivered = 0
        self.arrivals: list[tuple[int, float]] = []  # number and time, where `watched`
        self.watched = False
        self.numbers: dict[int, list[int]] = {id(client): [] for client in clients}  # what each has sent, in order
        self.answered = dict.fromkeys(self.numbers, 0)  # how many of them were accepted
        self._selector = selectors.DefaultSelector()
        self._output = {id(client): bytearray() for client in clients}
        self._events = {id(client): selectors.EVENT_READ for client in clients}
        self._in_flight: dict[int, int] = {}  # of those that keep a window full
        self._window = 0
        self._decrypted: list[Client] = []  # have received more than their login read: no selector tells of that
        for client in clients:
            if isinstance(client.sock, ssl.SSLSocket | TlsSocket) and client.sock.pending():
                self._decrypted.append(client)
            client.sock.setblocking(False)
            self._selector.register(client.sock, selectors.EVENT_READ, client)

    def close(self) -> None:
        """Close every client."""
        for client in self.clients:
            client.sock.close()
        self._selector.close()

    # ------------------------------------------------------------ what the clients do

    def send(self, client: Client, count: int = 1) -> None:
        """Send the next messages over a client."""
        output = self._output[id(client)]
        for number in range(self.sent, self.sent + count):
            output += client.message(number)
        self.numbers[id(client)] += range(self.sent, self.sent + count)
        self.sent += count
        self._write(client)

    def keep_in_flight(self, clients: list[Client], window: int) -> None:
        """From now on, have each of these send so that `window` messages are always unanswered."""
        self._window = window
        self._in_flight = dict.fromkeys(map(id, clients), window)
        for client in clients:
            self.send(client, window)

    def accepted_numbers(self) -> set[int]:
        """Return the messages that were accepted: every server answers a client's messages in their order."""
        return {number for key, numbers in self.numbers.items() for number in numbers[: self.answered[key]]}

    def stop_sending(self) -> None:
        """Send nothing more; what is under way is still counted."""
        self._in_flight = {}

    # ------------------------------------------------------------ the loop

    def step(self, timeout_s: float) -> None:
        """Wait for something to come in, and react to it."""
        while self._decrypted:
            self._read(self._decrypted.pop())
        for key, events in self._selector.select(timeout_s):
            if events & selectors.EVENT_WRITE:
                self._write(key.data)
            if events & selectors.EVENT_READ:
                self._read(key.data)

    def run(self, seconds: float) -> None:
        """React for some time."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.step(left)

    def run_until(self, counter: str, number: int, *, timeout_s: float) -> None:
        """React until a counter has reached a number.

        Raises:
            TimeoutError: It has not.
        """
        end = time.perf_counter() + timeout_s
        while getattr(self, counter) < number:
            if (left := end - time.perf_counter()) <= 0:
                message = f"{counter}: {getattr(self, counter)} of {number}"
                raise TimeoutError(message)
            self.step(left)

    def _read(self, client: Client) -> None:
        data = self._received(client.sock)
        if not data:
            return
        heard = client.hear(data)
        self.accepted += heard.accepted
        self.delivered += len(heard.delivered)
        self.answered[id(client)] += heard.accepted
        if self.watched:
            now = time.perf_counter()
            self.arrivals += [(number, now) for number in heard.delivered]
        self._output[id(client)] += heard.answer
        if heard.accepted and id(client) in self._in_flight:
            self.send(client, heard.accepted)
        elif heard.answer:
            self._write(client)

    @staticmethod
    def _received(sock: socket.socket | TlsSocket) -> bytes:
        pieces = []
        try:
            while piece := sock.recv(READ_SIZE):
                pieces.append(piece)
                if len(piece) < READ_SIZE and not (isinstance(sock, ssl.SSLSocket | TlsSocket) and sock.pending()):
                    break
            else:
                message = "the server closed a link"
                raise ConnectionError(message)
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        return b"".join(pieces)

    def _write(self, client: Client) -> None:
        output, blocked = self._output[id(client)], False
        try:
            while output:
                sent = client.sock.send(output)
                del output[:sent]
            if isinstance(client.sock, TlsSocket):
                client.sock.flush()
        except (ssl.SSLWantWriteError, BlockingIOError):
            blocked = True
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if blocked else 0)
        if events != self._events[id(client)]:
            self._events[id(client)] = events
            self._selector.modify(client.sock, events, client)
