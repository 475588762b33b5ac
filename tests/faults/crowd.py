"""A real server with accounts in it, clients that do just what a test says, and its troubles."""

from __future__ import annotations

import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from bench.load import Load
from bench.securechat import SecureChatClient, create_accounts, key_hash
from bench.tls_socket import Socket
from tests.system.programs import Server
from tls import client_context

OPTIONS = ("--stranger-pending", "1000000", "--mailbox-limit", "1000000", "-v")


class Relay(Server):
    """The real program."""

    def __init__(self, home: Path, accounts: list[str], *options: str) -> None:
        create_accounts(home, accounts)
        self.home = home
        super().__init__(home, *OPTIONS, *options)
        self.key_hash = key_hash(home)

    def log_in(self, user_id: str, partner: str, *, size: int = 1024) -> SecureChatClient:
        return SecureChatClient(self.port, self.key_hash, user_id, partner, size=size)

    @contextmanager
    def loaded(self, *pairs: tuple[str, str]) -> Iterator[Load]:
        """Log in accounts, each with its partner."""
        load = Load([self.log_in(user_id, partner) for user_id, partner in pairs])
        load.watched = True
        try:
            yield load
        finally:
            load.close()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """Open a connection that says nothing yet; any address of 127/8 will do as its source."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(source, 0))

    def speak(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        """Open a connection with TLS."""
        return client_context().wrap_socket(self.connect(source))

    # ------------------------------------------------------------ what the system says of it

    @property
    def memory(self) -> int:
        """Resident memory in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def limit(self, what: int, value: int) -> None:
        """Change a resource limit of the running process."""
        _, hard = resource.prlimit(self.process.pid, what)
        resource.prlimit(self.process.pid, what, (value, hard))

    def said(self, text: str) -> int:
        """Count the lines with a text."""
        return sum(text in line for line in self.lines)


class HonestPair:
    """Two who write to each other all the while; `slowest_s` is the longest that a message took."""

    def __init__(self, relay: Relay) -> None:
        self._load = Load([relay.log_in("alice", "bobby"), relay.log_in("bobby", "alice")])
        self._load.watched = True
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self.took_s: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._load.close()

    def _talk(self) -> None:
        while not self._over.wait(0.01):
            began = time.monotonic()
            self._load.send(self._load.clients[0])
            self._load.run_until("delivered", self._load.sent, timeout_s=20)
            self.took_s.append(time.monotonic() - began)

    @property
    def p99_s(self) -> float:
        ordered = sorted(self.took_s)
        return ordered[len(ordered) * 99 // 100]


def is_over(sock: Socket, within_s: float) -> bool:
    """Return whether the other end closes a connection in time, whatever it says before."""
    deadline = time.monotonic() + within_s
    with suppress(OSError):
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(4096):
                return True
        return False
    return time.monotonic() < deadline
