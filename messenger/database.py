"""The client's one database: everything it remembers, in a SQLCipher file under the account's password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlcipher3 import dbapi2 as sqlcipher

from errors import KeyFileError, StorageError

SCHEMA: Final = Path(__file__).with_name("schema")
BUSY_TIMEOUT_S: Final = 10


class Database:
    """An open database. One thread uses it."""

    def __init__(self, path: Path, password: bytes) -> None:
        """Open the file, or make it.

        Args:
            path: The file; 0600.
            password: From `crypto_utils.normalise_password`. SQLCipher 4 derives the key from it with 256,000
                rounds of PBKDF2-HMAC-SHA512.

        Raises:
            KeyFileError: The password does not open it, or it is damaged: the two look the same.
            StorageError: It cannot be opened or written, or was written by a newer program.
        """
        self._path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600, exist_ok=True)
            self._db = sqlcipher.connect(
                str(path), timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlcipher.Error) as error:
            raise self._failure("open", error) from error
        try:
            quoted = password.decode().replace("'", "''")  # a PRAGMA takes no parameters
            self._db.execute(f"PRAGMA key = '{quoted}'")
            self._prepare()
        except sqlcipher.Error as error:
            self._db.close()
            if "not a database" in str(error):
                message = f"{path} does not open with this password, or is damaged"
                raise KeyFileError(message, hint="put back a copy of it; nothing was changed") from error
            raise self._failure("open", error) from error
        except StorageError:
            self._db.close()
            raise

    def _failure(self, what: str, error: Exception) -> StorageError:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = f"cannot {what} {self._path} ({reason})"
        return StorageError(
            message, hint="check the folder, its permissions and its space, or choose another with --home"
        )

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        steps = sorted(SCHEMA.glob("*.sql"))
        if version > len(steps):
            message = f"{self._path} was written by a newer version of SecureChat"
            raise StorageError(message, hint="update this one")
        for number, step in enumerate(steps[version:], version + 1):
            statements = re.sub(r"--.*", "", step.read_text(encoding="utf-8"))
            self._db.executescript(f"BEGIN IMMEDIATE;{statements};PRAGMA user_version = {number};COMMIT;")

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that happens inside to disk, or nothing of it.

        Raises:
            StorageError: It could not be committed.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlcipher.Error):
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlcipher.Error):
                raise self._failure("write", error) from error
            raise

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a query and return all of its rows."""
        return list(self._db.execute(sql, values))

    def row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        """Run a query and return its first row."""
        found: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
        return found

    def run(self, sql: str, *values: object) -> int:
        """Run a statement and return how many rows it changed."""
        return int(self._db.execute(sql, values).rowcount)
