"""A start from the nursery is what a real start is, as far as a program can see."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from errors import ExitCode
from tests.system import terminal
from tests.system.nursery import Forked
from tests.system.programs import CLIENT, ROOT, WAIT_S, Program
from tests.system.terminal import Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="each start is a real one")

PROBE = """
import json, os, random, resource, secrets, signal, sys, threading
print(json.dumps({
    "argv": sys.argv, "path": sys.path[0], "name": __name__, "file": __file__, "folder": os.getcwd(),
    "environment": dict(os.environ), "parent": os.getppid(), "group": os.getpgrp(), "session": os.getsid(0),
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd"))), "threads": threading.active_count(),
    "streams": [[stream.encoding, stream.errors, stream.line_buffering, stream.write_through, stream.isatty(),
                 type(stream.buffer).__name__, stream.fileno()] for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "signals": {name: str(signal.getsignal(name)) for name in signal.valid_signals()},
    "limits": resource.getrlimit(resource.RLIMIT_NOFILE), "mask": os.umask(0o22),
    "said": sys.stdin.read(),
}))
print(random.getrandbits(64), secrets.randbits(64), file=sys.stderr)
"""
Real = subprocess.Popen[str]
ENDS = {
    "falls off": "print('last', end='')",
    "exits": "sys.exit(7)",
    "exits with a text": "sys.exit('no')",
    "raises": "raise ValueError('here')",
    "is interrupted": "os.kill(os.getpid(), signal.SIGINT); time.sleep(9)",
    "is killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "has a handler": "atexit.register(print, 'over')",
    "has a thread": "threading.Thread(target=lambda: (time.sleep(0.1), print('done'))).start()",
    "leaves a file open": "open(__file__)",
    "cannot write": "os.dup2(os.open('/dev/full', os.O_WRONLY), 1); print('lost')",
    "wrote to the wrong end": "sys.stdin.close(); input()",
}


def started(
    kind: type[subprocess.Popen[str]], script: Path, *words: str, buffered: bool = False
) -> tuple[int, str, str]:
    variables = {"PYTHONWARNINGS": "error::ResourceWarning", "PYTHONUNBUFFERED": "" if buffered else "1"}
    with kind(
        [sys.executable, str(script), *words], cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | variables,
    ) as process:  # fmt: skip
        out, err = process.communicate("some\nlines", timeout=WAIT_S)
    return process.returncode, out, err


@pytest.mark.parametrize("buffered", [False, True])
def test_a_program_finds_itself_in_the_same_place(tmp_path: Path, buffered: bool) -> None:
    script = tmp_path / "probe.py"
    script.write_text(PROBE)
    runs = [started(kind, script, "one", "", "\u00e4 ", buffered=buffered) for kind in (Forked, Forked, Real)]
    found = [json.loads(out) for _, out, _ in runs]
    assert found[0] == found[1] == found[2]
    assert found[0]["parent"] == os.getpid()
    assert len({word for _, _, err in runs for word in err.split()}) == 6  # no chance is shared


@pytest.mark.parametrize("end", ENDS)
def test_a_program_ends_in_the_same_way(tmp_path: Path, end: str) -> None:
    script = tmp_path / "probe.py"
    script.write_text(f"import atexit, os, signal, sys, threading, time\n{ENDS[end]}\n")
    (code, out, err), real = started(Forked, script), started(Real, script)
    assert (code, out, err.splitlines()[-1:]) == (*real[:2], real[2].splitlines()[-1:])


def test_a_client_on_a_terminal_leads_its_session_and_is_in_the_foreground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> tuple[object, ...]:
        client = Terminal("--home", str(tmp_path), "--server", f"securechat://{'0' * 64}@localhost:1")
        client.expect("Enter your phone number")
        process = Path(f"/proc/{client.child.pid}")
        fields = process.joinpath("stat").read_text().rpartition(")")[2].split()
        leads = [int(field) == client.child.pid for field in (fields[2], fields[3], fields[5])]
        streams = [process.joinpath("fd", str(number)).readlink().parent for number in range(3)]
        size = client.child.getwinsize()
        client.type("\x03", enter=False)
        return leads, streams, size, client.end()

    forked = found()
    monkeypatch.setattr(terminal, "FORKED", set())
    assert found() == forked == ([True] * 3, [Path("/dev/pts")] * 3, (24, 160), ExitCode.INTERRUPTED)


def test_signals_reach_it_and_it_is_waited_for() -> None:
    with Program(CLIENT, "--plain", "--home", os.devnull, "--user", "nobody", stdin=True) as client:
        assert client.process.wait(WAIT_S) > 0
        assert not Path(f"/proc/{client.process.pid}").exists()
        client.process.send_signal(signal.SIGTERM)  # to nobody any more
