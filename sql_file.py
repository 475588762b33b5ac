"""A database in one file: opened, brought to the newest schema, and written in transactions that are on disk.

The same for SQLite and SQLCipher; which of them is a driver that the caller brings. What is in the tables is the
caller's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

from errors import StorageError

BUSY_TIMEOUT_S: Final = 10  # a backup or a shell may hold the file for a moment
_HINT: Final = "check the folder, its permissions and its space, or choose another with --home"
_DAMAGED: Final = "it is damaged: put back a copy of it"


class Driver(Protocol):
    """A module with Python's database interface (PEP 249)."""

    Error: type[Exception]

    def connect(self, database: str, /, **options: Any) -> Any:
        """Open a file."""

    def register_adapter(self, type_: type[Any], adapter: Callable[[Any], Any], /) -> None:
        """Say what a value becomes before it is bound."""


class SqlFile:
    """An open database. One thread uses it."""

    def __init__(self, path: Path, schema: Path, driver: Any, *, first: Sequence[str] = ()) -> None:
        """Open the file, or make it, 0600.

        Args:
            path: The file.
            schema: A folder of `NNNN_*.sql`, of which each is one step; released ones never change.
            driver: A `Driver`.
            first: Statements that come before all others.

        Raises:
            StorageError: It cannot be opened or written, is damaged, or was written by a newer program.
        """
        self._path = path
        self._driver: Driver = driver
        driver.register_adapter(bytes, bytes)  # themselves: with none it looks for one anew each time, which is dear
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=True)
            self._db = driver.connect(
                str(path), timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
            )
        except (OSError, driver.Error) as error:
            raise self._failure("open", error) from error
        try:
            for statement in (*first, "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"):
                self._db.execute(statement)
            self._db.execute("PRAGMA foreign_keys = ON")
            self._migrate(schema)
        except driver.Error as error:
            self._db.close()
            raise self._failure("open", error) from error
        except StorageError:
            self._db.close()
            raise

    def _failure(self, what: str, error: Exception) -> StorageError:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        if "malformed" in reason:  # whatever was attempted, it failed at reading
            return StorageError(f"cannot read {self._path} ({reason})", hint=_DAMAGED)
        return StorageError(f"cannot {what} {self._path} ({reason})", hint=_HINT)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let something be read, outside a transaction or in one.

        Raises:
            StorageError: It cannot be: a page that was not looked at before is damaged, say.
        """
        try:
            yield
        except self._driver.Error as error:
            raise self._failure("read", error) from error

    def _migrate(self, schema: Path) -> None:
        """Bring the file to the newest schema, by all steps that it lacks or none of them.

        It is written even if it lacks none: one that cannot be is an error now, and not with the first message.
        """
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        steps = sorted(schema.glob("*.sql"))
        if version > len(steps):
            message = f"{self._path} was written by a newer version of SecureChat"
            raise StorageError(message, hint="update this one")
        lacking = [re.sub(r"--.*", "", step.read_text(encoding="utf-8")) for step in steps[version:]]
        statements = ["BEGIN IMMEDIATE", *lacking, f"PRAGMA user_version = {len(steps)}", "COMMIT"]
        self._db.executescript(";".join(statements))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that happens inside to disk, or nothing of it (delivery contract G1).

        Raises:
            StorageError: It could not be committed.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")  # not plain BEGIN: that fails at once when it turns to writing
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            with suppress(self._driver.Error):
                self._db.execute("ROLLBACK")
            if isinstance(error, self._driver.Error):
                raise self._failure("write", error) from error
            raise
