"""The plain face, on real pipes."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator

import pytest

from messenger.ui.plain import LineReader, PlainFace
from tests.messenger.ui.quiet import Quiet


class Pipes:
    """A plain face and the other ends of its streams."""

    def __init__(self, *, answers: bool = True) -> None:
        read, self.keyboard = os.pipe()
        self.descriptors = [read, self.keyboard]
        self.conversation = io.StringIO()
        self.about = io.StringIO()
        self.lines = LineReader(read)
        self.face = PlainFace(self.lines, self.conversation, self.about, answers=answers)

    def type(self, data: bytes) -> None:
        os.write(self.keyboard, data)

    def end(self) -> None:
        os.close(self.keyboard)
        self.descriptors.remove(self.keyboard)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    pipes = Pipes()
    yield pipes
    for descriptor in pipes.descriptors:
        os.close(descriptor)


def test_lines_of_any_end(pipes: Pipes) -> None:
    pipes.type(b"unix\nwindows\r\n\nlast without an end")
    pipes.end()
    assert [pipes.lines.read() for _ in range(5)] == ["unix", "windows", "", "last without an end", None]


def test_characters_cut_in_two_reads(pipes: Pipes) -> None:
    euro = "€\n".encode()
    threading.Timer(0.05, pipes.type, [euro[1:]]).start()
    pipes.type(euro[:1])
    assert pipes.lines.read() == "€"


def test_all_that_is_left(pipes: Pipes) -> None:
    pipes.type(b"first\n\nsecond\n  third\n")
    assert pipes.lines.read() == "first"
    pipes.end()
    assert pipes.lines.read_all() == "\nsecond\n  third"


def test_two_streams(pipes: Pipes) -> None:
    pipes.face.show("bob: hello")
    pipes.face.tell("* online")
    assert pipes.conversation.getvalue() == "bob: hello\n"
    assert pipes.about.getvalue() == "* online\n"


def test_a_question_without_an_answer(pipes: Pipes) -> None:
    pipes.end()
    with pytest.raises(EOFError):
        pipes.face.ask("Code: ")
    assert pipes.about.getvalue() == "Code:\n"  # a line of its own, for those who wait for lines


def test_standard_input_is_not_asked_unless_told_to() -> None:
    """`send` in a pipeline must not take its text for a password."""
    silent = Pipes(answers=False)
    silent.type(b"not an answer\n")
    with pytest.raises(EOFError):
        silent.face.ask("Password: ", secret=True)
    assert silent.about.getvalue() == ""
    for descriptor in silent.descriptors:
        os.close(descriptor)


def test_conversing_to_the_end(pipes: Pipes) -> None:
    entries: list[str] = []
    pipes.type(b"one\ntwo\n")
    pipes.end()
    pipes.face.converse(Quiet(), entries.append, lambda _begun: None)
    assert entries == ["one", "two"]


def test_asking_after_a_conversation_was_stopped(pipes: Pipes) -> None:
    """The reader of the first conversation still waits for a line: it is the answer, and then the next entries."""
    threading.Timer(0.05, pipes.face.stop).start()
    pipes.face.converse(Quiet(), lambda _entry: None, lambda _begun: None)
    pipes.type(b"123456\nhello\n")
    assert pipes.face.ask("Code: ") == "123456"
    entries: list[str] = []
    pipes.end()
    pipes.face.converse(Quiet(), entries.append, lambda _begun: None)
    assert entries == ["hello"]
