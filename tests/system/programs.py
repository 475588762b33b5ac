"""The real programs as processes: a server, and clients on pipes.

The demo plays with them, so nothing here needs a package that only the tests have.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Self

from canonical_json import canonical
from crypto_utils import PrivateKeys, encrypt_private_keys, public_key_to_pem
from identity import create_ending, create_record
from key_files import write_key_file
from messenger.account import AccountFiles
from messenger.suites import SPOKEN
from records import Revocation
from tests.system.nursery import Forked
from tests.system.quick_client import QUICK_ITERATIONS

ROOT = Path(__file__).resolve().parents[2]
CLIENT = "tests/system/quick_client.py"
LIFE = "tests/faults/life.py"
FORKED = set[str]()  # the programs that come from the nursery; the demo's do not
PASSWORD = "correct horse battery"
WAIT_S = 20.0


def forget_settings() -> None:
    """Let nothing that the person at this machine has configured reach the programs that are started."""
    for name in [name for name in os.environ if name.startswith("SECURECHAT_")]:
        del os.environ[name]
    os.environ["XDG_CONFIG_HOME"] = os.devnull  # in which there is no file


def begin(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a program; the options are those of subprocess.Popen."""
    kind = Forked if arguments[0] in FORKED else subprocess.Popen
    return kind([sys.executable, *arguments], cwd=ROOT, text=True, encoding="utf-8", **options)


class Program:
    """A process whose output can be waited for, line by line."""

    def __init__(
        self, *arguments: str, stdin: bool | IO[str] = False, environment: dict[str, str] | None = None
    ) -> None:
        """Start it; its standard input is a file, a pipe, or nothing."""
        source = subprocess.PIPE if stdin is True else subprocess.DEVNULL if stdin is False else stdin
        usual = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error::ResourceWarning"}
        self.process = begin(
            *arguments, bufsize=1, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | usual | (environment or {}),
        )  # fmt: skip
        self.lines: list[str] = []  # of both, as they came
        self.out: list[str] = []
        self.err: list[str] = []
        self._arrived = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._arrived:
                lines.append(line.rstrip("\n"))
                self.lines.append(lines[-1])
                self._arrived.notify_all()

    def type(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def expect(self, pattern: str, *, count: int = 1, within_s: float = WAIT_S) -> re.Match[str]:
        """Wait until so many lines have matched, and return the last match."""
        deadline = time.monotonic() + within_s
        with self._arrived:
            while True:
                found = [match for line in self.lines if (match := re.search(pattern, line))]
                if len(found) >= count:
                    return found[count - 1]
                if not self._arrived.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{pattern!r} did not come; came:\n" + "\n".join(self.lines))

    def end(self, number: signal.Signals | None = None, *, within_s: float = WAIT_S) -> int:
        """Send a signal, if any, and return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        elif self.process.stdin is not None:
            self.process.stdin.close()
        code = self.process.wait(within_s)
        for reader in self._readers:
            reader.join(WAIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        assert not any("Traceback" in line for line in self.lines), "\n".join(self.lines)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        if not (self.process.stdout and self.process.stdout.closed):
            self.end()


class Server(Program):
    def __init__(self, home: Path, *options: str, port: int = 0) -> None:
        super().__init__("server.py", "--home", str(home), "--port", str(port), *options)
        self.address = self.expect(r"^securechat://.*")[0]
        self.port = int(self.address.rpartition(":")[2])

    def code_for(self, user_id: str, *, count: int = 1) -> str:
        return self.expect(rf"^Verification code for {user_id}: ([0-9]{{6}})$", count=count)[1]


class Person:
    """Somebody with a home of their own."""

    client = CLIENT

    def __init__(self, home: Path, user_id: str, server: Server) -> None:
        self.home = home
        self.user_id = user_id
        self.server = server
        home.mkdir(parents=True, exist_ok=True)
        self.password_file = home / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)

    @property
    def options(self) -> list[str]:
        return [
            "--home", str(self.home), "--user", self.user_id, "--password-file", str(self.password_file),
            "--server", f"localhost:{self.server.port}",
        ]  # fmt: skip

    def register(self) -> None:
        """Register through pipes, as a script would."""
        options = ["--home", str(self.home), "--server", self.server.address, "--plain", "register"]
        with Program(self.client, *options, stdin=True) as client:
            client.expect("Enter your phone number")
            client.type(self.user_id)
            client.expect("Enter the verification code")
            client.type(self.server.code_for(self.user_id), PASSWORD, PASSWORD)
            client.expect("registered as")
            assert client.end() == 0

    def enroll(self) -> None:
        """Register with keys that are there already, under few rounds: starts are quicker."""
        keys, files = PrivateKeys.generate(), AccountFiles(self.home / "keys", self.user_id)
        record = create_record(keys, self.user_id, created=int(time.time()), suites=list(SPOKEN))
        write_key_file(files.identity, canonical(record), mode=0o644)
        write_key_file(files.revocation, canonical(create_ending(Revocation, keys, record, created=record.created)))
        write_key_file(files.public_key, public_key_to_pem(keys.public.rsa), mode=0o644)
        write_key_file(files.private_key, encrypt_private_keys(keys, PASSWORD.encode(), iterations=QUICK_ITERATIONS))
        options = [*self.options, "--server", self.server.address, "--plain", "register"]
        with Program(CLIENT, *options, stdin=True) as client:
            client.expect("Enter the verification code")
            client.type(self.server.code_for(self.user_id))
            client.expect("registered as")
            assert client.end() == 0

    def run(self, *action: str) -> tuple[int, list[str], list[str]]:
        """Do one thing and return the exit code, the lines of standard output and those of standard error."""
        with Program(self.client, *self.options, *action) as client:
            code = client.end(within_s=60)
        return code, client.out, client.err

    def converse(self) -> Program:
        """Open a plain conversation on pipes."""
        return Program(self.client, *self.options, "--plain", stdin=True)
