"""The lock, between real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from errors import AccountInUseError, ExitCode, StorageError
from process_lock import ProcessLock

ROOT = Path(__file__).resolve().parents[1]
HOLD = "import sys, time, pathlib, process_lock; l = process_lock.ProcessLock(pathlib.Path(sys.argv[1]), 'it'); print('has it', flush=True); time.sleep(60)"  # noqa: E501


def test_it_is_let_go_of_and_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "alice.lock"
    for _ in range(2):
        with ProcessLock(path, "the account alice"):
            assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_names_the_process_that_has_it_and_ends_with_it(tmp_path: Path) -> None:
    """Kill -9 leaves no lock behind: the operating system lets go of it."""
    path = tmp_path / "alice.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"has it\n"
        with pytest.raises(AccountInUseError, match=f"the account alice is in use by pid {holder.pid}") as raised:
            ProcessLock(path, "the account alice")
        assert raised.value.exit_code is ExitCode.IN_USE
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    ProcessLock(path, "the account alice").release()


def test_a_shorter_number_does_not_leave_digits_of_a_longer_one(tmp_path: Path) -> None:
    path = tmp_path / "alice.lock"
    path.write_text("1234567890123\n")
    with ProcessLock(path, "it"):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as raised:
        ProcessLock(tmp_path / "file" / "alice.lock", "it")
    assert "cannot write" in str(raised.value)
    assert raised.value.exit_code is ExitCode.STORAGE
