"""What the server holds about this account: asked for row by row, and removed at the person's wish."""

from __future__ import annotations

from typing import Final

from errors import UsageError
from identity import create_ending
from messenger.account import normalise_user_id
from messenger.events import AccountErased, ServerHolds
from messenger.keyring import Keyring
from messenger.line import Line, Output
from protocol import Erase, Erased, FetchRows, Rows
from records import Erasure

_BEGINNING: Final = (0, 0)


class ServerData:
    """The account's data at the server."""

    def __init__(self, line: Line, keyring: Keyring) -> None:
        """Work for an account."""
        self._line = line
        self._keyring = keyring

    def ask(self, output: Output) -> None:
        """Ask for the first page of rows.

        Raises:
            UsageError: The server cannot be reached.
        """
        self._refuse_offline()
        self._ask(_BEGINNING, output)

    def _ask(self, page: tuple[int, int], output: Output) -> None:
        table, after = self._line.present.rows_page = page
        output.frames.append(FetchRows(after=after, table=table))

    def took(self, frame: Rows, output: Output) -> None:
        """Tell the person of a page of rows, and ask for the next."""
        link = self._line.present
        if link.rows_page is None:
            return
        link.rows_page, last = None, (frame.table, frame.after) == _BEGINNING
        output.events.append(ServerHolds(tuple((row.table, row.columns) for row in frame.rows), last=last))
        if not last:
            self._ask((frame.table, frame.after), output)

    def put_off(self, seconds: int, *, now: int) -> None:
        """Ask for the same page later: the server says that it was asked too often."""
        self._line.present.ask_rows_at = now + max(1, seconds)

    def tick(self, output: Output, *, now: int) -> None:
        """Ask again when it is time to."""
        link = self._line.present
        if link.ask_rows_at is not None and now >= link.ask_rows_at and link.rows_page is not None:
            link.ask_rows_at = None
            self._ask(link.rows_page, output)

    def erase(self, confirmed: str, output: Output, *, now: int) -> None:
        """Have the server remove the account.

        Args:
            confirmed: What the person has typed: their own number, so that nobody does this by accident.
            output: Takes the command.
            now: Seconds since 1970.

        Raises:
            UsageError: It is another, or the server cannot be reached, or keys are being rotated.
        """
        account = self._keyring.account
        confirmed = normalise_user_id(confirmed) if confirmed else ""
        if confirmed != account.user_id:
            message = f"this would remove the account {account.user_id} from the server, for ever"
            if confirmed:
                message = f"your account is {account.user_id}, not {confirmed}; this would remove it, for ever"
            hint = (
                "messages of yours that were not fetched are removed, too, and nobody gets the number again;"
                f" say it with your number to do it: {account.user_id}"
            )
            raise UsageError(message, hint=hint)
        self._refuse_offline()
        self._keyring.refuse_while_rotating()
        erasure = create_ending(Erasure, account.keys, account.record, created=now)
        output.frames.append(Erase(erasure=erasure))

    @staticmethod
    def erased(frame: Erased, output: Output) -> None:
        """Tell the person that it is done."""
        output.events.append(AccountErased(frame.rows))

    def _refuse_offline(self) -> None:
        if not self._line.online:
            message = "the server cannot be reached"
            raise UsageError(message, hint="try again when you are online")
