"""What honest people do, at the usual limits: none of them is ever in the way."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from tests.oracle import figures, judge
from tests.system.programs import WAIT_S, Person, Program, Server
from tests.trial import Trial

COMPLAINTS = re.compile(r"refused|turned away|does not read|too long|in time|stopped answering|too many|larger|WARNING")


def texts(program: Program, sender: str) -> list[str]:
    return [line.rpartition(" ")[2] for line in program.lines if f"{sender}: number" in line]


def test_an_honest_client_reaches_no_limit(tmp_path: Path, trial: Trial) -> None:
    """Two behind one address register, write as fast as they can, are away, and come back to it all."""
    sent = [f"number{number}" for number in range(trial.size(120, 2_000))]
    kept = min(900, len(sent) // 2)  # a mailbox holds a thousand
    hang_s = WAIT_S + 0.1 * len(sent)
    with Server(tmp_path / "server", "-v") as server:
        alice, bob = Person(tmp_path / "alice", "alice", server), Person(tmp_path / "bob", "bob", server)
        for person in (alice, bob):
            person.register()
        assert [alice.run("send", "bob", "hello")[0] for _ in range(2)] == [0, 0]  # to a stranger
        assert bob.run("recv")[0] == bob.run("send", "alice", "hello")[0] == 0
        with alice.converse() as writer:
            writer.type("bob")
            with bob.converse() as reader:
                reader.expect("online")
                writer.type(*sent[:-kept])
                reader.expect(f"{sent[-kept - 1]}$", within_s=hang_s)
                reader.type("quit")
                assert reader.end() == 0
            writer.type(*sent[-kept:])
            writer.expect(r"\* accepted: bob", count=kept, within_s=hang_s)
            with bob.converse() as again:
                again.expect(f"{sent[-1]}$", within_s=hang_s)
                writer.expect(r"\* read: bob", count=len(sent), within_s=hang_s)
                again.type("quit")
                assert again.end() == 0
            writer.type("quit")
            assert writer.end() == 0
        assert server.end(signal.SIGTERM) == 0
    verdict = judge(sent=sent, accepted=sent, shown=texts(reader, "alice") + texts(again, "alice"))
    trial.note(**figures(verdict))
    assert verdict.kept, verdict
    assert [line for line in server.lines if COMPLAINTS.search(line)] == []
    assert any("link closed" in line for line in server.lines)  # it does say what goes on
