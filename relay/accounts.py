"""Verification codes, registration, challenge and proof (docs/PROTOCOL.md section 5)."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from canonical_json import decode
from crypto_utils import Label, RSAPrivateKey, sha256, spki, verify
from errors import Code, CryptoError, Refused
from identity import CODE_DIGITS, identity_hash, login_statement, open_code, signing_key
from protocol import Login, Register, RequestCode
from records import IdentityRecord, Revocation
from relay.directory import Directory
from relay.limits import Limits, Now, RateLimiter
from relay.storage import Store


@dataclass(slots=True)
class PendingCode:
    """A verification code that was issued, for one number and one identity."""

    digest: bytes  # HMAC of the code: a look into memory or a dump does not show it
    expires_steady_s: float
    guesses: int = 0


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a login proof must answer: the greeting of its link."""

    client_nonce: bytes
    server_nonce: bytes
    version: int


_CodeKey = tuple[str, bytes]  # user id, identity hash: asking for another identity does not disturb this one's code


class Accounts:
    """Who may have an account, and who may come in."""

    def __init__(self, store: Store, directory: Directory, limits: Limits, server_key: RSAPrivateKey) -> None:
        """Work on a store, for a server's key."""
        self._store = store
        self._directory = directory
        self._limits = limits
        self._server_key = server_key
        self._server_key_hash: Final = sha256(spki(server_key.public_key()))
        self._code_secret: Final = secrets.token_bytes(32)
        self._codes: dict[_CodeKey, PendingCode] = {}
        self._codes_per_number = RateLimiter(limits.codes_per_number)
        self._codes_per_address = RateLimiter(limits.codes_per_address)
        self._login_failures = RateLimiter(limits.login_failures)
        self._login_failures_per_address = RateLimiter(limits.login_failures_per_address)

    # ------------------------------------------------------------ verification codes

    def issue_code(self, command: RequestCode, *, address: str, now: Now) -> str:
        """Make a verification code for one identity.

        Returns:
            Six digits, for the person and for nobody else.

        Raises:
            Refused: The number is taken, there is no room, or too many codes were asked for.
        """
        user_id = command.user_id
        for limiter, key in ((self._codes_per_address, address), (self._codes_per_number, user_id)):
            limiter.charge(key, now.steady_s)
        self._check_room(user_id)
        self._check_failures(user_id)
        self._forget_expired(now)
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        expires = now.steady_s + self._limits.code_lifetime_s
        self._codes[user_id, command.identity_hash] = PendingCode(self._digest(code), expires)
        return code

    def _check_room(self, user_id: str) -> None:
        if self._store.account(user_id) is not None:
            raise Refused(Code.ALREADY_REGISTERED)
        if self._directory.is_retired(user_id):
            raise Refused(Code.ACCOUNT_ERASED)
        if self._limits.max_users is not None and self._store.count_accounts() >= self._limits.max_users:
            raise Refused(Code.SERVER_FULL)

    def _check_failures(self, user_id: str) -> None:
        if self._store.code_failures(user_id) >= self._limits.code_failures:
            raise Refused(Code.RATE_LIMITED)

    def _digest(self, code: str) -> bytes:
        return hmac.digest(self._code_secret, code.encode(), "sha256")

    def _forget_expired(self, now: Now) -> None:
        self._codes = {key: code for key, code in self._codes.items() if now.steady_s < code.expires_steady_s}

    def _check_code(self, user_id: str, identity: bytes, encrypted: bytes, now: Now) -> None:
        self._forget_expired(now)
        pending = self._codes.get((user_id, identity))
        if pending is None:
            raise Refused(Code.CODE_EXPIRED)
        self._check_failures(user_id)  # again: there may be several codes for a number
        try:
            right = hmac.compare_digest(self._digest(open_code(self._server_key, encrypted, identity)), pending.digest)
        except CryptoError:
            right = False
        if not right:
            pending.guesses += 1
            if pending.guesses >= self._limits.code_guesses:
                del self._codes[user_id, identity]
            self._store.add_code_failure(user_id)  # last: a full disk must not give more guesses
            raise Refused(Code.WRONG_CODE)

    # ------------------------------------------------------------ registration

    def register(self, command: Register, *, now: Now) -> bytes:
        """Create an account for whoever holds the code and all the keys of the record.

        Returns:
            The identity hash.

        Raises:
            Refused: The code is wrong or expired, the number is taken, or the record is not valid.
        """
        record, identity = command.record, identity_hash(command.record)
        self._check_code(record.user_id, identity, command.encrypted_code, now)
        self._check_room(record.user_id)
        self._directory.check(record)  # all checks come before the first write: a refusal leaves nothing behind
        self._store.create_account(record.user_id, created_at=now.wall_s)
        self._directory.publish(record, now=now)
        del self._codes[record.user_id, identity]
        return identity

    # ------------------------------------------------------------ the end of an account

    def revoke(self, certificate: Revocation, *, address: str, now: Now) -> None:
        """End an account for whoever holds its certificate.

        Raises:
            Refused: It is not its certificate, or there were too many tries from this address.
        """
        wait_s = self._login_failures_per_address.wait_s(address, now.steady_s)
        if wait_s:
            raise Refused(Code.RATE_LIMITED, retry_after_s=wait_s)
        try:
            self._directory.revoke(certificate, now=now)
        except Refused:
            self._login_failures_per_address.take(address, now.steady_s)
            raise

    # ------------------------------------------------------------ login

    def log_in(self, command: Login, challenge: Challenge, *, address: str, now: Now) -> None:
        """Check that whoever is on the link holds the account's key.

        Raises:
            Refused: Not so, or too many failures.
        """
        failures = (
            (self._login_failures, (command.user_id, address)),
            (self._login_failures_per_address, address),
        )
        wait_s = max(limiter.wait_s(key, now.steady_s) for limiter, key in failures)
        if wait_s:
            raise Refused(Code.RATE_LIMITED, retry_after_s=wait_s)
        try:
            self._check_proof(command, challenge)
        except Refused:
            for limiter, key in failures:
                limiter.take(key, now.steady_s)
            raise

    def _check_proof(self, command: Login, challenge: Challenge) -> None:
        stored = self._store.identity_record(command.user_id)
        if stored is None:
            retired = self._directory.is_retired(command.user_id)
            raise Refused(Code.ACCOUNT_ERASED if retired else Code.UNKNOWN_ACCOUNT)
        record = decode(IdentityRecord, stored)
        identity = identity_hash(record)
        if command.identity_hash != identity:
            raise Refused(Code.AUTHENTICATION_FAILED)
        statement = login_statement(
            server_key_hash=self._server_key_hash,
            client_nonce=challenge.client_nonce,
            server_nonce=challenge.server_nonce,
            user_id=command.user_id,
            device_id=command.device_id,
            identity=identity,
            version=challenge.version,
        )
        try:
            verify(signing_key(record), Label.LOGIN, statement, command.proof)
        except CryptoError as error:
            raise Refused(Code.AUTHENTICATION_FAILED) from error
        if self._store.revocation(command.user_id) is not None:
            raise Refused(Code.ACCOUNT_REVOKED)
        account = self._store.account(command.user_id)
        if account is None or (command.user_id, command.device_id) not in account.mailboxes:
            raise Refused(Code.AUTHENTICATION_FAILED)
