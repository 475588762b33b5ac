"""Key files: whole, and for their owner only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import key_files
from errors import StorageError
from key_files import move_key_file, read_key_file, write_key_file
from tests.trial import Trial


def test_a_private_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "key.pem"
    write_key_file(path, b"secret")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert read_key_file(path, private=True) == b"secret"
    path.chmod(0o640)
    with pytest.raises(StorageError, match="can be read by others"):
        read_key_file(path, private=True)
    assert read_key_file(path, private=False) == b"secret"


def test_a_file_that_cannot_be_written_or_read_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        write_key_file(tmp_path / "file" / "key.pem", b"secret")
    with pytest.raises(StorageError, match="cannot read"):
        read_key_file(tmp_path, private=False)
    with pytest.raises(FileNotFoundError):
        read_key_file(tmp_path / "none", private=False)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key.pem"
    write_key_file(path, b"old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left"):
        write_key_file(path, b"new")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("key.pem", b"old")]


def test_windows_needs_no_folder_sync(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("key_files.os.name", "nt")
    key_files._sync_folder(tmp_path / "none")


REWRITE = """
import sys, pathlib
sys.path.insert(0, sys.argv[2])
from key_files import write_key_file
path, number = pathlib.Path(sys.argv[1]), 0
print("go", flush=True)
while True:
    number += 1
    write_key_file(path, (b"%09d" % number) * 2000)
"""


def test_kill_9_while_writing_leaves_a_whole_file(tmp_path: Path, trial: Trial) -> None:
    """R-25."""
    path, root = tmp_path / "key.pem", Path(__file__).parents[1]
    for _ in range(trial.size(5, 100)):
        with subprocess.Popen(
            [sys.executable, "-c", REWRITE, str(path), str(root)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(trial.random.uniform(0.02, 0.1))
            os.kill(writer.pid, signal.SIGKILL)
        data = path.read_bytes()
        assert len(data) == 18_000
        assert data == data[:9] * 2000


def test_a_file_takes_the_place_of_another_or_stays_where_it_is(tmp_path: Path) -> None:
    source, target = tmp_path / "next", tmp_path / "present"
    source.write_bytes(b"next")
    target.write_bytes(b"present")
    move_key_file(source, target)
    assert (target.read_bytes(), source.exists()) == (b"next", False)
    with pytest.raises(StorageError):
        move_key_file(source, target)
    assert target.read_bytes() == b"next"
