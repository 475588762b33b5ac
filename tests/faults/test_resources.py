"""A full disk, a locked file, no descriptors, a stopped client, one that never reads (R-07, R-11, R-12, R-16, R-29)."""

from __future__ import annotations

import resource
import signal
import socket
import sqlite3
import time
from pathlib import Path

import pytest

from bench.load import Load
from bench.securechat import SecureChatClient
from errors import ExitCode
from tests.faults.crowd import Relay
from tests.oracle import figures, judge
from tests.system.programs import Person, Program, Server
from tests.trial import Trial

UNLIMITED = resource.RLIM_INFINITY


def patient(relay: Relay, user_id: str, partner: str) -> SecureChatClient:
    """Log in; while the server cannot, try again."""
    for _ in range(100):
        try:
            return relay.log_in(user_id, partner)
        except (OSError, ValueError, AssertionError):
            time.sleep(0.05)
    raise AssertionError("nobody is let in any more")


def test_a_full_disk_of_the_server_accepts_nothing_and_room_on_it_everything(tmp_path: Path, trial: Trial) -> None:
    """R-07: RLIMIT_FSIZE, as a quota would; the sender repeats what was not answered."""
    rounds, sent, accepted = trial.size(5, 50), 0, set[int]()
    with Relay(tmp_path / "server", ["alice", "bobby"]) as relay:
        log = relay.home / "data" / "relay.db-wal"
        for _ in range(rounds):
            load = Load([patient(relay, "alice", "bobby")])
            load.sent = sent
            for _ in range(trial.random.randrange(1, 20)):
                load.send(load.clients[0])
            load.run_until("accepted", load.sent - sent, timeout_s=10)
            relay.limit(resource.RLIMIT_FSIZE, log.stat().st_size + trial.random.randrange(2000))
            before = load.accepted
            with pytest.raises(ConnectionError):
                for _ in range(500):
                    load.send(load.clients[0])
                    load.step(0.01)
            assert load.accepted == before
            accepted |= load.accepted_numbers()
            sent = load.sent
            load.close()
            relay.limit(resource.RLIMIT_FSIZE, UNLIMITED)
        with relay.loaded(("bobby", "alice")) as drain:
            drain.run_until("delivered", len(accepted), timeout_s=20)
            drain.run(0.5)
            shown = [number for number, _ in drain.arrivals]
        assert relay.said("cannot write") >= rounds
        assert relay.end(signal.SIGTERM) == 0
    verdict = judge(sent=range(sent), accepted=accepted, shown=shown)
    trial.note(**figures(verdict), messages=sent, accepted=len(accepted))
    assert verdict.kept, verdict


def test_a_full_disk_of_the_client_loses_nothing(tmp_path: Path, trial: Trial) -> None:
    """R-07: what cannot be stored is not acknowledged; it comes when there is room."""
    with Server(tmp_path / "server", "--stranger-pending", "1000") as server:
        alice, bob = Person(tmp_path / "alice", "alice", server), Person(tmp_path / "bob", "bob", server)
        alice.enroll()
        bob.enroll()
        sent = [f"number{number}" for number in range(trial.size(30, 500))]
        with bob.converse() as reader:
            reader.expect("online")
            size = (bob.home / "data" / "bob.db-wal").stat().st_size + trial.random.randrange(4000, 500 * len(sent))
            resource.prlimit(reader.process.pid, resource.RLIMIT_FSIZE, (size, UNLIMITED))
            with alice.converse() as writer:
                writer.type("bob", *sent)
                assert reader.process.wait(20) == ExitCode.STORAGE
                writer.type("quit")
                assert writer.end() == 0
            assert reader.end() == ExitCode.STORAGE
            assert any("cannot write" in line for line in reader.lines)
            first = [line.rpartition(" ")[2] for line in reader.lines if "alice: number" in line]
        assert alice.run("send", "bob", "last")[0] == 0  # in their order: before it, all others were accepted
        code, out, _ = bob.run("recv")
        assert code == 0
        assert out[-1].endswith("alice: last")
        second = [line.rpartition(" ")[2] for line in out if "alice: number" in line]
    again = len(set(first) & set(second))  # shown, and then there was no room to note it: shown again (ADR 5)
    verdict = judge(sent=sent, accepted=sent, shown=[*[text for text in first if text not in second], *second])
    trial.note(**figures(verdict), before=len(first), after=len(second), again=again)
    assert again <= 1 + len(first)
    assert verdict.kept, verdict


def test_what_is_typed_while_the_disk_is_full_is_an_error_on_the_line(tmp_path: Path) -> None:
    """R-07: keys are files, messages are rows; the conversation goes on, and both go through when there is room."""
    with Server(tmp_path / "server", "--stranger-pending", "1000") as server:
        alice, bob = Person(tmp_path / "alice", "alice", server), Person(tmp_path / "bob", "bob", server)
        alice.enroll()
        bob.enroll()
        with alice.converse() as writer:
            writer.type("bob", "before")
            writer.expect("accepted: bob")
            writer.type("/log")
            writer.expect("Read and checked here: [1-9]")
            limit = resource.prlimit(writer.process.pid, resource.RLIMIT_FSIZE, (100, UNLIMITED))
            writer.type("/keys rotate")
            writer.expect("! cannot write .*/keys")
            writer.type("not written")
            writer.expect("! cannot write .*/data/alice.db")
            resource.prlimit(writer.process.pid, resource.RLIMIT_FSIZE, limit)
            writer.type("/keys rotate")
            writer.expect(r"you have new keys \(number 2\)")
            writer.type("after")
            writer.expect("accepted: bob", count=2)
            assert not any("offline" in line for line in writer.lines)
            assert writer.end() == ExitCode.FAILED  # as every pipe of which a line was not carried out
        code, out, _ = bob.run("recv")
        assert (code, [line.rpartition(" ")[2] for line in out]) == (0, ["before", "after"])


def test_a_stopped_client_is_noticed_and_loses_nothing(tmp_path: Path, trial: Trial) -> None:
    """R-11: SIGSTOP; its connection looks well to TCP."""
    with Server(tmp_path / "server", "--stranger-pending", "1000", "--limit", "heartbeat_s=1", "-v") as server:
        people = {name: Person(tmp_path / name, name, server) for name in ("alice", "bob", "carol")}
        for person in people.values():
            person.enroll()
        clients: dict[str, Program] = {name: person.converse() for name, person in people.items()}
        for client in clients.values():
            client.expect("online")
        sent = [f"number{number}" for number in range(trial.size(20, 200))]
        clients["bob"].process.send_signal(signal.SIGSTOP)
        clients["alice"].type("bob", *sent)
        clients["alice"].expect(r"\* accepted: bob", count=len(sent))
        clients["carol"].type("alice", "are you there?")
        clients["alice"].expect("carol: are you there")  # others are not disturbed
        server.expect("has stopped answering")
        clients["bob"].process.send_signal(signal.SIGCONT)
        clients["bob"].expect("alice: number", count=len(sent))
        for client in clients.values():
            client.type("quit")
            assert client.end() == 0
        shown = [line.rpartition(" ")[2] for line in clients["bob"].lines if "alice: number" in line]
    verdict = judge(sent=sent, accepted=sent, shown=shown)
    trial.note(**figures(verdict))
    assert verdict.kept, verdict


def test_a_client_that_never_reads_costs_a_bounded_amount(tmp_path: Path, trial: Trial) -> None:
    """R-12: it sends and sends, and leaves the replies unread."""
    with Relay(tmp_path / "server", ["alice", "bobby"]) as relay:
        before, highest, sent = relay.memory, 0, 0
        for number in range(trial.size(2, 20)):
            client = relay.log_in("alice", "bobby")
            frame = client.message(1)  # the same again and again: each is answered, and one is stored
            client.sock.settimeout(20)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with client.sock, pytest.raises(OSError, match=r"reset|broken|EOF|closed|bad length"):
                for _ in range(20_000):
                    client.sock.sendall(frame * 50)
                    sent += 50
                    highest = max(highest, relay.memory)
                    time.sleep(0.002 * (number % 2))  # too many frames at once, or too many bytes in time
            relay.expect("does not read", count=number + 1)
        trial.note(frames=sent, memory=highest - before)
        assert highest - before < 16 * 1024 * 1024  # its outbox, what is queued for the writer, and the writer's group
        with relay.loaded(("bobby", "alice")) as load:
            load.run_until("delivered", 1, timeout_s=10)
        assert relay.end(signal.SIGTERM) == 0


def test_a_locked_database_is_waited_for(tmp_path: Path, trial: Trial) -> None:
    """R-16: another process holds the file for three seconds, again and again; the recipient is away."""
    with Relay(tmp_path / "server", ["alice", "bobby"]) as relay:
        other = sqlite3.connect(relay.home / "data" / "relay.db", isolation_level=None)
        with relay.loaded(("alice", "bobby")) as load:
            for _ in range(trial.size(1, 5)):
                other.execute("BEGIN IMMEDIATE")
                accepted = load.accepted
                for _ in range(100):
                    load.send(load.clients[0])
                load.run(3)
                assert load.accepted == accepted
                other.execute("ROLLBACK")
                load.run_until("accepted", load.sent, timeout_s=20)
        other.close()
        with relay.loaded(("bobby", "alice")) as drain:
            drain.run_until("delivered", load.sent, timeout_s=20)
        shown = [number for number, _ in drain.arrivals]
        verdict = judge(sent=range(load.sent), accepted=load.accepted_numbers(), shown=shown)
        trial.note(**figures(verdict))
        assert verdict.kept, verdict
        assert relay.said("cannot write") == 0


def test_without_descriptors_the_door_waits_and_does_not_spin(tmp_path: Path, trial: Trial) -> None:
    """R-29: those who are in are served, and the rest when there is room again."""
    seconds = trial.size(1, 10)
    limits = ("--limit", "startups=1000:1:2000", "--limit", "startups_per_address=2000", "--limit", "handshake_s=600")
    with Relay(tmp_path / "server", ["alice", "bobby", "carol", "david"], *limits) as relay:
        with relay.loaded(("alice", "bobby"), ("bobby", "alice")) as load:
            relay.limit(resource.RLIMIT_NOFILE, relay.descriptors + 10)
            crowd: list[socket.socket] = [relay.connect() for _ in range(30)]
            relay.expect("cannot accept a connection")
            before_s, before_n = relay.cpu_s, relay.said("cannot accept")
            for _ in range(10):
                load.send(load.clients[0])
                load.run(seconds / 10)
            assert load.delivered == load.sent
            spent = (relay.cpu_s - before_s) / seconds
            assert relay.said("cannot accept") - before_n <= seconds / 0.2 + 1
            for sock in crowd:
                sock.close()
            with relay.loaded(("carol", "david"), ("david", "carol")) as others:
                others.send(others.clients[0])
                others.run_until("delivered", 1, timeout_s=10)
        trial.note(cpu_share=round(spent, 2))
        assert spent < 0.5
        assert relay.end(signal.SIGTERM) == 0
