"""Everything that was said, written down: lines for people, or objects for programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from errors import StorageError, UsageError
from messenger.archive import Wanted
from messenger.engine import Messenger
from messenger.ui.json_lines import json_line, said_data
from messenger.ui.text import said_line


def export_lines(messenger: Messenger, wanted: Wanted, *, as_json: bool) -> Iterator[str]:
    """Return a line for each message, in the order of arrival."""
    for said in messenger.archive.each(wanted):
        yield json_line(said_data(said)) if as_json else said_line(messenger.book.named(said), dated=True)


def path_of(text: str) -> Path:
    """Return the path that a person has typed, ~ being a home.

    Raises:
        UsageError: There is none such.
    """
    try:
        if "\0" not in text:
            return Path(text).expanduser()
    except RuntimeError:
        pass
    message = f"{text!r} is no path"
    raise UsageError(message, hint="begin it with / or ~/")


def export_to(path: Path, lines: Iterator[str]) -> int:
    """Write lines into a new file that only its owner can read, all of them or none; return how many.

    Raises:
        UsageError: There is a file.
        StorageError: It cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        message = f"{path} exists already"
        raise UsageError(message, hint="exports are never overwritten: choose another name") from None
    except OSError as error:
        raise _not_written(path, error) from error
    count = 0
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for line in lines:
                file.write(f"{line}\n")
                count += 1
    except BaseException as error:
        with suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise _not_written(path, error) from error
        raise
    return count


def _not_written(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot write {path} ({error.strerror})", hint="choose another place")
