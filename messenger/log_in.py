"""Getting in: the answer to the relay's challenge, under the identity by which it knows us (docs/PROTOCOL.md 5.2)."""

from __future__ import annotations

from crypto_utils import Label, sign
from errors import Code
from identity import login_statement
from messenger.account import Account
from messenger.events import LoginRefused
from messenger.keyring import Keyring
from messenger.line import Line, Output
from protocol import Login, Refusal, Welcome


class LogIn:
    """Logs an account in."""

    def __init__(self, line: Line, keyring: Keyring) -> None:
        """Work for an account."""
        self._line = line
        self._keyring = keyring

    def welcome(self, frame: Welcome, output: Output) -> None:
        """Answer the challenge with the present identity."""
        self._line.present.welcome = frame
        self._log_in_as(self._keyring.account, output)

    def _log_in_as(self, account: Account, output: Output) -> None:
        link = self._line.present
        welcome = link.welcome
        assert welcome is not None  # noqa: S101 - the protocol's states let nobody log in before
        link.identity_hash, link.logins = account.identity_hash, link.logins + 1
        statement = login_statement(
            server_key_hash=link.server_key_hash,
            client_nonce=link.nonce,
            server_nonce=welcome.nonce,
            user_id=account.user_id,
            device_id=account.device_id,
            identity=account.identity_hash,
            version=welcome.version,
        )
        proof = sign(account.keys.ed25519, Label.LOGIN, statement)
        output.frames.append(
            Login(
                device_id=account.device_id,
                identity_hash=account.identity_hash,
                proof=proof,
                user_id=account.user_id,
            )
        )

    def refused(self, frame: Refusal, output: Output) -> None:
        """Try another identity: the server may have the next, and its reply was lost, or have gone back to a former."""
        link, accounts = self._line.present, self._keyring.in_order()
        if link.online:  # no answer to a login, whatever it is
            return
        if frame.code is Code.AUTHENTICATION_FAILED and link.logins < len(accounts):
            self._log_in_as(accounts[link.logins], output)
        elif frame.code is Code.RATE_LIMITED and link.logins > 1:  # because of the tries before, which say more
            output.events.append(LoginRefused(Code.AUTHENTICATION_FAILED, 0))
        else:
            output.events.append(LoginRefused(frame.code, frame.retry_after_s))
