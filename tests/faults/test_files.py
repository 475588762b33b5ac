"""Files that are damaged, and folders that may not be written, as the two programs meet them (R-08, R-21)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from errors import ExitCode
from relay.storage.sqlite import PAGE_SIZE
from tests.system.programs import CLIENT, ROOT, Person, Server, begin
from tests.trial import Trial

NOBODY = 65534
NOWHERE = f"securechat://{'0' * 64}@localhost:1"

# Everything is imported while we may still read it: the checkout may be for its owner only.
AS_NOBODY = """
import encodings.idna, os, sys
sys.path.insert(0, sys.argv.pop(1))
import client, server
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
sys.exit({"client.py": client, "server.py": server}[sys.argv[1]].main(sys.argv[2:]))
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files, whoever they belong to."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def forbid_writing(folder: Path) -> None:
    """Give a folder to nobody, and even them only to read."""
    for path in [folder, *folder.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(0o500 if path.is_dir() else 0o400)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the homes of a server that has run, and of somebody who has written and received."""
    folder = tmp_path_factory.mktemp("homes")
    with Server(folder / "server") as server:
        alice, bob = Person(folder / "alice", "alice", server), Person(folder / "bob", "bob", server)
        for person in (alice, bob):
            person.enroll()
        assert alice.run("send", "bob", "hello")[0] == 0
        assert bob.run("send", "alice", "hello")[0] == 0
        assert alice.run("recv")[0] == 0
        assert server.end(signal.SIGTERM) == 0  # so that nothing is in a log beside the database
    return folder


@pytest.mark.parametrize("program", ["server.py", "client.py"])
@pytest.mark.parametrize("used", [False, True], ids=["a new home", "a home with files"])
def test_a_home_that_may_only_be_read_is_one_error_and_stays_as_it_is(homes: Path, program: str, used: bool) -> None:
    """R-08."""
    folder = Path("/tmp") / f"read-only-{os.getpid()}"  # pytest's own folders are closed to others
    home = folder / "home"
    if used:
        shutil.copytree(homes / ("server" if program == "server.py" else "alice"), home)
    else:
        home.mkdir(parents=True)
    server = "localhost:1" if used else NOWHERE
    options = (
        ["--port", "0"]
        if program == "server.py"
        else ["--user", "alice", "--server", server, "recv" if used else "register"]
    )
    folder.chmod(0o755)
    forbid_writing(home)
    before = contents(home)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(ROOT), program, "--home", str(home), *options],
            cwd="/", capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=30,
        )  # fmt: skip
        assert contents(home) == before
    finally:
        for path in (home, *home.rglob("*")):
            path.chmod(0o700)
        shutil.rmtree(folder)
    assert ran.returncode == ExitCode.STORAGE, ran.stderr
    message, hint = ran.stderr.splitlines()
    assert message.startswith("cannot write ")
    assert "--home" in hint


# ---------------------------------------------------------------- damage

FILES = [
    "server/keys/server_private_key.pem",
    "server/keys/log_private_key.pem", "server/keys/server_public_key.pem", "server/data/relay.db",
    "alice/keys/alice_private_key.pem", "alice/keys/alice_identity.json", "alice/keys/server_public_key.pem",
    "alice/data/alice.db",
]  # fmt: skip


def damaged(data: bytes, chance: Random) -> bytes:
    """Cut a file, spoil some of it, or put something else in its place."""
    at, size = chance.randrange(len(data)), chance.randrange(1, 400)
    return chance.choice([data[: at // 2 + 1], data[:at] + chance.randbytes(size) + data[at + size :], b"junk\n" * 99])


def start(home: Path, program: str, address: str) -> subprocess.CompletedProcess[str]:
    """Start a program as it is started every day; a server that does start is ended."""
    action = ["--port", "0"] if program == "server.py" else [
        "--user", "alice", "--password-file", str(home / "password"), "--server", address, "recv",
    ]  # fmt: skip
    command = [program, "--home", str(home), *action]
    with begin(*command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        if process.stdout.readline().startswith("Server listening"):
            process.terminate()
        out, err = process.communicate(timeout=30)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def test_a_damaged_file_is_an_error_and_is_left_alone(homes: Path, tmp_path: Path, trial: Trial) -> None:
    """R-21: each file that a program reads at its start; damage within a database shows when that place is read."""
    with Server(tmp_path / "elsewhere") as other:  # who gets as far as to call it meets another key than remembered
        refused = 0
        for number in range(trial.size(1, 10) * len(FILES)):
            file = FILES[number % len(FILES)]
            owner = file.partition("/")[0]
            home = shutil.copytree(homes / owner, tmp_path / "homes" / owner)
            path = home.parent / file
            path.write_bytes(damaged(path.read_bytes(), trial.random))
            before = path.read_bytes()
            ran = start(home, "server.py" if owner == "server" else CLIENT, f"localhost:{other.port}")
            seen = f"--seed {trial.seed}: {file}, {len(before)} bytes: {ran.returncode}\n{ran.stderr}"
            assert "Traceback" not in ran.stderr, seen
            went_on = ran.returncode == (ExitCode.OK if owner == "server" else ExitCode.UNTRUSTED)
            if went_on:
                assert path.suffix == ".db" or path.name == "server_public_key.pem", seen  # another key is a key, too
            else:
                refused += 1
                assert ran.returncode in {ExitCode.SETUP, ExitCode.STORAGE, ExitCode.PASSWORD}, seen
                assert path.read_bytes() == before, seen
                assert len(ran.stderr.splitlines()) <= 3, seen
            shutil.rmtree(home)
    trial.note(refused=refused)


PAGES = {"server/data/relay.db": PAGE_SIZE, "alice/data/alice.db": 4096}  # bytes of each, as SQLCipher has it


@pytest.mark.parametrize("file", PAGES)
def test_a_damaged_page_of_a_database_is_an_error_or_was_not_needed(
    homes: Path, tmp_path: Path, trial: Trial, file: str
) -> None:
    """R-21: whichever page it is but the first, with which no file opens, and whoever reads it first."""
    owner, page_size, refused = file.partition("/")[0], PAGES[file], 0
    pages = range(1, (homes / file).stat().st_size // page_size)
    with Server(tmp_path / "elsewhere") as other:
        for page in trial.random.sample(pages, trial.size(3, len(pages))):
            home = shutil.copytree(homes / owner, tmp_path / "homes" / owner)
            with (home.parent / file).open("r+b") as database:
                database.seek(page * page_size)
                database.write(trial.random.randbytes(page_size))
            ran = start(home, "server.py" if owner == "server" else CLIENT, f"localhost:{other.port}")
            seen = f"--seed {trial.seed}: page {page}: {ran.returncode}\n{ran.stderr}"
            assert "Traceback" not in ran.stderr, seen
            if ran.returncode != (ExitCode.OK if owner == "server" else ExitCode.UNTRUSTED):
                assert ran.returncode == ExitCode.STORAGE, seen
                assert "it is damaged: put back a copy of it" in ran.stderr, seen
                refused += 1
            shutil.rmtree(home)
    trial.note(refused=refused)
    assert refused or not trial.soak  # of all pages, some are needed
