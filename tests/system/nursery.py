"""Starts of the programs at the price of a fork: what is dear in a start is Python's own, and that of the imports.

The nursery is a process that has imported what the programs import. For each start it forks a child, which takes over
the descriptors, the folder, the environment and the arguments, and runs the program's file from its first line until
Python itself has ended. A test has a real child of its own: a process id, signals, a terminal, an exit code. What this
cannot show is a start of Python and the imports; tests/system/test_nursery.py holds it against real starts.

Only Linux has a process adopt the children of its children (prctl(2), PR_SET_CHILD_SUBREAPER): elsewhere, see
`programs.FORKED`, each start is a real one.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import io
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PR_SET_CHILD_SUBREAPER = 36
LARGEST = 200_000  # bytes of a request

# ---------------------------------------------------------------- in the process that starts a program


class Nursery:
    """What forks; it ends with the process that has made it."""

    def __init__(self) -> None:
        if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError("prctl")
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__], cwd=ROOT, stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONWARNINGS": "error::ResourceWarning"},
            )  # fmt: skip

    def start(self, arguments: Sequence[str], descriptors: Sequence[int], environment: Mapping[str, str]) -> int:
        """Start a program, in the project's folder.

        Args:
            arguments: Its file, and the arguments.
            descriptors: Its standard streams, or one: the terminal that it controls.
            environment: All its variables.

        Returns:
            The process id of a child of the caller's.
        """
        request = json.dumps([*arguments, dict(environment)]).encode()
        assert len(request) < LARGEST
        with self._lock:
            socket.send_fds(self._requests, [request], descriptors)
            process_id = int(self._requests.recv(64))
            assert self._requests.recv(64) == b"orphaned"  # so that it is ours by now
        return process_id

    def close(self) -> None:
        self._requests.close()
        self._process.wait()


@functools.cache
def nursery() -> Nursery:
    """Return the one of this process."""
    made = Nursery()
    atexit.register(made.close)
    return made


class Forked(subprocess.Popen[str]):
    """A process from the nursery; its arguments begin with Python, which is passed over."""

    def _execute_child(self, args: list[str], *others: Any) -> None:
        """Do what Popen calls this for: start it, and close its ends of the pipes."""
        environment, ends = others[5], others[9:15]
        streams = [number if end == -1 else end for number, end in enumerate((ends[0], ends[3], ends[5]))]
        try:
            self.pid = nursery().start(args[1:], streams, os.environ if environment is None else environment)
            self._child_created = True
        finally:
            self._close_pipe_fds(*ends)  # type: ignore[attr-defined]


# ---------------------------------------------------------------- in the nursery


def main() -> None:
    """Fork for each request; return in each child, and in the nursery at the end of its input."""
    import client  # noqa: F401, PLC0415 - here and not in those who start programs
    import messenger.ui.line  # noqa: F401, PLC0415
    import server  # noqa: F401, PLC0415

    gc.freeze()
    with socket.socket(fileno=0) as requests:
        while True:
            request, descriptors, _, _ = socket.recv_fds(requests, LARGEST, 3)
            if not request:
                os._exit(0)
            if (first := os.fork()) == 0:
                between = os.getpid()
                if (child := os.fork()) == 0:
                    requests.detach()
                    while os.getppid() == between:  # a program that asks whose child it is finds its own parent
                        time.sleep(0.0001)
                    become(json.loads(request), descriptors)
                    return
                requests.send(str(child).encode())
                os._exit(0)
            os.waitpid(first, 0)
            requests.send(b"orphaned")
            for descriptor in descriptors:
                os.close(descriptor)


def become(request: list[Any], descriptors: list[int]) -> None:
    """Be what Python is when it begins with a file."""
    *sys.argv, environment = request
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    if len(descriptors) == 1:
        os.login_tty(descriptors[0])
    else:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
    sys.stdin = stream(sys.stdin, "rb")
    sys.stdout = stream(sys.stdout, "wb")
    sys.stderr = stream(sys.stderr, "wb")


def stream(before: Any, mode: str) -> io.TextIOWrapper:
    """Return what Python would have made of a descriptor that is another one now (create_stdio in pylifecycle.c)."""
    number, at_once = before.fileno(), bool(os.environ.get("PYTHONUNBUFFERED"))
    below = open(number, mode, 0 if at_once and mode == "wb" else -1, closefd=False)  # noqa: SIM115
    by_line = not at_once and (os.isatty(number) or number == 2)
    return io.TextIOWrapper(below, before.encoding, before.errors, line_buffering=by_line, write_through=at_once)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    main()
    runpy.run_path(sys.argv[0], run_name="__main__")
