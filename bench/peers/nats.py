"""NATS JetStream: one file stream for all mailboxes, and a durable push consumer for each account.

The stream forgets what its recipient has acknowledged, like a mailbox; one that keeps everything is about 1.5 times as
fast. A publication is acknowledged once it is written to the stream's file; nothing here waits for a disk.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench.load import Heard
from bench.peers.common import Peer, connect, secured, write_certificate
from bench.tls_socket import TlsSocket

STREAM: Final = "MAIL"
REPLY: Final = re.compile(rb"MSG made 1 \d+\r\n.*\r\n")
NANOSECONDS: Final = 1_000_000_000
CONFIGURATION: Final = """
listen: 127.0.0.1:{port}
max_connections: 100000
max_pending: 1GB
write_deadline: "60s"
logfile: "{home}/nats.log"
jetstream {{ store_dir: "{home}/jetstream", max_file_store: 100GB }}
{tls}
"""
TLS: Final = 'tls {{ cert_file: "{home}/certificate.pem", key_file: "{home}/key.pem", timeout: 30 }}'


class NatsServer(Peer):
    def __init__(self, home: Path, accounts: list[str], *, pin: int, tls: bool) -> None:
        write_certificate(home)
        self.port, self.tls, self.pin, self.home = 18833, tls, pin, home
        lines = TLS.format(home=home) if tls else ""
        (home / "nats.conf").write_text(CONFIGURATION.format(port=self.port, home=home, tls=lines))
        self.start()
        self._prepare(accounts)

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", str(self.pin), "nats-server", "-c", str(self.home / "nats.conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(1200):
            assert self.process.poll() is None, (self.home / "nats.log").read_text()
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()  # it listens when the stream is there
                return
            time.sleep(0.05)
        self.kill()
        raise TimeoutError

    def _prepare(self, accounts: list[str]) -> None:
        """Make the stream and the consumers, which are the accounts."""
        mailboxes = {"name": STREAM, "subjects": ["u.*"], "retention": "workqueue", "storage": "file"}
        orders: list[tuple[str, dict[str, Any]]] = [(f"STREAM.CREATE.{STREAM}", mailboxes)]
        for name in accounts:
            consumer = {
                "durable_name": name, "filter_subject": f"u.{name}", "deliver_subject": f"d.{name}",
                "deliver_policy": "all", "ack_policy": "explicit", "ack_wait": 600 * NANOSECONDS,
                "max_ack_pending": 1_000_000,
            }  # fmt: skip
            path = f"CONSUMER.DURABLE.CREATE.{STREAM}.{name}"
            orders.append((path, {"stream_name": STREAM, "config": consumer}))
        link, heard = greet(self), b""
        link.sendall(b"SUB made 1\r\n")
        for path, order in orders:
            body = json.dumps(order).encode()
            link.sendall(b"PUB $JS.API.%b made %d\r\n%b\r\n" % (path.encode(), len(body), body))
            while not (reply := REPLY.search(heard)):
                piece = link.recv(64 * 1024)
                assert piece, heard
                if piece.startswith(b"PING"):
                    link.sendall(b"PONG\r\n")
                heard += piece
            assert b'"error"' not in reply[0], reply[0]
            heard = heard[reply.end() :]
        link.close()

    def log_in(self, user_id: str, partner: str, *, size: int = 1024) -> NatsClient:
        return NatsClient(self, user_id, partner, size)


def greet(server: NatsServer) -> socket.socket | TlsSocket:
    """Return a link that is ready: the server speaks first, and in plain text, also where TLS follows."""
    raw = connect(server.port)
    while raw.recv(1) != b"\n":  # INFO {...}
        pass
    link = secured(raw) if server.tls else raw
    link.sendall(b'CONNECT {"verbose":false,"pedantic":false,"lang":"python","version":"1","protocol":0}\r\nPING\r\n')
    answer = b""
    while not answer.endswith(b"PONG\r\n"):
        piece = link.recv(4096)
        assert piece, answer
        answer += piece
    return link


class NatsClient:
    def __init__(self, server: NatsServer, user_id: str, partner: str, size: int) -> None:
        self.sock = greet(server)
        self.sock.sendall(f"SUB a.{user_id} 1\r\nSUB d.{user_id} 2\r\n".encode())
        self._before = f"PUB u.{partner} a.{user_id} {size}\r\n".encode()
        self._after = os.urandom(size - 16) + b"\r\n"
        self._rest = b""

    def message(self, number: int) -> bytes:
        return self._before + number.to_bytes(16, "big") + self._after

    def hear(self, data: bytes) -> Heard:
        data = self._rest + data
        heard, at, size, answer = Heard(), 0, len(data), []
        while (end := data.find(b"\r\n", at)) >= 0:
            words = data[at:end].split(b" ")
            start = end + 2
            if words[0] == b"MSG":  # MSG subject 1 size, MSG subject 2 reply size
                after = start + int(words[-1]) + 2
                if after > size:
                    break
                if words[2] == b"1":
                    assert b'"error"' not in data[start:after], data[start:after]
                    heard.accepted += 1
                else:
                    heard.delivered.append(int.from_bytes(data[start : start + 16], "big"))
                    answer.append(b"PUB %b 4\r\n+ACK\r\n" % words[3])
                start = after
            elif words[0] == b"PING":
                answer.append(b"PONG\r\n")
            else:
                assert words[0] in {b"PONG", b"INFO"}, data[at:end]
            at = start
        self._rest = data[at:]
        heard.answer = b"".join(answer)
        return heard
