"""A TLS connection over memory: the socket is read in large pieces, however small the records are.

`ssl.SSLSocket` asks the system twice for each record, its header and its body. A server that sends every message as a
record of its own would then measure the load generator.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final, Self

READ_SIZE: Final = 256 * 1024  # bytes of the socket at a time


class TlsSocket:
    """A client's side, with as much of a socket's interface as a load generator uses."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Shake hands over a connected socket that blocks."""
        self._socket = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing)
        self.unsent = bytearray()  # encrypted
        try:
            self._shake_hands()
        except BaseException:
            sock.close()
            raise

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                if not self._fetch():
                    message = "the server closed the connection in the handshake"
                    raise ConnectionError(message) from None
            else:
                self.flush()
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - as a socket's
        self._socket.setblocking(flag)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self._socket.setsockopt(level, option, value)

    def settimeout(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds)

    def close(self) -> None:
        self._socket.close()

    def pending(self) -> int:
        """Tell whether bytes have come that `recv` has not returned."""
        return self._tls.pending() or self._incoming.pending

    def recv(self, size: int) -> bytes:
        """Return some bytes; none when the other end has closed.

        Raises:
            BlockingIOError: None are there.
        """
        pieces: list[bytes] = []
        while size > 0:
            try:
                piece = self._tls.read(size)
            except ssl.SSLWantReadError:
                if pieces or not self._fetch():
                    break
                continue
            except ssl.SSLZeroReturnError:
                break
            if not piece:  # the other end has said that it closes
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _fetch(self) -> bool:
        data = self._socket.recv(READ_SIZE)
        self._incoming.write(data)
        return bool(data)

    def sendall(self, data: bytes) -> None:
        self.send(data)
        self.flush()

    def send(self, data: bytes | bytearray) -> int:
        """Encrypt some of it; `flush`, which comes before the next, writes what the socket takes.

        Raises:
            BlockingIOError: The socket takes no more.
        """
        self.flush()
        return self._tls.write(data)

    def flush(self) -> None:
        """Go on writing.

        Raises:
            BlockingIOError: The socket takes no more.
        """
        self.unsent += self._outgoing.read()
        while self.unsent:
            sent = self._socket.send(self.unsent)
            del self.unsent[:sent]


Socket = socket.socket | TlsSocket
