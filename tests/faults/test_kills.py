"""kill -9, at random moments, of each of the programs (R-01, R-03, R-04)."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from messenger.database import Database
from tests.oracle import figures, judge
from tests.system.programs import LIFE, PASSWORD, Person, Program, Server
from tests.trial import Trial

FINISH_S = 60
OPTIONS = ("--stranger-pending", "1000000", "--mailbox-limit", "1000000", "--limit", "delivery_window=16")


class Lives:
    """Lives of one account's client, one after another."""

    def __init__(self, person: Person, journal: Path) -> None:
        self._journal = journal
        self._options = str(person.home), person.user_id, f"localhost:{person.server.port}", str(journal)
        self.count = 0
        self._present = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._present.close()

    def live(self, role: str, argument: str = "-") -> Program:
        """Begin a life."""
        self.count += 1
        life = self._present.enter_context(Program(LIFE, *self._options, role, argument))
        life.expect("begins")
        return life

    def finish(self, messages: int) -> None:
        """Have a life do what is left to do: it may have all messages to take in, and ten a second are slow."""
        within_s = FINISH_S + messages / 10
        assert self.live("finish", str(within_s)).end(within_s=within_s + 5) == 0

    def lived(self, verb: str) -> list[str]:
        """Return what all lives so far did."""
        lines = self._journal.read_text().splitlines()
        return [argument for word, argument in map(str.split, lines) if word == verb]


@contextmanager
def two_people(folder: Path) -> Iterator[tuple[Lives, Lives, Person]]:
    with Server(folder / "server", *OPTIONS) as server:
        alice, bob = Person(folder / "alice", "alice", server), Person(folder / "bob", "bob", server)
        alice.enroll()
        bob.enroll()
        with Lives(alice, folder / "alice.log") as a, Lives(bob, folder / "bob.log") as b:
            yield a, b, bob


def stored(person: Person) -> list[str]:
    """Return the texts in a client's history, in the order in which it shows them."""
    database = Database(person.home / "data" / f"{person.user_id}.db", PASSWORD.encode())
    texts = [text for (text,) in database.rows("SELECT text FROM message WHERE direction = 'in' ORDER BY ordinal")]
    database.close()
    return texts


def is_whole(path: Path) -> bool:
    """Return what the server's database says of itself; looking at it repairs what a kill left, as a start would."""
    database = sqlite3.connect(path)
    answer = database.execute("PRAGMA integrity_check").fetchone()
    database.close()
    return bool(answer == ("ok",))


def kill_at_random(lives: Lives, role: str, count: int, chance: random.Random) -> None:
    for number in range(count):
        life = lives.live(role, f"life{number}")
        time.sleep(chance.uniform(0.0, 0.25))
        assert life.end(signal.SIGKILL) == -signal.SIGKILL


def test_kill_9_of_the_server_loses_nothing(tmp_path: Path, trial: Trial) -> None:
    """R-01: two people talk while their server dies again and again; their clients come back by themselves."""
    cycles = trial.size(20, 200)
    server = Server(tmp_path / "server", *OPTIONS)
    port, sent, over = server.port, list[str](), threading.Event()
    alice, bob = Person(tmp_path / "alice", "alice", server), Person(tmp_path / "bob", "bob", server)
    alice.enroll()
    bob.enroll()
    slowest_s = 0.0
    with alice.converse() as a, bob.converse() as b:
        a.expect("online")
        b.expect("online")
        b.type("@alice hello")
        a.expect("bob: hello")
        a.type("bob")

        def talk() -> None:
            while not over.wait(0.02):
                sent.append(f"number{len(sent)}")
                a.type(sent[-1])

        talker = threading.Thread(target=talk)
        talker.start()
        try:
            for _ in range(cycles):
                time.sleep(trial.random.uniform(0.0, 1.5))
                server.end(signal.SIGKILL)
                copied = shutil.copytree(tmp_path / "server" / "data", tmp_path / "copy", dirs_exist_ok=True)
                assert is_whole(copied / "relay.db")
                began = time.monotonic()
                server = Server(tmp_path / "server", *OPTIONS, port=port)
                slowest_s = max(slowest_s, time.monotonic() - began)
        finally:
            over.set()
            talker.join()
        a.expect(r"\* read: bob", count=len(sent), within_s=FINISH_S + len(sent) / 10)  # what waited comes in one go
        a.type("quit")
        b.type("quit")
        assert a.end() == b.end() == 0
        shown = [line.rpartition(" ")[2] for line in b.lines if "alice: number" in line]
        assert not any("missing" in line for line in b.lines)
    assert server.end(signal.SIGTERM) == 0
    verdict = judge(sent=sent, accepted=sent, shown=shown)
    trial.note(**figures(verdict), messages=len(sent), slowest_restart_s=round(slowest_s, 2))
    assert verdict.kept, verdict
    assert slowest_s < 2
    assert is_whole(tmp_path / "server" / "data" / "relay.db")


def test_kill_9_of_the_sending_client_loses_nothing(tmp_path: Path, trial: Trial, quick_database: None) -> None:
    """R-03: between outbox, send and reply."""
    with two_people(tmp_path) as (a, b, bob):
        kill_at_random(a, "write", trial.size(8, 500), trial.random)
        sent, promised = a.lived("writes"), a.lived("wrote")
        a.finish(len(sent))
        b.finish(len(sent))
        shown = b.lived("shown")
        assert stored(bob) == shown
    verdict = judge(sent=sent, accepted=promised, shown=shown)
    trial.note(**figures(verdict), messages=len(sent))
    assert verdict.kept, verdict
    assert promised


def test_kill_9_of_the_receiving_client_stores_each_message_once(
    tmp_path: Path, trial: Trial, quick_database: None
) -> None:
    """R-04: between receive, store, show and acknowledge."""
    with two_people(tmp_path) as (a, b, bob):
        writer = a.live("write", "one")
        kill_at_random(b, "read", trial.size(8, 500), trial.random)
        assert writer.end(signal.SIGKILL) == -signal.SIGKILL
        sent, promised = a.lived("writes"), a.lived("wrote")
        a.finish(len(sent))
        b.finish(len(sent))
        verdict = judge(sent=sent, accepted=promised, shown=stored(bob))
        again = len(b.lived("shown")) - len(set(b.lived("shown")))
    trial.note(**figures(verdict), messages=len(sent), shown_again_after_a_kill=again)
    assert verdict.kept, verdict
    assert again <= b.count * 16  # what was shown and not yet noted as shown, when it was killed
