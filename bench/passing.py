"""What S1 cannot do without: a server that passes on what it reads over TLS, and knows nothing of it.

Microseconds of its processor time a message, with few clients and with many, to hold against what a relay uses for one.
What it grows by is the price of more links, and of more bytes in flight, than the cache of the processor holds.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.peers.common import connect, context, write_certificate
from bench.processes import cpu_s
from bench.scenarios import SERVER_CORE, WINDOW, Figures
from bench.securechat import ROOT
from link import RECORD_SIZE
from tls import server_context

MESSAGES: Final = bytes(WINDOW * 1028)  # of 1 KiB, as the relay gets them
REPLY: Final = bytes(WINDOW * 28)  # what says that they came: an id in base64 each


def figures(*, seconds: float = 2) -> Figures:
    """Return what it takes to pass on a message and its reply, with 100 and with 1,000 clients."""
    return {f"passed_on_us_{clients}": microseconds(clients, seconds=seconds) for clients in (100, 1000)}


def microseconds(clients: int, *, seconds: float) -> float:
    """Return the processor time a message, with every sender's window full."""
    with tempfile.TemporaryDirectory() as folder:
        write_certificate(Path(folder))
        command = [sys.executable, "-m", "bench.passing", folder, str(clients)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as server:
            os.sched_setaffinity(server.pid, {SERVER_CORE})
            links: list[ssl.SSLSocket] = []
            try:
                assert server.stdout is not None
                port = int(server.stdout.readline())
                links += (context().wrap_socket(connect(port)) for _ in range(clients))
                return 1e6 * keep_in_flight(links, server.pid, seconds) / WINDOW
            finally:
                server.kill()
                for link in links:
                    link.close()


def keep_in_flight(links: list[ssl.SSLSocket], server: int, seconds: float) -> float:
    """Have every even link write to the one after it; return the server's seconds for a window of messages."""
    heard, windows = dict.fromkeys(links, 0), 0
    answers = {link: (MESSAGES, REPLY) if place % 2 else (REPLY, MESSAGES) for place, link in enumerate(links)}
    began, began_windows, began_s = time.perf_counter(), 0, 0.0
    with selectors.DefaultSelector() as selector:
        for link in links:
            link.setblocking(False)
            selector.register(link, selectors.EVENT_READ)
        for sender in links[::2]:
            sender.send(MESSAGES)
        while (now := time.perf_counter()) < began + 1.5 * seconds:
            if not began_s and now >= began + seconds / 2:
                began_windows, began_s = windows, cpu_s(server)
            for key, _ in selector.select(seconds):
                assert isinstance(key.fileobj, ssl.SSLSocket)
                awaited, answer = answers[key.fileobj]
                heard[key.fileobj] += len(read(key.fileobj))
                if heard[key.fileobj] >= len(awaited):
                    heard[key.fileobj] -= len(awaited)
                    key.fileobj.send(answer)
                    windows += awaited is REPLY
    return (cpu_s(server) - began_s) / (windows - began_windows)


def read(link: ssl.SSLSocket) -> bytes:
    """Return what is there, record by record, as the relay reads."""
    pieces: list[bytes] = []
    with suppress(ssl.SSLWantReadError):
        while not pieces or len(pieces[-1]) == RECORD_SIZE:
            pieces.append(link.recv(RECORD_SIZE))
    return b"".join(pieces)


def serve(home: Path, clients: int) -> None:
    """Pass on what comes in over each link to the one beside it, until killed.

    The system's buffers hold a window of messages, so nothing has to wait here until it can be written.
    """
    tls = server_context(home / "key.pem", (home / "certificate.pem").read_bytes())
    links: list[ssl.SSLSocket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=clients) as listener, selectors.DefaultSelector() as selector:
        print(listener.getsockname()[1], flush=True)
        for _ in range(clients):
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            links.append(tls.wrap_socket(sock, server_side=True))
        for place, link in enumerate(links):
            link.setblocking(False)
            selector.register(link, selectors.EVENT_READ, links[place ^ 1])
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, ssl.SSLSocket)
                key.data.send(read(key.fileobj))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
