"""A real conversation, played and printed: a server, two people, and a message to somebody who is offline.

Run by `make demo`; README.md shows what it prints.
"""

from __future__ import annotations

import re
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.system.programs import Person, Program, Server, forget_settings


def say(line: str) -> None:
    """Print a line of the transcript at once."""
    print(line, flush=True)


class Visitor(Person):
    """Somebody who has the program as it is."""

    client = "client.py"


class Transcript:
    """Prints what a client shows as it comes, each line under its person's name, without clock times."""

    def __init__(self, person: Person, client: Program) -> None:
        self._name = f"{person.user_id:>6} | "
        self._client = client

    def expect(self, pattern: str, *, count: int = 1) -> None:
        say(self._name + re.sub(r"^\[[^]]*\] ", "", self._client.expect(pattern, count=count).string))

    def type(self, *lines: str) -> None:
        self._client.type(*lines)


def main() -> None:
    """Play it."""
    forget_settings()
    with tempfile.TemporaryDirectory(prefix="securechat-demo-") as folder:
        with Server(Path(folder) / "server") as server:
            say("server | Server listening on localhost, TLS 1.3")
            alice, bob = (Visitor(Path(folder) / name, name, server) for name in ("alice", "bob"))
            for person in (alice, bob):
                person.register()
                say(f"{person.user_id:>6} | * registered with the code that the server showed")
            play(alice, bob)
            if server.end(signal.SIGTERM):
                sys.exit("the server did not end well")
        stored = b"".join(path.read_bytes() for path in (Path(folder) / "server").rglob("*") if path.is_file())
        if b"only you can read" in stored or b"when you are back" in stored:
            sys.exit("the server's files hold what was said")
        say("server | stopped; nothing that was said is in its files")


def play(alice: Person, bob: Person) -> None:
    """Talk."""
    with alice.converse() as alices:
        a = Transcript(alice, alices)
        with bob.converse() as bobs:
            b = Transcript(bob, bobs)
            for client in (alices, bobs):
                client.expect(r"\* online")
            a.type("bob", "Hello Bob, only you can read this.")
            a.expect("you to bob: Hello")
            b.expect("alice: Hello")
            b.type("alice", "And only you can read my answer.")
            b.expect("you to alice: And")
            a.expect(r"\* read: bob")
            a.expect("bob: And")
            b.expect(r"\* read: alice")
            bobs.type("quit")
            bobs.end()
        say("   bob | (goes offline)")
        a.type("Read this when you are back.")
        a.expect("you to bob: Read")
        a.expect(r"\* accepted: bob", count=2)
        with bob.converse() as bobs:
            say("   bob | (comes back)")
            b = Transcript(bob, bobs)
            b.expect("alice: Read")
            a.expect(r"\* read: bob", count=2)
            bobs.type("quit")
            bobs.end()
        alices.type("quit")
        alices.end()


if __name__ == "__main__":
    main()
