"""Real sockets, real TLS: what a link survives, and what ends it."""

from __future__ import annotations

import datetime as dt
import os
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from canonical_json import canonical
from connection import Connection, Role, State
from crypto_utils import PrivateKeys, RSAPrivateKey, encode_base64, fingerprint
from errors import Code, NetworkError, RemoteProtocolError, SecureChatError, UntrustedKeyError
from key_files import write_key_file
from link import Link, LinkLimits
from protocol import (
    MAX_FRAME_BEFORE_LOGIN,
    Delivery,
    Frame,
    Goodbye,
    Hello,
    LoggedIn,
    Login,
    Message,
    Ping,
    Pong,
    Welcome,
    encode_frames,
)
from server_key import Hop, ServerKey, create_hop, self_signed_certificate, server_key_to_pem
from tests.strategies import ENVELOPE, FRAMES, LOG_SPKI
from tls import client_context, server_context
from transport import Loop, turn_away

HELLO = Hello(nonce=bytes(32), versions=[1])
WELCOME = Welcome(nonce=bytes(32), version=1)
WAIT_S = 10


class Recorder:
    """A handler that notes what it is told."""

    def __init__(self) -> None:
        self.told: queue.Queue[tuple[str, Any, Link]] = queue.Queue()
        self.on_frames: Callable[[Link, list[Frame]], None] = lambda _link, _frames: None

    def opened(self, link: Link) -> None:
        self.told.put(("opened", None, link))

    def received(self, link: Link, frames: list[Frame]) -> None:
        self.told.put(("received", frames, link))
        self.on_frames(link, frames)

    def closed(self, link: Link, reason: SecureChatError | None) -> None:
        self.told.put(("closed", reason, link))

    def rest(self) -> None:
        pass

    def next(self, kind: str) -> Any:
        told, what, link = self.told.get(timeout=WAIT_S)
        assert told == kind, (told, what)
        return link if kind == "opened" else what


class Line:
    """A listening server loop and a client loop."""

    def __init__(self, folder: Path, key: RSAPrivateKey, limits: LinkLimits, hop: Hop | None = None) -> None:
        write_key_file(folder / "key.pem", server_key_to_pem(key))
        self.pin = fingerprint(key.public_key())
        certificate = self_signed_certificate(ServerKey(key, hop), dt.datetime.now(dt.UTC))
        self.context = server_context(folder / "key.pem", certificate)
        self.at_server, self.at_client = Recorder(), Recorder()
        self.settled: list[str] = []
        self.server = Loop(self.at_server, name="server", limits=limits)
        self.client = Loop(self.at_client, name="client", limits=LinkLimits())
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept)
        for thread in (self.server, self.client, self.acceptor):
            thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, address = self.listener.accept()
                self.server.serve(sock, self.context, address=address[0], settled=self._settled)

    def _settled(self) -> None:
        ready = any(link.connection.state is State.READY for link in self.server._links)
        self.settled.append("logged in" if ready else "ended")

    def connect(self) -> tuple[Link, Link]:
        """Open a link and return its two ends."""
        self.client.connect("127.0.0.1", self.port, pin=self.pin)
        return self.at_client.next("opened"), self.at_server.next("opened")

    def log_in(self) -> tuple[Link, Link]:
        """Open a link and bring it to READY."""
        client, server = self.connect()
        for sender, receiver, frame in (
            (client, self.at_server, HELLO),
            (server, self.at_client, WELCOME),
            (client, self.at_server, FRAMES["login"]),
            (server, self.at_client, LoggedIn(log_key=LOG_SPKI, pending=0, retention_s=1)),
        ):
            sender.send(frame)
            assert receiver.next("received") == [frame]
        return client, server

    def raw(self) -> ssl.SSLSocket:
        """Return a TLS connection to the server without our transport."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)
        return client_context().wrap_socket(sock)

    def close(self) -> None:
        self.client.stop(1, None)
        self.server.stop(1)
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join(WAIT_S)


@pytest.fixture
def make(tmp_path: Path, some_keys: list[PrivateKeys]) -> Iterator[Callable[..., Line]]:
    lines: list[Line] = []

    def build(**limits: Any) -> Line:
        lines.append(Line(tmp_path, some_keys[0].rsa, LinkLimits(**limits)))
        return lines[-1]

    yield build
    for line in lines:
        line.close()


@pytest.fixture
def line(make: Callable[..., Line]) -> Line:
    return make()


def read_frames(sock: ssl.SSLSocket, role: Role = Role.CLIENT, state: State = State.READY) -> list[Frame]:
    """Read until the other end closes."""
    connection, frames = Connection(role), list[Frame]()
    connection.state = state
    with suppress(OSError):
        while data := sock.recv(65536):
            frames += connection.receive(data)
    return frames


# ---------------------------------------------------------------- working


def test_frames_go_both_ways(line: Line) -> None:
    client, server = line.log_in()
    client.send(FRAMES["message"], FRAMES["fetch_identity"])
    received: list[Frame] = []
    while len(received) < 2:
        received += line.at_server.next("received")
    assert received == [FRAMES["message"], FRAMES["fetch_identity"]]
    assert client.address.startswith("127.0.0.1")
    assert server.address == "127.0.0.1"
    assert client.peer_key is not None
    assert server.peer_key is None


def test_one_byte_at_a_time(line: Line) -> None:
    with line.raw() as sock:
        line.at_server.next("opened")
        for byte in encode_frames(HELLO):
            sock.send(bytes([byte]))
        assert line.at_server.next("received") == [HELLO]
    assert isinstance(line.at_server.next("closed"), NetworkError)


def test_two_busy_ends_do_not_block_each_other(line: Line) -> None:
    """Writing under a lock deadlocked two peers that sent much at once."""
    client, server = line.log_in()
    big = Message(**ENVELOPE | {"encrypted_content": encode_base64(os.urandom(150_000))})
    delivery = Delivery(envelope=msgspec.Raw(encode_frames(big)[4:]), sequence=1)
    for _ in range(10):
        client.send(big)
        server.send(delivery)
    got: dict[str, list[Frame]] = {"client": [], "server": []}
    while len(got["client"]) < 10 or len(got["server"]) < 10:
        for name, recorder in (("client", line.at_client), ("server", line.at_server)):
            if len(got[name]) < 10:
                got[name] += recorder.next("received")
    assert got["server"] == [big] * 10
    assert {bytes(frame.envelope) for frame in got["client"] if isinstance(frame, Delivery)} == {
        bytes(delivery.envelope)
    }


def test_frames_of_many_threads_arrive_whole_and_each_thread_s_in_order(line: Line) -> None:
    """The seed's failure 28."""
    client, _ = line.log_in()

    def talk(name: int) -> None:
        for number in range(50):
            client.send(Message(**ENVELOPE | {"sender_device": name, "timestamp": number}))

    threads = [threading.Thread(target=talk, args=(name,)) for name in range(1, 9)]
    for thread in threads:
        thread.start()
    received: list[Message] = []
    while len(received) < 400:
        received += line.at_server.next("received")
    for thread in threads:
        thread.join()
    for name in range(1, 9):
        assert [frame.timestamp for frame in received if frame.sender_device == name] == list(range(50))


def test_a_ping_is_answered(line: Line) -> None:
    client, server = line.log_in()
    client.send(Ping())
    server.send(Ping())
    client.send(FRAMES["message"])
    assert line.at_server.next("received") == [FRAMES["message"]]
    assert client.connection.state is server.connection.state is State.READY


# ---------------------------------------------------------------- keys


def test_another_key_is_refused_before_a_byte_is_sent(line: Line, some_keys: list[PrivateKeys]) -> None:
    link = line.client.connect("127.0.0.1", line.port, pin=fingerprint(some_keys[1].rsa.public_key()))
    link.send(HELLO)
    reason = line.at_client.next("closed")
    assert isinstance(reason, UntrustedKeyError)
    assert fingerprint(some_keys[0].rsa.public_key()) in str(reason)
    assert line.at_server.next("opened")
    assert isinstance(line.at_server.next("closed"), NetworkError)  # and no frame between


@pytest.mark.parametrize("signer", [1, 2])
def test_a_key_that_the_known_one_has_signed_is_followed_and_no_other(
    tmp_path: Path, some_keys: list[PrivateKeys], signer: int
) -> None:
    hop = create_hop(some_keys[signer].rsa, some_keys[0].rsa.public_key())
    line = Line(tmp_path, some_keys[0].rsa, LinkLimits(), hop)
    try:
        line.client.connect("127.0.0.1", line.port, pin=fingerprint(some_keys[1].rsa.public_key()))
        if signer == 1:
            link = line.at_client.next("opened")
            assert link.peer_key == some_keys[0].rsa.public_key()
        else:
            assert isinstance(line.at_client.next("closed"), UntrustedKeyError)
    finally:
        line.close()


def test_an_older_tls_is_refused(line: Line) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", line.port), timeout=WAIT_S) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock)
    assert "TLS 1.3" in str(line.at_server.next("closed"))


def test_plain_text_is_refused(line: Line) -> None:
    with socket.create_connection(("127.0.0.1", line.port), timeout=WAIT_S) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert isinstance(line.at_server.next("closed"), NetworkError)


def test_a_server_that_does_not_speak_tls_is_told_apart(line: Line) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line.client.connect("127.0.0.1", listener.getsockname()[1], pin="0" * 64)
        with listener.accept()[0] as sock:
            sock.sendall(b"220 mail.example ESMTP\r\n")
            assert "does not speak TLS" in str(line.at_client.next("closed"))


# ---------------------------------------------------------------- mistakes


def test_an_oversize_frame_is_refused_on_its_length(line: Line) -> None:
    """R-26."""
    with line.raw() as sock:
        line.at_server.next("opened")
        sock.sendall((MAX_FRAME_BEFORE_LOGIN + 1).to_bytes(4, "big"))
        assert read_frames(sock) == [Goodbye(code=Code.TOO_LARGE)]
    reason = line.at_server.next("closed")
    assert isinstance(reason, RemoteProtocolError)
    assert reason.code is Code.TOO_LARGE


def test_frames_before_a_bad_one_still_count(line: Line) -> None:
    with line.raw() as sock:
        line.at_server.next("opened")
        sock.sendall(encode_frames(HELLO) + b"\0\0\0\2{}")
        assert line.at_server.next("received") == [HELLO]
        assert read_frames(sock) == [Goodbye(code=Code.MALFORMED)]
    assert line.at_server.next("closed").code is Code.MALFORMED


def test_a_frame_at_the_wrong_time_is_refused(line: Line) -> None:
    client, _ = line.connect()
    client.connection.state = State.READY  # a client that was changed
    client.send(FRAMES["message"])
    assert line.at_client.next("received") == [Goodbye(code=Code.UNEXPECTED_FRAME)]
    assert line.at_client.next("closed").code is Code.UNEXPECTED_FRAME
    assert line.at_server.next("closed").code is Code.UNEXPECTED_FRAME


def test_sending_what_is_not_allowed_ends_the_link(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = line.connect()
    client.send(FRAMES["message"])
    assert line.at_client.next("closed") is None
    assert "may not be sent in state OPEN" in caplog.text
    client.send(HELLO)  # dropped: it is closed


def test_a_handler_that_fails_ends_its_link_and_no_other(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = line.connect()

    def fail(_link: Link, _frames: list[Frame]) -> None:
        raise ZeroDivisionError

    line.at_server.on_frames = fail
    client.send(HELLO)
    assert line.at_client.next("received") == [Goodbye(code=Code.INTERNAL)]
    assert "a handler failed" in caplog.text
    line.at_server.next("received")
    line.at_server.next("closed")
    line.at_client.next("closed")
    line.connect()


# ---------------------------------------------------------------- time


def test_a_silent_connection_is_dropped(make: Callable[..., Line]) -> None:
    """R-27, before login."""
    line = make(handshake_s=0.3)
    with socket.create_connection(("127.0.0.1", line.port), timeout=WAIT_S) as sock:
        assert "in time" in str(line.at_server.next("closed"))
        assert sock.recv(1) == b""


def test_a_link_that_does_not_log_in_is_told_so(make: Callable[..., Line]) -> None:
    line = make(login_s=0.3)
    line.connect()
    assert line.at_client.next("received") == [Goodbye(code=Code.TOO_SLOW)]
    assert line.at_client.next("closed").code is Code.TOO_SLOW
    assert "login" in str(line.at_server.next("closed"))


def test_a_frame_that_takes_too_long_is_refused(make: Callable[..., Line]) -> None:
    line = make(frame_s=0.3)
    with line.raw() as sock:
        line.at_server.next("opened")
        sock.sendall(encode_frames(HELLO)[:-1])
        assert read_frames(sock) == [Goodbye(code=Code.TOO_SLOW)]
    assert "frame" in str(line.at_server.next("closed"))


def test_many_frames_in_pieces_may_take_as_long_as_they_like(make: Callable[..., Line]) -> None:
    """An honest client that sends without a pause is always within some frame, and within none for long."""
    line = make(frame_s=0.4)
    client, _ = line.log_in()
    stream = encode_frames(FRAMES["message"]) * 8
    piece = len(stream) // 20
    began, received = time.monotonic(), list[Frame]()
    for at in range(0, len(stream), piece):
        line.client._do(lambda part=stream[at : at + piece]: client._sock().send(part))  # type: ignore[misc, arg-type]
        time.sleep(0.06)
    assert time.monotonic() - began > 2 * 0.4
    while len(received) < 8:
        received += line.at_server.next("received")
    assert received == [FRAMES["message"]] * 8


def test_silence_is_pinged_and_then_dropped(make: Callable[..., Line]) -> None:
    """R-11, G6: TCP does not notice a process that was stopped."""
    line = make(heartbeat_s=0.3)
    with line.raw() as sock:
        server = line.at_server.next("opened")
        sock.sendall(encode_frames(HELLO))
        line.at_server.next("received")
        server.send(WELCOME)
        assert sock.recv(1000) == encode_frames(WELCOME)
        sock.sendall(encode_frames(FRAMES["login"]))
        assert isinstance(line.at_server.next("received")[0], Login)
        server.send(LoggedIn(log_key=LOG_SPKI, pending=0, retention_s=1))
        assert read_frames(sock, state=State.LOGGING_IN) == [
            LoggedIn(log_key=LOG_SPKI, pending=0, retention_s=1),
            Ping(),
        ]
    assert "stopped answering" in str(line.at_server.next("closed"))


def test_an_answer_keeps_the_link(make: Callable[..., Line]) -> None:
    line = make(heartbeat_s=0.2)
    client, _ = line.log_in()
    time.sleep(0.8)  # four heartbeats
    client.send(FRAMES["message"])
    assert line.at_server.next("received") == [FRAMES["message"]]


def test_a_client_that_never_reads_costs_so_much_and_no_more(make: Callable[..., Line]) -> None:
    """R-12."""
    line = make(outbox_size=100_000)
    delivery = Delivery(envelope=msgspec.Raw(encode_frames(FRAMES["message"])[4:]), sequence=1)
    with line.raw():
        server = line.at_server.next("opened")
        server.connection.state = State.READY
        for _ in range(10_000):
            server.send(*[delivery] * 100)
            if not line.at_server.told.empty():
                break
            time.sleep(0.001)
        assert "does not read" in str(line.at_server.next("closed"))


def much_to_read(line: Line, sock: ssl.SSLSocket) -> Link:
    """Hand a link more than the kernel takes for a client that does not read."""
    server: Link = line.at_server.next("opened")
    for end in (sock, server._sock()):  # no less: a loopback's segments are large, and a window for half of one waits
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**18)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**18)
    server.connection.state = State.READY
    large = canonical(Message(**ENVELOPE | {"encrypted_content": "A" * 150_000}))
    server.send(*[Delivery(envelope=msgspec.Raw(large), sequence=number) for number in range(27)])
    return server


def test_a_client_that_reads_on_gets_the_rest_and_nobody_spins_meanwhile(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing, so only the socket tells that there is room again."""
    calls, ready = [0], Link.ready

    def counted(link: Link) -> None:
        calls[0] += 1
        ready(link)

    monkeypatch.setattr(Link, "ready", counted)
    with line.raw() as sock:
        much_to_read(line, sock)
        time.sleep(0.3)
        connection, frames = Connection(Role.CLIENT), list[Frame]()
        connection.state = State.READY
        while len(frames) < 27:
            frames += connection.receive(sock.recv(65536))
        assert [frame.sequence for frame in frames if isinstance(frame, Delivery)] == list(range(27))
    assert calls[0] < 5_000


def test_a_link_that_closes_and_cannot_say_so_is_dropped(line: Line) -> None:
    """And what comes after its goodbye is not kept."""
    with line.raw() as sock:
        server = much_to_read(line, sock)
        time.sleep(0.2)
        server.close(Code.REPLACED)
        with suppress(OSError):
            for _ in range(100):
                sock.sendall(b"\0\0\xff\0" + bytes(10_000))
        assert line.at_server.next("closed") is None
        assert not server.connection.mid_frame
        assert line.server.links == 0


def test_too_many_frames_at_once_end_the_link(make: Callable[..., Line]) -> None:
    line = make(outbox_frames=10)
    _, server = line.log_in()
    server.send(*[Pong()] * 11)
    assert "does not read" in str(line.at_server.next("closed"))


# ---------------------------------------------------------------- ends


def test_what_was_queued_goes_out_before_the_goodbye(line: Line) -> None:
    _, server = line.log_in()
    server.send(FRAMES["accepted"])
    server.close(Code.REPLACED)
    server.close(Code.INTERNAL)  # too late
    received: list[Frame] = []
    while len(received) < 2:
        received += line.at_client.next("received")
    assert received == [FRAMES["accepted"], Goodbye(code=Code.REPLACED)]
    assert line.at_client.next("closed").code is Code.REPLACED
    assert line.at_server.next("closed") is None


def test_a_server_that_stops_says_so(line: Line) -> None:
    line.log_in()
    line.connect()
    line.server.stop(2)
    assert line.at_client.next("received") == [Goodbye(code=Code.SHUTTING_DOWN)]
    assert line.server.links == 0
    assert not line.server._thread.is_alive()


def test_a_server_that_is_not_there(line: Line) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    line.client.connect("127.0.0.1", port, pin="0" * 64)
    reason = line.at_client.next("closed")
    assert str(reason) == f"cannot reach 127.0.0.1:{port} (connection refused)"
    assert "python server.py" in reason.hint
    line.client.connect("no-such-host.invalid", port, pin="0" * 64)
    assert "no such host" in str(line.at_client.next("closed"))


def test_closing_before_the_handshake_is_over(line: Line) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = line.client.connect("127.0.0.1", listener.getsockname()[1], pin="0" * 64)
        with listener.accept()[0]:
            link.close()
            assert line.at_client.next("closed") is None


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_behind(make: Callable[..., Line]) -> None:
    line = make()
    before = descriptors(), threading.active_count()
    for _ in range(30):
        client, _ = line.connect()
        client.close()
        line.at_client.next("closed")
        line.at_server.next("closed")
    deadline = time.monotonic() + WAIT_S
    while (descriptors(), threading.active_count()) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (descriptors(), threading.active_count()) <= before
    assert line.client.links == line.server.links == 0


def test_a_mistake_about_one_link_leaves_the_others_alone(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    _, broken = line.log_in()
    other, there = line.log_in()
    monkeypatch.setattr(broken.connection, "receive", {}.__getitem__)  # whatever comes, a KeyError
    broken.send(Ping())
    assert line.at_server.next("closed") is None
    assert isinstance(line.at_client.next("closed"), SecureChatError)
    other.send(FRAMES["fetch_identity"])
    assert line.at_server.next("received") == [FRAMES["fetch_identity"]]
    there.close()


def test_who_waits_at_the_door_is_told_once_that_a_link_has_logged_in_or_ended(line: Line) -> None:
    line.log_in()[0].close()
    line.at_client.next("closed")
    line.at_server.next("closed")
    assert line.settled == ["logged in"]
    line.connect()[0].close()
    line.at_client.next("closed")
    line.at_server.next("closed")
    assert line.settled == ["logged in", "ended"]


def test_who_is_turned_away_is_told_why(line: Line) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line.client.connect("127.0.0.1", listener.getsockname()[1], pin=line.pin)
        sock = listener.accept()[0]
        select.select([sock], [], [], WAIT_S)
        turn_away(sock)
    error = line.at_client.next("closed")
    assert isinstance(error, RemoteProtocolError)
    assert error.code is Code.TOO_MANY_CONNECTIONS
