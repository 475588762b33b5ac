"""One process at a time for a set of files, and the number of the one that has them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, Self

from errors import AccountInUseError, StorageError

_LOCK_AT: Final = 1 << 30  # the byte that Windows locks: far behind the text, which others must be able to read


class ProcessLock:
    """A lock that the operating system lets go of when the process ends, however it ends."""

    def __init__(self, path: Path, what: str) -> None:
        """Take the lock.

        Args:
            path: A file beside those that are to be protected; it stays, empty of meaning, after the process.
            what: What is in use, for the error.

        Raises:
            AccountInUseError: Another process has it.
            StorageError: The file cannot be made.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            message = f"cannot write {path} ({error.strerror})"
            raise StorageError(message, hint="check the folder, or choose another with --home") from error
        try:
            _lock(self._descriptor)
        except OSError as error:
            holder = os.read(self._descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            message = f"{what} is in use by pid {holder}"
            raise AccountInUseError(message, hint="end that program first, or use another --home") from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        """Hold it for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go at its end."""
        self.release()


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCK_AT, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
