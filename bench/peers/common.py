"""What the servers share: a connection to them, and the peers a certificate."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import subprocess
from functools import cache
from pathlib import Path

from bench.tls_socket import TlsSocket
from server_key import ServerKey, generate_server_key, self_signed_certificate, server_key_to_pem
from tls import client_context


class Peer:
    """A server that runs as a process of ours."""

    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def write_certificate(home: Path) -> None:
    """Make `key.pem`, `certificate.pem`, and `both.pem` with one after the other."""
    home.mkdir(parents=True, exist_ok=True)
    private = generate_server_key()
    key = server_key_to_pem(private)
    certificate = self_signed_certificate(ServerKey(private, None), dt.datetime.now(dt.UTC))
    for name, pem in (("key", key), ("certificate", certificate), ("both", key + certificate)):
        (home / f"{name}.pem").write_bytes(pem)


def connect(port: int) -> socket.socket:
    """Open a connection without TLS."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def secured(sock: socket.socket) -> TlsSocket:
    """Begin TLS 1.3, as our own clients do but for the pin."""
    return TlsSocket(sock, context())


@cache
def context() -> ssl.SSLContext:
    """Return one context for all links: each costs as much as some messages."""
    return client_context()
