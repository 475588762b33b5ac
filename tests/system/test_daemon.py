"""Programs that talk: the daemon as a process, and the bots of the documentation as they stand there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from errors import ExitCode
from tests.system.programs import CLIENT, ROOT, WAIT_S, Person, Program, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Person:
    person = Person(tmp_path_factory.mktemp("alice"), "alice", server)
    person.enroll()
    return person


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Person:
    """Somebody who runs the examples, which start the real client."""
    person = Person(tmp_path_factory.mktemp("echo"), "echo", server)
    person.client = "client.py"
    person.register()
    return person


def ask(program: Program, request: dict[str, Any] | str) -> dict[str, Any]:
    """Send a request and return its reply."""
    text = request if isinstance(request, str) else json.dumps(request)
    count = 1 + sum('"type": "reply"' in line for line in program.lines)
    program.type(text)
    reply: dict[str, Any] = json.loads(program.expect('.*"type": "reply".*', count=count)[0])
    return reply


def test_the_echo_bot_answers(alice: Person, echo: Person) -> None:
    with (
        Program("docs/examples/echo_bot.py", *echo.options) as bot,
        Program(CLIENT, *alice.options, "daemon", stdin=True) as daemon,
    ):
        daemon.expect('"type": "online"')
        sent = ask(daemon, {"do": "send", "to": "echo", "text": "hello\nbot", "id": 7})
        assert (sent["id"], sent["ok"], sent["result"]["type"]) == (7, True, "sent")
        event = json.loads(daemon.expect('.*"type": "message".*')[0])
        assert (event["from"], event["text"], event["answers"]["own"]) == ("echo", "hello\nbot", True)
        daemon.expect('"type": "state".*"state": "delivered"')
        # what cannot be is answered, and nothing ends by it
        assert ask(daemon, "no request")["ok"] is False
        assert ask(daemon, {"do": "fly", "id": "a"})["id"] == "a"
        assert ask(daemon, {"do": "send", "to": "echo", "text": "x", "loudly": True})["exit"] == ExitCode.USAGE
        assert ask(daemon, {"do": "accept", "to": "echo"})["error"].startswith("there is nothing to decide")
        history = ask(daemon, {"do": "history", "to": "echo"})["result"]["messages"]
        assert [(said["text"], said["state"]) for said in history[-2:]] == [
            ("hello\nbot", "delivered"),
            ("hello\nbot", "shown"),
        ]
        assert ask(daemon, {"do": "read", "to": "echo"})["ok"]
        assert ask(daemon, {"do": "status"})["result"]["unread"] == {}
        ask(daemon, {"do": "quit"})
        assert daemon.process.wait(WAIT_S) == ExitCode.OK
        bot.end(signal.SIGTERM)  # whose client goes with it, at the end of its input


def test_the_disk_alert_is_silent_until_it_matters(alice: Person, echo: Person) -> None:
    lock = echo.home / "data" / "echo.lock"
    script = ["sh", "docs/examples/disk_alert.sh"]
    environment = {**os.environ, "PYTHON": sys.executable}

    def alert(limit: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*script, "/", limit, "alice", *echo.options], cwd=ROOT, env=environment, text=True, capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip

    assert alert("101").returncode == 0
    deadline = time.monotonic() + WAIT_S
    while (done := alert("0")).returncode == ExitCode.IN_USE and time.monotonic() < deadline:
        time.sleep(0.2)  # the bot's client is on its way out
    assert done.returncode == ExitCode.OK, (done.stderr, lock)
    code, out, _ = alice.run("recv", "--json")
    texts = [json.loads(line).get("text", "") for line in out]
    assert code == ExitCode.OK
    assert any(text.startswith("/ is ") and text.endswith(" % full") for text in texts)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_what_could_not_be_written_comes_again(alice: Person, echo: Person) -> None:
    with Program(CLIENT, *alice.options, "--plain", stdin=True) as conversation:
        conversation.type("@echo hello again")
        conversation.expect("accepted")
        assert conversation.end() == ExitCode.OK
    with (
        Path("/dev/full").open("wb") as full,
        subprocess.Popen(
            [sys.executable, "client.py", *echo.options, "daemon"], cwd=ROOT, stdin=subprocess.PIPE, stdout=full,
            stderr=subprocess.PIPE, text=True,
        ) as daemon,
    ):  # fmt: skip
        assert daemon.wait(WAIT_S) != ExitCode.OK  # and not because its input had ended
        assert daemon.stderr is not None
        assert "Traceback" not in daemon.stderr.read()
    done = subprocess.run(
        [sys.executable, "client.py", *echo.options, "recv", "--json"], cwd=ROOT, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=60, text=True, check=False,
    )  # fmt: skip
    assert '"text": "hello again"' in done.stdout
