"""The server's own parts, in this process and on a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

from errors import ExitCode, UsageError
from link import LinkLimits
from relay.limits import Limits, Rate
from server import (
    Server,
    accept_connections,
    choose_limits,
    listen,
    parse_arguments,
)


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
