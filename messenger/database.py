"""The client's one database: everything it remembers, in a SQLCipher file under the account's password."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from sqlcipher3 import dbapi2 as sqlcipher

from errors import KeyFileError, StorageError
from sql_file import SqlFile

SCHEMA: Final = Path(__file__).with_name("schema")
_ERASE: Final = "PRAGMA secure_delete = ON"  # what was removed is overwritten in the file
_QUIET: Final = "PRAGMA cipher_log_level = NONE"  # or SQLCipher writes to the terminal whatever fails, beside our error


class Database(SqlFile):
    """An open database. One thread uses it."""

    def __init__(self, path: Path, password: bytes) -> None:
        """Open the file, or make it.

        Args:
            path: The file.
            password: From `crypto_utils.normalise_password`. SQLCipher 4 derives the key from it with 256,000
                rounds of PBKDF2-HMAC-SHA512.

        Raises:
            KeyFileError: The password does not open it, or it is damaged: the two look the same.
            StorageError: It cannot be opened or written, or was written by a newer program.
        """
        self._password = password
        try:
            super().__init__(path, SCHEMA, sqlcipher, first=[_QUIET, f"PRAGMA key = {_quoted(password)}", _ERASE])
        except StorageError as error:
            if "not a database" not in str(error):
                raise
            message = f"{path} does not open with this password, or is damaged"
            raise KeyFileError(message, hint="put back a copy of it; nothing was changed") from error

    def copy_to(self, path: Path, files: dict[str, bytes], *, leave_out: Sequence[str] = ()) -> None:
        """Write all of it but the rows of some tables into another file, under the same password, with some files.

        The files are in a table `backup`.

        Raises:
            StorageError: It could not be written.
        """
        try:
            path.touch(mode=0o600)
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            self._db.execute(f"ATTACH DATABASE ? AS copy KEY {_quoted(self._password)}", (str(path),))
            try:
                self._db.execute("SELECT sqlcipher_export('copy')").fetchone()
                for table in leave_out:
                    self._db.execute(f"DELETE FROM copy.{table}")  # noqa: S608 - constants
                self._db.execute("CREATE TABLE copy.backup (name TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT")
                for item in files.items():
                    self._db.execute("INSERT INTO copy.backup VALUES (?, ?)", item)
                self._db.execute(f"PRAGMA copy.user_version = {version}")
            finally:
                self._db.execute("DETACH DATABASE copy")
        except (sqlcipher.Error, OSError) as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            reason = error.strerror if isinstance(error, OSError) else error
            message = f"cannot write {path.parent} ({reason})"
            raise StorageError(message, hint="check that folder, its permissions and its space") from error

    @staticmethod
    def read_copy(path: Path, password: bytes) -> dict[str, bytes]:
        """Return the files in a copy, which is not changed.

        Raises:
            StorageError: The password does not open it, it is damaged, or it is none.
        """
        try:
            with closing(sqlcipher.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
                connection.execute(_QUIET)
                connection.execute(f"PRAGMA key = {_quoted(password)}")
                files = dict(connection.execute("SELECT name, data FROM backup").fetchall())
                damage = connection.execute("PRAGMA cipher_integrity_check").fetchone()  # the HMAC of every page
        except sqlcipher.Error as error:
            message = f"cannot read {path} ({error})"
            raise StorageError(message) from error
        if damage is not None:
            message = f"{path} is damaged ({damage[0]})"
            raise StorageError(message)
        return files

    def sweep(self) -> None:
        """Copy the log into the file and empty it: it holds pages as they were, with keys that are forgotten since."""
        with suppress(sqlcipher.Error):  # the disk is full, say: all is kept in the log, until it can be done
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def change_password(self, password: bytes) -> None:
        """Encrypt all of it anew, under another password.

        Raises:
            StorageError: It could not be written; then the old one holds.
        """
        try:
            self._db.execute("PRAGMA journal_mode = DELETE")  # what is in the log would stay under the old key
            self._db.execute(f"PRAGMA rekey = {_quoted(password)}")
            self._db.execute("PRAGMA journal_mode = WAL")
        except sqlcipher.Error as error:
            raise self._failure("write", error) from error
        self._password = password

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a query and return all of its rows.

        Raises:
            StorageError: They cannot be read.
        """
        with self.reading():
            return list(self._db.execute(sql, values))

    def row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        """Run a query and return its first row.

        Raises:
            StorageError: It cannot be read.
        """
        with self.reading():
            found: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
        return found

    def run(self, sql: str, *values: object) -> int:
        """Run a statement, in a transaction, and return how many rows it changed."""
        return int(self._db.execute(sql, values).rowcount)


def _quoted(password: bytes) -> str:
    """Return a password as SQL: a PRAGMA takes no parameters."""
    return "'" + password.decode().replace("'", "''") + "'"
