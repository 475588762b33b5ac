"""Many who mean harm, and somebody who does not (R-18, R-27, R-28)."""

from __future__ import annotations

import resource
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

import msgspec
import pytest

from bench.securechat import SecureChatClient
from bench.tls_socket import Socket
from protocol import Hello, encode_frames
from tests.faults.crowd import HonestPair, Relay, is_over
from tests.strategies import FRAMES
from tests.trial import Trial

PEOPLE = ["alice", "bobby", "carol", "david"]
HELLO = encode_frames(Hello(nonce=bytes(32), versions=[1]))


def settled(look: Callable[[], object], before: object, within_s: float = 15) -> object:
    """Return what is seen when it is again as it was before, or at the end of the time."""
    deadline = time.monotonic() + within_s
    while (now := look()) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    return now


def elsewhere(number: int) -> str:
    """Return one of many addresses of this machine that are not the honest people's."""
    return f"127.{1 + number % 200}.{number // 200 % 250}.2"


# ---------------------------------------------------------------- nonsense


def mutated(frame: bytes, chance: Random) -> bytes:
    """Change, cut, repeat or drop a few bytes; half of the time the length before them is right all the same."""
    body = bytearray(frame[4:])
    for _ in range(chance.randrange(1, 4)):
        at, size = chance.randrange(len(body) + 1), chance.randrange(9)
        body[at : at + size] = chance.choice([chance.randbytes(size), bytes(body[at : at + size]) * 2, b"", b'"{}[],:'])
    length = len(body) if chance.random() < 0.5 else chance.randrange(2**32)
    return length.to_bytes(4, "big") + bytes(body)


def nonsense(relay: Relay, number: int, frames: list[bytes], chance: Random) -> int:
    """Open one connection, say nonsense in one of its states, and return how many frames that were."""
    state, source = chance.choice(["no TLS", "TLS", "greeted", "logged in"]), elsewhere(number)
    with suppress(OSError, ValueError):
        if state == "no TLS":
            with relay.connect(source) as raw:
                raw.sendall(chance.randbytes(chance.randrange(200)))
            return 1
        if state == "logged in":
            sock: Socket = SecureChatClient(relay.port, relay.key_hash, "carol", "david").sock
        else:
            sock = relay.speak(source)
        with sock:
            if state == "greeted":
                sock.sendall(HELLO)
            valid = [] if state == "TLS" else [chance.choice(frames) for _ in range(chance.randrange(20))]
            sent = [*valid, mutated(chance.choice(frames), chance)]
            sock.sendall(b"".join(sent))
            if chance.random() < 0.3:
                is_over(sock, within_s=5)
            return len(sent)
    return 1


def test_nonsense_does_not_disturb_the_server(tmp_path: Path, trial: Trial) -> None:
    """R-18: every state of a link, every frame, in four threads; no traceback, no thread or descriptor left behind."""
    goal = trial.size(2_000, 100_000)
    frames = [encode_frames(frame) for frame in FRAMES.values()]
    with Relay(tmp_path / "server", PEOPLE, "--limit", "frame_s=2", "--limit", "login_s=3") as relay:
        relay.log_in("alice", "bobby").sock.close()
        relay.expect("link closed")  # now the server has all that it needs
        before = relay.descriptors, relay.threads
        seeds, done = [trial.random.randrange(2**32) for _ in range(4)], [0] * 4

        def attack(thread: int) -> None:
            chance, number = Random(seeds[thread]), 0
            while done[thread] < goal / 4:
                done[thread] += nonsense(relay, number * 4 + thread, frames, chance)
                number += 1

        with HonestPair(relay) as pair:
            threads = [threading.Thread(target=attack, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert settled(lambda: (relay.descriptors, relay.threads), before) == before
        trial.note(frames=sum(done), honest_messages=len(pair.took_s), honest_p99_s=round(pair.p99_s, 2))
        assert len(pair.took_s) > 10
        assert relay.end(signal.SIGTERM) == 0
    assert not relay.said(" ERROR ")


# ---------------------------------------------------------------- slowness


def test_who_is_slow_is_let_go_and_keeps_nobody_out(tmp_path: Path, trial: Trial) -> None:
    """R-27: silent, slow before login, slow after it; honest people come in at once. The soak has the usual limits."""
    patience_s, slack_s = trial.size(1, 20), 3  # deadlines are looked at once a second; a goodbye may linger for two
    names = () if trial.soak else ("handshake_s", "login_s", "frame_s", "heartbeat_s")
    limits = [f"--limit={name}={patience_s}" for name in names]
    with Relay(tmp_path / "server", PEOPLE, *limits) as relay, ExitStack() as stack:
        silent: list[Socket] = [relay.connect(elsewhere(0)) for _ in range(4)]
        spoken: list[Socket] = [relay.speak(elsewhere(1)) for _ in range(4)]
        inside: list[Socket] = [relay.log_in("carol", "david").sock]
        for sock in (*silent, *spoken, *inside):
            stack.enter_context(sock)
        over = threading.Event()
        dripping = [(sock, HELLO) for sock in spoken[:3]] + [
            (sock, encode_frames(FRAMES["message"])) for sock in inside
        ]
        thread = threading.Thread(target=drip, args=(dripping, patience_s, over))
        thread.start()
        began = time.monotonic()
        relay.log_in("alice", "bobby").sock.close()
        honest_s = time.monotonic() - began
        closed = [is_over(sock, within_s=2 * patience_s + 5) for sock in (*silent, *spoken, *inside)]
        closed_s = time.monotonic() - began
        over.set()
        thread.join()
        trial.note(honest_login_s=round(honest_s, 2), all_closed_s=round(closed_s, 1))
        assert all(closed)
        assert closed_s < patience_s + slack_s
        assert honest_s < 1
        assert relay.end(signal.SIGTERM) == 0


def drip(slow: list[tuple[Socket, bytes]], patience_s: float, over: threading.Event) -> None:
    """Send each of these byte by byte, never silent for long."""
    at = 0
    while not over.wait(patience_s / 10):
        for sock, data in slow:
            with suppress(OSError):
                sock.sendall(data[at : at + 1])
        at += 1


# ---------------------------------------------------------------- numbers


def is_turned_away(sock: socket.socket) -> bool:
    """Return whether a connection is refused at once, with an answer."""
    sock.settimeout(0.02)
    with suppress(TimeoutError):
        return sock.recv(7) == bytes([21, 3, 3, 0, 2, 2, 80])
    return False


FULL = 100  # places at the door


def test_a_crowd_at_the_door_is_answered_and_those_inside_do_not_notice(tmp_path: Path, trial: Trial) -> None:
    """R-28: connections from everywhere that say nothing; a pair that is in, and one that wants to come in."""
    count, kept, turned_away = trial.size(1_000, 10_000), list[socket.socket](), 0
    silence = "--limit=handshake_s=600"  # or places would become free while we come
    with Relay(tmp_path / "server", PEOPLE, silence) as relay, HonestPair(relay) as pair:
        for number in range(count):
            sock = relay.connect(elsewhere(number // 4))
            if is_turned_away(sock):
                turned_away += 1
                sock.close()
            else:
                kept.append(sock)
            if len(kept) > FULL:  # some were turned away later than we have waited
                late = {each for each in kept if is_turned_away(each)}
                turned_away += len(late)
                kept = [each for each in kept if each not in late]
                for each in late:
                    each.close()
            assert len(kept) <= FULL, "the door is open"
        for sock in kept:
            sock.close()
        began = time.monotonic()
        patient_login(relay)
        login_s = time.monotonic() - began
        pair.stop()
        assert relay.end(signal.SIGTERM) == 0
    trial.note(turned_away=turned_away, honest_messages=len(pair.took_s), p99_s=round(pair.p99_s, 3))
    assert turned_away > count / 2
    assert len(pair.took_s) > 10
    assert pair.p99_s < 1
    assert login_s < 5


@contextmanager
def room_for(descriptors: int) -> Iterator[None]:
    """Let this process, and the server that it starts, open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < descriptors:
        pytest.skip(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, descriptors), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_crowd_that_is_let_in_and_stays_disturbs_nobody(tmp_path: Path, trial: Trial) -> None:
    """R-28: all of them open at once, where the limits of the door are out of the way."""
    count = trial.size(1_000, 10_000)
    limits = ("startups=20000:1:30000", "startups_per_address=20000", "handshake_s=600")
    options = [f"--limit={limit}" for limit in limits]
    with room_for(count + 500), Relay(tmp_path / "server", PEOPLE, *options) as relay, HonestPair(relay) as pair:
        before = relay.descriptors
        crowd = [relay.connect(elsewhere(number)) for number in range(count)]
        assert settled(lambda: relay.descriptors, before + count) == before + count
        spoke = len(pair.took_s)
        time.sleep(2)
        relay.log_in("carol", "david").sock.close()
        spoken = len(pair.took_s) - spoke
        for sock in crowd:
            sock.close()
        assert settled(lambda: relay.descriptors, before) == before
        pair.stop()
        assert relay.end(signal.SIGTERM) == 0
    trial.note(honest_messages=spoken, p99_s=round(pair.p99_s, 3))
    assert spoken > 10
    assert pair.p99_s < 1


def patient_login(relay: Relay) -> None:
    while True:
        with suppress(ssl.SSLError, ConnectionError):
            relay.log_in("carol", "david").sock.close()
            return
        time.sleep(0.05)


def test_the_mutations_are_not_all_of_one_kind() -> None:
    chance = Random(1)
    frame = encode_frames(FRAMES["message"])
    made = [mutated(frame, chance) for _ in range(200)]
    whole = [data for data in made if int.from_bytes(data[:4], "big") == len(data) - 4]
    assert 50 < len(whole) < 150
    assert len({len(data) for data in made}) > 20
    assert any(_is_json(data[4:]) for data in whole)
    assert not all(_is_json(data[4:]) for data in whole)


def _is_json(data: bytes) -> bool:
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        msgspec.json.decode(data)
        return True
    return False
