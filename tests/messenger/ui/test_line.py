"""The live face, on a terminal that prompt_toolkit itself imitates."""

from __future__ import annotations

import gc
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from messenger.ui import line
from messenger.ui.line import LineFace
from tests.messenger.ui.quiet import Quiet


@pytest.fixture
def keyboard() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


def converse(face: LineFace, submit: Callable[[str], None]) -> None:
    """Converse, and fail instead of hanging: after ten seconds, leave by an exception."""
    watch = threading.Timer(10, lambda: face.interrupt(TimeoutError()))
    watch.daemon = True
    watch.start()
    try:
        face.converse(Quiet(), submit, lambda _begun: None)
    finally:
        watch.cancel()


def test_each_line_is_an_entry_and_control_d_ends(keyboard: PipeInput) -> None:
    entries: list[str] = []
    keyboard.send_text("one\rtwo\r\x04")
    converse(LineFace(), entries.append)
    assert entries == ["one", "two"]


def test_a_paste_of_several_lines_is_one_entry(keyboard: PipeInput) -> None:
    entries: list[str] = []
    keyboard.send_text("\x1b[200~one\ntwo\x1b[201~\r\x04")
    converse(LineFace(), entries.append)
    assert entries == ["one\ntwo"]


def test_alt_enter_begins_another_line(keyboard: PipeInput) -> None:
    entries: list[str] = []
    keyboard.send_text("one\x1b\rtwo\r\x04")
    converse(LineFace(), entries.append)
    assert entries == ["one\ntwo"]


def test_a_text_is_written_in_an_editor(keyboard: PipeInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        f'#!/bin/sh\ncp "$1" {tmp_path}/given\nstat -c %a "$1" > {tmp_path}/mode\nprintf \'a\\nb\\n\' > "$1"\n'
    )
    editor.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(editor))
    entries: list[str] = []
    keyboard.send_text("begun\x18\x05")
    threading.Timer(1.0, keyboard.send_text, ["\x04"]).start()
    converse(LineFace(), entries.append)
    assert entries == ["a\nb"]
    assert (tmp_path / "given").read_text() == "begun"
    assert (tmp_path / "mode").read_text() == "600\n"


class Answering(LineFace):
    """Types something when a line is shown, and then the next."""

    def __init__(self, keyboard: PipeInput, *answers: str) -> None:
        super().__init__()
        self.shown: list[str] = []
        self._keyboard = keyboard
        self._answers = list(answers)

    def show(self, line: str) -> None:
        self.shown.append(line)
        self._keyboard.send_text(self._answers.pop(0))


@pytest.mark.parametrize("editor", ["true", "false", "touch", "sh -c 'echo begun > $0'"])
def test_an_editor_that_changes_nothing_sends_nothing(
    keyboard: PipeInput, monkeypatch: pytest.MonkeyPatch, editor: str
) -> None:
    """Left without saving, by :cq, or saved as it was; what was begun stays, and can be sent."""
    monkeypatch.setenv("VISUAL", editor)
    entries: list[str] = []
    face = Answering(keyboard, "!\r\x04")
    keyboard.send_text("begun\x18\x05")
    converse(face, entries.append)
    assert face.shown == ["* not sent: the editor has changed nothing. Enter sends it as it is"]
    assert entries == ["begun!"]


def test_control_c_clears_a_line_and_leaves_an_empty_one(keyboard: PipeInput) -> None:
    entries: list[str] = []
    keyboard.send_text("a line\x03kept\r\x03")
    with pytest.raises(KeyboardInterrupt):
        converse(LineFace(), entries.append)
    assert entries == ["kept"]


def test_the_tab_key_completes_commands_and_names(keyboard: PipeInput) -> None:
    entries: list[str] = []
    keyboard.send_text("/to b\t")
    threading.Timer(0.5, keyboard.send_text, ["\r\x04"]).start()  # it is completed meanwhile, in another thread
    LineFace().converse(Quiet(words=["/to ", "/to bob ", "bob"]), entries.append, lambda _begun: None)
    assert entries == ["/to bob "]


def test_the_status_stands_below_and_is_drawn_anew(keyboard: PipeInput) -> None:
    face, asked = LineFace(), list[str]()
    dialogue = Quiet()

    def status() -> str:
        asked.append("asked")
        if len(asked) == 1:  # it is drawn, so the prompt is open
            threading.Timer(0.05, face.refresh).start()
        else:
            threading.Timer(0.05, face.stop).start()
        return "online"

    dialogue.status = status
    face.refresh()  # nothing is open
    face.converse(dialogue, lambda _entry: None, lambda _begun: None)
    assert len(asked) > 1


def test_an_open_prompt_is_stopped_by_another_thread(keyboard: PipeInput) -> None:
    del keyboard
    face = LineFace()

    def prompt() -> str:  # asked for while the prompt is drawn, so it is open
        threading.Timer(0.05, face.stop).start()
        return "> "

    face.converse(Quiet(prompt), lambda _entry: None, lambda _begun: None)


@pytest.mark.usefixtures("keyboard")
def test_a_stop_between_two_prompts_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session may end after an entry was carried out and before the next prompt is open."""
    face = LineFace()
    real = PromptSession.prompt_async

    def late(*arguments: object, **options: object) -> object:
        face.stop()
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PromptSession, "prompt_async", late)
    converse(face, lambda _entry: None)


def test_one_stop_ends_one_conversation(keyboard: PipeInput) -> None:
    """After a stop one may ask and converse again: the server had forgotten the account."""
    face = LineFace()
    face.stop()
    converse(face, lambda _entry: None)
    keyboard.send_text("123456\r")
    assert face.ask("Code: ") == "123456"
    entries: list[str] = []
    keyboard.send_text("back\r\x04")
    converse(face, entries.append)
    assert entries == ["back"]


def test_other_threads_disturb_no_prompt_that_closes_and_lose_no_line(
    keyboard: PipeInput, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's thread shows, rings and draws whenever it has to; what it met in a closing prompt ended it."""
    face, entries, shown, failures = LineFace(), list[str](), list[int](), list[BaseException]()
    over = threading.Event()
    monkeypatch.setattr(line, "_BUNDLE_S", 0.002)  # so that some are written while a prompt is open, some as it closes

    def disturb() -> None:
        try:
            while not over.wait(0.0003):
                face.show(f"line {len(shown)}.")
                shown.append(len(shown))
                face.ring()
                face.refresh()
        except BaseException as failure:  # noqa: BLE001 - it would end the session
            failures.append(failure)

    thread = threading.Thread(target=disturb, daemon=True)

    def submit(entry: str) -> None:
        entries.append(entry)
        threading.Timer(0.01, keyboard.send_text, ["x\r"] if len(entries) < 50 else ["\x04"]).start()
        if len(entries) == 1:
            thread.start()

    keyboard.send_text("x\r")
    try:
        converse(face, submit)
    finally:
        over.set()
    thread.join()
    assert (failures, len(entries)) == ([], 50)
    assert re.findall(r"line (\d+)\.\n", capsys.readouterr().out) == [str(number) for number in shown]


class Left(BaseException):
    """What a signal raises."""


PARTS = [0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995]


@pytest.mark.parametrize("part", PARTS)
def test_a_signal_at_any_moment_is_raised_in_good_order(capsys: pytest.CaptureFixture[str], part: float) -> None:
    """Once, by whoever converses, and with nothing written: it never comes out of a callback of the loop."""
    unraised: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", unraised.append)
        patch.setattr(threading, "excepthook", unraised.append)
        _converse_with_a_signal(at=sys.maxsize)  # what is made once is made
        moment = calls = sys.maxsize
        with pytest.raises(Left):
            for _ in range(5):  # a run may be shorter than the one before
                calls = _converse_with_a_signal(at=moment)
                moment = int(calls * part) + 1
        assert calls != sys.maxsize
        gc.collect()
    assert (unraised, *capsys.readouterr()) == ([], "", "")


def _converse_with_a_signal(*, at: int) -> int:
    """Enter two lines and leave, with a signal at that call of a Python function; return how many there were."""
    face, calls = LineFace(), 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"
        if calls == at:
            sys.setprofile(None)
            if not face.interrupt(error := Left()):
                raise error

    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        keyboard.send_text("one\rtwo\r\x04")
        sys.setprofile(count)
        try:
            converse(face, lambda _entry: None)
        finally:
            sys.setprofile(None)
    return calls


def test_a_signal_waits_for_an_entry_that_is_carried_out(keyboard: PipeInput) -> None:
    face, entries = LineFace(), list[str]()

    def submit(entry: str) -> None:
        assert face.interrupt(Left())
        entries.append(entry)

    keyboard.send_text("one\rtwo\r")
    with pytest.raises(Left):
        converse(face, submit)
    assert entries == ["one"]


@pytest.mark.parametrize("times", [1, 2])
def test_control_c_leaves_after_the_entry_at_hand_and_at_once_when_repeated(keyboard: PipeInput, times: int) -> None:
    entries: list[str] = []

    def submit(entry: str) -> None:
        entries.append(entry)
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    keyboard.send_text("one\rtwo\r")
    with pytest.raises(KeyboardInterrupt):
        converse(LineFace(), submit)
    assert entries == ["one"]


def test_a_question_is_asked_though_a_session_has_ended_late(keyboard: PipeInput) -> None:
    """The person left, and then the session found that it has to register again."""
    face = LineFace()
    face.stop()
    keyboard.send_text("123456\r")
    assert face.ask("Code: ") == "123456"


@pytest.mark.usefixtures("keyboard")
def test_the_bell_rings_with_a_prompt_and_without(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(DummyOutput, "bell", lambda _output: rung.append("bell"))
    face = LineFace()
    face.ring()
    assert (rung, capsys.readouterr().out) == ([], "\a")

    def prompt() -> str:  # asked for while the prompt is open
        face.ring()
        face.stop()
        return "> "

    face.converse(Quiet(prompt), lambda _entry: None, lambda _begun: None)
    assert (rung[:1], capsys.readouterr().out) == (["bell"], "")


def test_nothing_is_open_to_be_interrupted() -> None:
    assert not LineFace().interrupt(EOFError())


def test_each_letter_is_told_of(keyboard: PipeInput) -> None:
    entries, begun = list[str](), list[str]()
    keyboard.send_text("hi\r\x04")
    LineFace().converse(Quiet(), entries.append, begun.append)
    assert (entries, begun[:2]) == (["hi"], ["h", "hi"])


def test_the_tab_key_completes_paths_where_one_comes(keyboard: PipeInput, tmp_path: Path) -> None:
    (tmp_path / "everything.txt").touch()
    entries: list[str] = []
    keyboard.send_text(f"/export {tmp_path}/ever\t")
    threading.Timer(0.5, keyboard.send_text, ["\r\x04"]).start()
    LineFace().converse(Quiet(before_paths=["/export "]), entries.append, lambda _begun: None)
    assert entries == [f"/export {tmp_path}/everything.txt"]
