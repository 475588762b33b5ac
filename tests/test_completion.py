"""The scripts that complete the command line, in the shells that they are for."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from client_options import make_parser, parse_arguments
from completion import SHELLS, script
from errors import ExitCode
from outline import Outline, outline

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = outline(make_parser())
# What stands before the cursor, in words, and what is offered there; "/" stands for the names of files.
CASES = [
    (["hist"], ["history"]),
    (["--read-r"], ["--read-receipts"]),
    (["--no-p"], ["--no-plain"]),
    (["--suite", ""], [str(choice) for each in PROGRAM.options if each.name == "suite" for choice in each.choices]),
    (["--requests", "o"], ["on", "off"]),
    (["--user", ""], []),
    (["--user", "send", "his"], ["history"]),
    (["--plain", "his"], ["history"]),
    (["send", "--wait", ""], ["accepted", "delivered", "read"]),
    (["send", "keys", "hello"], []),
    (["send", "keys", "--wa"], ["--wait"]),
    (["keys", "rev"], ["revoke"]),
    (["keys", "revoke", "--cert"], ["--certificate"]),
    (["keys", "password", "--new-password-file", "./LIC"], "/"),
    (["--home", "./LIC"], "/"),
    (["backup", "./LIC"], "/"),
    (["completion", "fi"], ["fish"]),
    (["dance", "hist"], ["history"]),
]


def in_bash(words: list[str]) -> list[str] | str:
    """Complete the last word with the function itself; what stands for files is that bash is left to it."""
    text = (
        script(PROGRAM, "bash", "client.py")
        + f"""
        compopt() {{ echo /; }}
        COMP_WORDS=(client.py {shlex.join(words)}) COMP_CWORD={len(words)}
        _client_py
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    )
    done = subprocess.run(["bash", "-u"], cwd=ROOT, input=text, text=True, capture_output=True, check=True)
    assert done.stderr == ""
    found = [line for line in done.stdout.splitlines() if line]
    return "/" if found == ["/"] else found


@pytest.mark.parametrize(("words", "offered"), CASES, ids=" ".join)
def test_bash_completes(words: list[str], offered: list[str] | str) -> None:
    assert in_bash(words) == offered


@pytest.mark.parametrize("words", [["--suite", "="], ["--suite", "=", ""], ["send", "--wait", "=", "del"]])
def test_bash_completes_behind_its_three_words_of_one(words: list[str]) -> None:
    assert in_bash(words) == (["delivered"] if words[0] == "send" else ["1", "2"])


def test_bash_knows_every_action_and_every_flag() -> None:
    def walk(level: Outline, path: list[str]) -> Iterator[tuple[list[str], list[str]]]:
        yield [*path, "-"], [flag for each in level.options for flag in (*each.flags, each.off) if flag]
        for action in level.actions:
            yield from walk(action, [*path, action.name])

    for words, flags in walk(PROGRAM, []):
        assert in_bash(words) == flags
    assert in_bash([""]) == [action.name for action in PROGRAM.actions]


def test_bash_completes_as_a_person_types(tmp_path: Path) -> None:
    path = tmp_path / "completion"
    done = subprocess.run(
        [sys.executable, "client.py", "completion", "bash", "--name", "chat-2"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    path.write_bytes(done.stdout)
    shell = pexpect.spawn("bash", ["--norc", "--noprofile"], cwd=str(ROOT), encoding="utf-8", timeout=20,
                          env={"TERM": "dumb", "PATH": "/usr/bin:/bin", "PS1": "$ "})  # fmt: skip
    try:
        shell.sendline(f"source {path}; echo rea''dy")
        shell.expect_exact("ready\r\n")
        shell.send("chat-2 conf\t--js\t\x15")
        shell.expect_exact("chat-2 config --json ")
        shell.send("chat-2 send --wait=del\t\x15")
        shell.expect_exact("chat-2 send --wait=delivered ")
        shell.send("chat-2 backup ./LIC\t\x15")
        shell.expect_exact("chat-2 backup ./LICENSE ")
    finally:
        shell.close(force=True)


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish")
@pytest.mark.parametrize(("words", "offered"), CASES, ids=" ".join)
def test_fish_completes(words: list[str], offered: list[str] | str) -> None:
    text = (
        script(PROGRAM, "fish", "client.py")
        + f"complete -C {shlex.quote(shlex.join(['client.py', *words[:-1]]))}' {words[-1]}'"
    )
    done = subprocess.run(["fish", "--no-config"], cwd=ROOT, input=text, text=True, capture_output=True, check=True)
    assert done.stderr == ""
    found = sorted(line.partition("\t")[0] for line in done.stdout.splitlines())
    assert found == (["./LICENSE"] if offered == "/" else sorted(offered))


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
def test_zsh_completes_as_a_person_types(tmp_path: Path) -> None:
    path = tmp_path / "completion"
    path.write_text(script(PROGRAM, "zsh", "client.py"))
    shell = pexpect.spawn("zsh", ["-f", "-i"], cwd=str(ROOT), encoding="utf-8", timeout=20,
                          env={"TERM": "dumb", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})  # fmt: skip
    try:
        shell.sendline(f"autoload -Uz compinit; compinit -u; source {path}; echo rea''dy")
        shell.expect_exact("ready\r\n")
        for typed, offered in (
            ("keys rev\t", "revoke"),
            ("--suite \t", "1  2"),
            ("send bob --wait \t", "accepted   delivered  read"),
            ("keys revoke --c\t", "ertificate"),
            ("config --j\t", "son"),
        ):
            shell.send(f"client.py {typed}")
            shell.expect_exact(offered)
            shell.send("\x15")
    finally:
        shell.close(force=True)


def test_nothing_of_a_configuration_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell asks at each start; a file that is wrong shall not speak up there."""
    monkeypatch.setenv("SECURECHAT_SUITE", "nonsense")
    for shell in SHELLS:
        with pytest.raises(SystemExit) as left:
            parse_arguments(["completion", shell])
        assert not left.value.code
        assert capsys.readouterr() == (script(PROGRAM, shell, "client.py"), "")


@pytest.mark.parametrize("arguments", [["tcsh"], ["bash", "--name", "x; rm"], ["bash", "--name", "-x"], []])
def test_what_cannot_be_completed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        make_parser().parse_args(["completion", *arguments])
    assert left.value.code == ExitCode.USAGE
    assert "usage:" in capsys.readouterr().err


def test_every_shell_can_be_asked_for() -> None:
    (completion,) = [action for action in PROGRAM.actions if action.name == "completion"]
    assert completion.operands[0].choices == tuple(SHELLS)
