"""The scripts hold; together they show every action and every exit code of the client."""

from __future__ import annotations

import argparse
import shutil
import signal
from pathlib import Path

import pytest

from client_options import make_parser
from errors import ExitCode
from tests.cli.script import Stage, read_script
from tests.system.programs import Person, Server

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))
NOT_HERE = {
    ExitCode.VERSION: "there is one version of the protocol so far: tests/test_errors.py",
}

REFUSED = {"keep"}  # shown where there is nothing to decide; where there is: tests/messenger/test_conversation.py


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's folder and the homes of two who are registered there: making keys is what takes long."""
    folder = tmp_path_factory.mktemp("town")
    with Server(folder / "main") as server:
        for name in ("alice", "bob"):
            Person(folder / name, name, server).enroll()
        assert server.end(signal.SIGTERM) == ExitCode.OK
    return folder


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_story_holds(path: Path, town: Path, tmp_path: Path) -> None:
    Stage(shutil.copytree(town, tmp_path / "work")).play(*read_script(path))


def test_every_action_and_every_exit_code_is_in_a_story() -> None:
    parser = make_parser()
    done, codes = set[str](), {ExitCode.OK}
    for path in SCRIPTS:
        of_server = False
        for step in read_script(path)[0]:
            if (
                step.command == "client"
                and (step.wanted or REFUSED & set(step.words))
                and "--version" not in step.words
            ):
                words = [word for word in step.words if word != "&" and not word.startswith("@")]
                done.add(action(parser.parse_args(words)))
            if step.command in {"client", "wait", "kill", "server", "stop"}:
                of_server = step.command in {"server", "stop"}
            elif step.command == "exit" and not of_server:
                codes.add(ExitCode(int(step.words[0])))
    assert actions(parser) - done == set()
    assert set(ExitCode) - codes == set(NOT_HERE)


def action(options: argparse.Namespace) -> str:
    words = options.action, getattr(options, "keys", None)
    return " ".join(word for word in words if word)


def actions(parser: argparse.ArgumentParser) -> set[str]:
    """Return all actions, `keys rotate` for one of an action's own."""
    found = set[str]()
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            for name, below in each.choices.items():
                found |= {f"{name} {further}" for further in actions(below)} or {name}
    return found


# ---------------------------------------------------------------- what does not hold is told, with its place

FALSE_CLIENT = """
import sys
print("first", flush=True)
sys.stdin.read()
print("second", file=sys.stderr)
if "breaks" in sys.argv:
    raise ValueError
sys.exit(5 * ("fails" in sys.argv))
"""


def play(folder: Path, text: str) -> None:
    """Play a script in which the client is a small program."""
    client, script = folder / "client.py", folder / "script.txt"
    client.write_text(FALSE_CLIENT)
    script.write_text(text)
    Stage(folder, client=str(client)).play(*read_script(script))


def test_what_holds_is_passed_over_in_silence(tmp_path: Path) -> None:
    play(
        tmp_path,
        "client\nstdout ^first$\n! stdout second\nstderr ^second$\ncmp stdout out\ncapture X (f.*t)\nexists out\n"
        "stdin out\n! client fails  # as it should\nexit 5\nclient &\nawait $X\nwait\n-- out --\nfirst\n",
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("client fails", "it ended with 5"),
        ("! client", "it ended with 0"),
        ("client breaks", "Traceback"),
        ("! client breaks", "Traceback"),
        ("exit 5", "it ended with 0"),
        ("stdout second", "stdout was:\nfirst\n"),
        ("! stdout first", "stdout was:\nfirst\n"),
        ("stderr first", "stderr was:\nsecond\n"),
        ("stdout (", "unterminated subpattern"),
        ("capture X (second)", "stdout was:\nfirst\n"),
        ("cmp stdout out", "-third\n+first"),
        ("cmp stdout none", "No such file"),
        ("exists none", "there is no file none"),
        ("! exists out", "there is a file out"),
        ("client &", "(the end)\na client still runs"),
        ("stdin out", "(the end)\nno client has read"),
        ("! client &", "! wait"),
        ("wait", "no client runs"),
        ("client $NONE", "there is no variable $NONE"),
        ("stop main", "no such server runs"),
        ("code alice", "no server runs"),
        ("dance", "there is no such command"),
        ("! cmp stdout out", "it cannot have a !"),
        ("exit", "missing 1 required positional argument"),
        ("client 'hello", "No closing quotation"),
    ],
)
def test_what_does_not_hold_is_told(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(AssertionError) as told:
        play(tmp_path, f"# a story\nclient\n\n{line}\n-- out --\nthird\n")
    assert str(told.value).startswith(f"{tmp_path / 'script.txt'}:4: {line}")
    assert why in str(told.value)
