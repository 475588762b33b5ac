"""SIGTERM and Ctrl-C while much is going on (R-36); how a client ends is in tests/system/test_conversation.py."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from bench.load import Load
from bench.tls_socket import TlsSocket
from protocol import Hello, decode_envelope, encode_frames
from relay.storage import Address
from relay.storage.sqlite import SqliteStore
from tests.faults.crowd import Relay
from tests.oracle import figures, judge
from tests.trial import Trial

PEOPLE = ["alice", "bobby", "carol", "david"]


def waiting(home: Path, user_id: str) -> list[int]:
    """Return the numbers of the messages in a mailbox on disk."""
    store = SqliteStore(home / "data" / "relay.db")
    rows = store.pending(Address(user_id, 1), after=0, limit=10**6, size=10**10)
    store.close()
    return [int.from_bytes(decode_envelope(row.envelope).id[8:]) for row in rows]


def hangers_on(relay: Relay) -> list[socket.socket | TlsSocket]:
    """Return connections in every state that could keep a server from ending."""
    dripping = relay.speak("127.1.0.3")
    dripping.sendall(encode_frames(Hello(nonce=bytes(32), versions=[1]))[:-1])
    writer = relay.log_in("carol", "david", size=16_384)
    for number in range(60):
        writer.sock.sendall(writer.message(number))
    deaf = relay.log_in("david", "carol").sock  # a mebibyte is on its way to it, and it does not read
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return [relay.connect("127.1.0.1"), relay.speak("127.1.0.2"), dripping, writer.sock, deaf]


def test_a_server_that_stops_is_gone_in_time_and_keeps_what_it_accepted(tmp_path: Path, trial: Trial) -> None:
    """R-36: among connections that say nothing, are within a frame, do not read; while messages come in."""
    slowest_s, found = 0.0, dict[str, int]()
    for number in range(trial.size(1, 20)):
        home = tmp_path / str(number)
        with Relay(home, PEOPLE) as relay, ExitStack() as stack:
            for sock in hangers_on(relay):
                stack.callback(sock.close)
            load = Load([relay.log_in("alice", "bobby")])
            load.keep_in_flight(load.clients, 64)
            load.run(trial.random.uniform(0.1, 1.0))
            relay.process.send_signal(trial.random.choice([signal.SIGTERM, signal.SIGINT]))
            began = time.monotonic()
            with suppress(ConnectionError):
                load.run(10)
            assert relay.end() == 0
            slowest_s = max(slowest_s, time.monotonic() - began)
            load.close()
        verdict = judge(sent=range(load.sent), accepted=load.accepted_numbers(), shown=waiting(home, "bobby"))
        assert verdict.kept, f"--seed {trial.seed}: {verdict}"
        assert load.accepted > 0
        found = {name: found.get(name, 0) + count for name, count in figures(verdict).items()}
    trial.note(**found, slowest_s=round(slowest_s, 2))
    assert slowest_s < 5
