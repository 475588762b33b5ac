"""Files in `keys/`: replaced whole or not at all, and the private ones for their owner only.

What must never be here is what stands in them: that is crypto_utils.py and identity.py.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from errors import StorageError

MAX_SIZE: Final = 64 * 1024  # bytes that are read of a file: more is none of ours


def write_key_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file so that after a crash the old one or the new one is there, whole.

    Raises:
        StorageError: The folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        message = f"cannot write {path} ({error.strerror})"
        raise StorageError(
            message, hint="check the folder and its permissions, or choose another with --home"
        ) from error


def move_key_file(source: Path, target: Path) -> None:
    """Put one file in the place of another, so that after a crash one of the two is there, whole.

    Raises:
        StorageError: The folder cannot be written, or there is no such file.
    """
    try:
        source.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        message = f"cannot replace {target} ({error.strerror})"
        raise StorageError(message, hint="check the folder and its permissions") from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; Windows has no such call and does not need it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_key_file(path: Path, *, private: bool) -> bytes:
    """Read a key file; a private one is refused where others could read it, as OpenSSH does.

    Raises:
        FileNotFoundError: There is none.
        StorageError: It cannot be read, or others can read it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        message = f"cannot read {path} ({error.strerror})"
        raise StorageError(message, hint="check its permissions") from error
    if private and os.name != "nt" and stat.S_IMODE(mode) & 0o077:
        message = f"{path} can be read by others"
        raise StorageError(message, hint=f"chmod 600 {path}")
    return data
