"""The bell, and a real command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import notifier
from errors import UsageError
from notifier import Notifier, check_notification


@pytest.mark.parametrize("how", ["off", "bell", "notify-send 'a title'"])
def test_what_can_be_set(how: str) -> None:
    assert check_notification(how) == how


@pytest.mark.parametrize("how", ["", "  ", "say 'hello"])
def test_what_cannot(how: str) -> None:
    with pytest.raises(UsageError):
        check_notification(how)


def test_the_bell_rings_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[int] = []
    made = Notifier("bell", lambda: rung.append(1), pytest.fail)
    for _ in range(5):
        made.notify("bob")
    assert len(rung) == 1
    monkeypatch.setattr(notifier, "EVERY_S", 0.0)
    made._again_at_s = 0.0
    made.notify("bob")
    made.notify("bob")
    assert len(rung) == 3


def test_off_is_silent() -> None:
    Notifier("off", pytest.fail, pytest.fail).notify("bob")


def test_a_command_hears_who_and_nothing_of_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "EVERY_S", 0.0)
    heard, script = tmp_path / "heard", tmp_path / "command.py"
    script.write_text(f"import sys\nopen({str(heard)!r}, 'a').write(repr(sys.argv[1:]) + '\\n')\n")
    made = Notifier(f"{sys.executable} {script} title", pytest.fail, pytest.fail)
    made.notify("$(touch x); bob")
    assert made._running is not None
    made._running.wait(10)
    assert heard.read_text() == "['title', '$(touch x); bob']\n"


def test_one_that_does_not_end_is_not_started_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "EVERY_S", 0.0)
    slow = Notifier(f"{sys.executable} -c 'import time; time.sleep(60)'", pytest.fail, pytest.fail)
    slow.notify("bob")
    first = slow._running
    assert first is not None
    slow.notify("bob")
    assert slow._running is first
    first.kill()
    first.wait()


def test_one_that_is_not_there_is_an_error_at_the_start() -> None:
    with pytest.raises(UsageError, match="no command"):
        Notifier("/no/such/command", pytest.fail, pytest.fail)


def test_one_that_is_gone_later_is_said_once_and_started_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "EVERY_S", 0.0)
    told: list[str] = []
    command, heard = tmp_path / "command", tmp_path / "heard"
    script = f"#!{sys.executable}\nimport sys\nopen({str(heard)!r}, 'w').write(sys.argv[1])\n"
    command.write_text(script)
    command.chmod(0o700)
    made = Notifier(str(command), pytest.fail, told.append)
    command.unlink()
    made.notify("bob")
    made.notify("bob")
    assert told == [f"! nothing rings: cannot start {command} (No such file or directory)"]
    command.write_text(script)
    command.chmod(0o700)
    made.notify("carol")
    assert made._running is not None
    made._running.wait(10)
    assert heard.read_text() == "carol"


def test_one_that_fails_is_said_once_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "EVERY_S", 0.0)
    told: list[str] = []
    made = Notifier(f"{sys.executable} -c 'raise SystemExit(3)'", pytest.fail, told.append)
    started = set()
    for _ in range(3):
        made.notify("bob")
        assert made._running is not None
        made._running.wait(10)
        started.add(made._running.pid)
    assert len(started) == 3
    assert told == [f"! it may not have rung: {sys.executable} ended with 3"]
