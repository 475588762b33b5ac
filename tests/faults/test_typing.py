"""R-38: messages come in while a person types."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pexpect

from tests.oracle import figures, judge
from tests.system.programs import Person, Program, Server
from tests.system.terminal import Terminal
from tests.trial import Trial

SENTENCE = "what I am typing all the while, letter by letter, is mine"


def test_what_comes_in_is_shown_and_what_is_typed_stays(tmp_path: Path, trial: Trial) -> None:
    """The live prompt on a real pty; the sender goes as fast as it can."""
    sent = [f"number{number}" for number in range(trial.size(150, 20_000))]
    with Server(tmp_path / "server", "--stranger-pending", "1000000", "--mailbox-limit", "1000000") as server:
        alice, bob = Person(tmp_path / "alice", "alice", server), Person(tmp_path / "bob", "bob", server)
        alice.enroll()
        bob.enroll()
        terminal = Terminal(*bob.options)
        terminal.expect("online")
        terminal.type("alice")
        terminal.expect("Enter message to alice ")
        with alice.converse() as writer:
            began = time.monotonic()
            feeder = threading.Thread(target=feed, args=(writer, sent))
            feeder.start()
            within_s = 60 + len(sent) / 10  # ten a second are slow
            screen = type_and_read(terminal, sent[-1], timeout_s=within_s)
            taken_s = time.monotonic() - began
            feeder.join()
            terminal.type("")
            assert writer.expect(r"\] bob: (.*)", within_s=within_s)[1] == SENTENCE  # after all receipts
            writer.type("quit")
            assert writer.end() == 0
        terminal.type("quit")
        assert terminal.end() == 0
    verdict = judge(sent=sent, accepted=sent, shown=re.findall(r"alice: (number\d+)", screen))
    trial.note(**figures(verdict), shown_per_s=round(len(sent) / taken_s))
    assert verdict.kept, verdict


def feed(writer: Program, texts: list[str]) -> None:
    writer.type("bob")
    for first in range(0, len(texts), 100):
        writer.type(*texts[first : first + 100])


def type_and_read(terminal: Terminal, last: str, *, timeout_s: float) -> str:
    """Type the sentence a letter at a time, and read until the last message is shown."""
    deadline, screen, letters = time.monotonic() + timeout_s, "", list(SENTENCE)
    pieces: list[str] = []
    while f"alice: {last}" not in screen:
        assert time.monotonic() < deadline, f"not shown in time: {last}; the screen ends:\n{screen[-500:]}"
        if letters:
            terminal.type(letters.pop(0), enter=False)
        try:
            pieces.append(terminal.child.read_nonblocking(65536, timeout=0.02))
        except pexpect.TIMEOUT:
            continue
        screen = "".join(pieces[-4:])
    terminal.type("".join(letters), enter=False)
    return "".join(pieces)
