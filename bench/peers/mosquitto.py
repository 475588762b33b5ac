"""Mosquitto: MQTT 3.1.1, QoS 1. It loses accepted messages when it is killed; nothing here waits for a disk."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.load import Heard
from bench.peers.common import Peer, connect, secured, write_certificate
from bench.tls_socket import TlsSocket

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x32, 0x40, 0x82, 0x90
CONFIGURATION: Final = """
listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
persistence true
persistence_location {home}/
user root
log_type error
{tls}
"""


class MosquittoServer(Peer):
    def __init__(self, home: Path, _accounts: list[str], *, pin: int, tls: bool) -> None:
        write_certificate(home)
        home.chmod(0o777)
        self.port, self.tls, self.pin, self.home = 18830, tls, pin, home
        lines = ""
        if tls:
            lines = f"certfile {home}/certificate.pem\nkeyfile {home}/key.pem\ntls_version tlsv1.3"
        (home / "mosquitto.conf").write_text(CONFIGURATION.format(port=self.port, home=home, tls=lines))
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["mosquitto", "-c", str(self.home / "mosquitto.conf")], stderr=subprocess.DEVNULL
        )
        os.sched_setaffinity(self.process.pid, {self.pin})
        for _ in range(100):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            time.sleep(0.05)

    def log_in(self, user_id: str, partner: str, *, size: int = 1024) -> MosquittoClient:
        return MosquittoClient(self, user_id, partner, size)


def packet(kind: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while True:
        size, digit = size >> 7, size & 127
        length += bytes([digit | (128 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


class MosquittoClient:
    def __init__(self, server: MosquittoServer, user_id: str, partner: str, size: int) -> None:
        raw = connect(server.port)
        self.sock: socket.socket | TlsSocket = secured(raw) if server.tls else raw
        flags = 0x00  # a session that stays
        self.sock.sendall(packet(CONNECT, text("MQTT") + bytes([4, flags, 0, 0]) + text(user_id)))
        answer = self.sock.recv(4)
        assert answer[0] == CONNACK
        if not answer[2]:  # no session from before
            self.sock.sendall(packet(SUBSCRIBE, b"\0\1" + text(f"u/{user_id}") + b"\1"))
            assert self.sock.recv(5)[0] == SUBACK
        topic, filling = text(f"u/{partner}"), os.urandom(size - 16)
        self._before = packet(PUBLISH, topic + bytes(18) + filling)[: -18 - len(filling)]
        self._filling = filling
        self._rest = b""
        self._packet_id = 1

    def message(self, number: int) -> bytes:
        self._packet_id = self._packet_id % 65535 + 1
        return b"%b%b%b%b" % (
            self._before, self._packet_id.to_bytes(2, "big"), number.to_bytes(16, "big"), self._filling
        )  # fmt: skip

    def hear(self, data: bytes) -> Heard:
        data = self._rest + data
        heard, at, size, answer = Heard(), 0, len(data), []
        while size - at >= 4:
            if data[at] == PUBACK:  # four bytes; the others that come are publications
                heard.accepted += 1
                at += 4
                continue
            length, shift, body = 0, 0, at + 1
            while body < size:
                digit = data[body]
                length |= (digit & 127) << shift
                shift += 7
                body += 1
                if digit < 128:
                    break
            else:
                break
            if body + length > size:
                break
            start = body + 2 + int.from_bytes(data[body : body + 2], "big")  # behind the topic
            answer.append(b"\x40\x02" + data[start : start + 2])
            heard.delivered.append(int.from_bytes(data[start + 2 : start + 18], "big"))
            at = body + length
        self._rest = data[at:]
        heard.answer = b"".join(answer)
        return heard
