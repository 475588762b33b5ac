"""R-40: secrets that are searched for wherever they must not be."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from errors import ExitCode
from tests.system.programs import CLIENT, PASSWORD, Person, Program, Server

TEXTS = ["the-canary-sings-at-dawn", "the-canary-answers-at-noon", "the-canary-waits-at-dusk"]


class QuietServer(Server):
    """A server that says all it ever says, and has its codes brought by a command."""

    def __init__(self, folder: Path) -> None:
        self.codes = folder / "codes"
        script = folder / "send.sh"
        script.write_text(f'#!/bin/sh\necho "$1 $(cat)" >> "{self.codes}"\n')
        script.chmod(0o755)
        super().__init__(folder / "server", "-v", "--send-code", str(script))

    def code_for(self, user_id: str, *, count: int = 1) -> str:
        codes: list[str] = re.findall(rf"^{user_id} ([0-9]{{6}})$", self.codes.read_text(), re.MULTILINE)
        return codes[count - 1]


def contents(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "password")


def test_no_secret_is_anywhere_it_should_not_be(tmp_path: Path) -> None:
    """A talk in which much goes wrong: wrong codes, wrong passwords, unknown people, a server killed in the middle."""
    outputs: list[str] = []
    with QuietServer(tmp_path) as server:
        alice, bob = (Person(tmp_path / name, name, server) for name in ("canary-alice", "canary-bob"))
        alice.register()
        options = ["--home", str(bob.home), "--server", server.address, "--plain", "register"]
        with Program(CLIENT, *options, stdin=True) as client:
            client.type(bob.user_id)
            client.expect("Enter the verification code")
            code = server.code_for(bob.user_id)
            client.type(
                f"{(int(code) + 1) % 10**6:06}", "short", PASSWORD, "different-canary", PASSWORD, PASSWORD, code
            )
            client.expect("registered as")
            assert client.end() == ExitCode.OK
            outputs += client.lines
        for action in (("send", "canary-bob", TEXTS[0]), ("send", "canary-nobody", TEXTS[1]), ("send", "..", TEXTS[2])):
            _, out, errors = alice.run(*action)
            outputs += out + errors
        assert bob.run("recv")[1][0].endswith(TEXTS[0])
        alice.password_file.write_text("wrong-canary-password\n")
        outputs += alice.run("recv")[2]
        alice.password_file.write_text(PASSWORD + "\n")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        code_, out, errors = alice.run("send", "canary-bob", TEXTS[2])
        assert code_ == ExitCode.NETWORK
        outputs += out + errors
        said = "\n".join(server.lines)
    assert "refused FetchIdentity" in said  # it did say more
    on_disk = contents(tmp_path / "server") + contents(alice.home) + contents(bob.home)
    for secret in (PASSWORD, "different-canary", "wrong-canary", *TEXTS):
        assert secret not in said
        assert secret not in "\n".join(outputs)
        assert secret.encode() not in on_disk
    for private in ("canary-alice", "canary-bob", "canary-nobody", server.code_for("canary-alice"), code):
        assert private not in said  # neither who talks to whom
    key = (tmp_path / "server" / "keys" / "server_private_key.pem").read_text().splitlines()[5]
    assert key not in said + "\n".join(outputs)


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log").write_text(TEXTS[0])
    assert TEXTS[0].encode() in contents(tmp_path)
