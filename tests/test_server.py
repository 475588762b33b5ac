"""The server's own parts, in this process and on a real socket."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from errors import Code, ExitCode, Refused, SetupError, UsageError
from link import LinkLimits
from messenger.account import generate
from messenger.server_address import locate
from relay.actions import SendCode
from relay.limits import Limits, Rate
from server import (
    MAX_QUEUED_CODES,
    CodeSender,
    Server,
    accept_connections,
    choose_limits,
    listen,
    load_server_key,
    parse_arguments,
)
from session import request_code, wall_time


@contextmanager
def running(home: Path, *options: str) -> Iterator[tuple[Server, str]]:
    """Run a server in this process; yields it and its address."""
    wake, signalled = socket.socketpair()
    server = Server(parse_arguments(["--home", str(home), *options]))
    with wake, signalled, listen("localhost", 0) as listener:
        server.start()
        door = threading.Thread(target=accept_connections, args=(listener, wake, server))
        door.start()
        try:
            yield server, f"localhost:{listener.getsockname()[1]}"
        finally:
            signalled.send(b"\0")
            door.join()
            server.stop()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "65536"],
        ["--port", "-1"],
        ["--port", "ten"],
        ["--max-users", "0"],
        ["--retention-days", "1.5"],
        ["--limit", "patience=1"],
        ["x"],
    ],
)
def test_options_that_cannot_be(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse_arguments(arguments)
    assert left.value.code == ExitCode.USAGE
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["lookups=", "delivery_window_size=4000000"])
def test_limits_that_cannot_be(setting: str) -> None:
    with pytest.raises(UsageError):
        choose_limits(parse_arguments(["--limit", setting]))


def test_limits_are_set() -> None:
    limits, link_limits = choose_limits(
        parse_arguments(["--max-users", "10", "--limit", "lookups=5/2", "--limit", "login_s=3"])
    )
    assert (limits.max_users, limits.lookups, link_limits.login_s) == (10, Rate(5, 2), 3)


SETTINGS = {each.name: "7" for each in fields(Limits) + fields(LinkLimits)} | {
    each.name: "7/8" for each in fields(Limits) if isinstance(getattr(Limits(), each.name), Rate)
} | {"startups": "7:8:9", "outbox_size": "8000000"}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_every_limit_is_set_by_its_name_and_no_other_with_it(name: str) -> None:
    usual, chosen = (
        choose_limits(parse_arguments([])),
        choose_limits(parse_arguments([f"--limit={name}={SETTINGS[name]}"])),
    )
    changed = [
        (each.name, str(getattr(now, each.name)))
        for before, now in zip(usual, chosen, strict=True)
        for each in fields(before)  # type: ignore[arg-type]
        if getattr(before, each.name) != getattr(now, each.name)
    ]
    assert [(key, value.removesuffix(".0")) for key, value in changed] == [(name, SETTINGS[name])]


def test_a_key_pair_is_made_once(tmp_path: Path) -> None:
    key = load_server_key(tmp_path)
    assert load_server_key(tmp_path).private_numbers() == key.private_numbers()
    public = tmp_path / "server_public_key.pem"
    public.unlink()
    load_server_key(tmp_path)  # writes what can be computed
    assert public.exists()


def test_a_public_key_of_another_server_is_not_published(tmp_path: Path) -> None:
    """The seed's failure 32: client and server in one folder are no trouble, two servers are."""
    load_server_key(tmp_path / "one")
    load_server_key(tmp_path / "two")
    public = tmp_path / "two" / "server_public_key.pem"
    public.write_bytes((tmp_path / "one" / "server_public_key.pem").read_bytes())
    with pytest.raises(SetupError, match="does not belong"):
        load_server_key(tmp_path / "two")
    (tmp_path / "two" / "server_private_key.pem").unlink()
    with pytest.raises(SetupError, match="is there without"):
        load_server_key(tmp_path / "two")


def test_codes_that_cannot_be_queued(tmp_path: Path) -> None:
    """A slow command: the queue has an end, and stopping does not wait for all that is in it."""
    begun = tmp_path / "begun"
    script = tmp_path / "slow.sh"
    script.write_text(f"#!/bin/sh\ntouch '{begun}'\nsleep 0.5\n")
    script.chmod(0o755)
    done: list[tuple[str, bool]] = []
    sender = CodeSender(str(script), lambda action, delivered: done.append((action.user_id, delivered)))
    sender.start()
    sender.submit(SendCode("link", "first", "123456"))
    while not begun.exists():
        time.sleep(0.01)
    for number in range(MAX_QUEUED_CODES):
        sender.submit(SendCode("link", f"user{number}", "123456"))
    with pytest.raises(queue.Full):
        sender.submit(SendCode("link", "last", "123456"))
    sender.stop()
    assert done == [("first", True)]


def test_a_code_that_cannot_be_queued_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(_action: SendCode) -> None:
        raise queue.Full

    with running(tmp_path / "server") as (server, address):
        monkeypatch.setattr(server._codes, "submit", submit)
        account = generate("alice", suites=[1], now=wall_time())
        keys = tmp_path / "server" / "keys"
        with pytest.raises(Refused) as refused:
            request_code(locate(address, keys), keys, account)
        assert refused.value.code is Code.CODE_UNDELIVERABLE
