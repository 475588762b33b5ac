"""Every exception of SecureChat, in one tree, and the codes that travel or end a program.

Each error has a text (what happened and why), a hint (what to do) and an exit code. Nothing of ours is
imported here, so every room may import this one.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """How a program ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SETUP = 3
    STORAGE = 4
    PASSWORD = 5
    IN_USE = 6
    VERSION = 7
    UNTRUSTED = 8
    NETWORK = 9
    REFUSED = 10
    TIMEOUT = 11
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_MEANINGS: dict[ExitCode, str] = {  # README.md and the manual have the same
    ExitCode.OK: "done",
    ExitCode.FAILED: "failed",
    ExitCode.USAGE: "wrong use",
    ExitCode.SETUP: "set-up: a library or a key is missing",
    ExitCode.STORAGE: "a file cannot be read or written",
    ExitCode.PASSWORD: "wrong password, or a damaged key file",
    ExitCode.IN_USE: "the account is in use by another process",
    ExitCode.VERSION: "the two programs share no version",
    ExitCode.UNTRUSTED: "a key, or the log of keys, is not the one that was remembered",
    ExitCode.NETWORK: "the network, or the server",
    ExitCode.REFUSED: "refused: unknown user, full mailbox, too many tries",
    ExitCode.TIMEOUT: "no answer in time",
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.TERMINATED: "SIGTERM",
}


class Code(StrEnum):
    """Why a peer refused or hung up; docs/PROTOCOL.md section 9 has the same table."""

    # The link ends: a rule of the wire was broken, or there is no reason to keep it.
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNEXPECTED_FRAME = "unexpected_frame"
    UNSUPPORTED_VERSION = "unsupported_version"
    TOO_SLOW = "too_slow"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    REPLACED = "replaced"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL = "internal"
    # A command is refused; the link stays.
    ALREADY_REGISTERED = "already_registered"
    SERVER_FULL = "server_full"
    CODE_UNDELIVERABLE = "code_undeliverable"
    WRONG_CODE = "wrong_code"
    CODE_EXPIRED = "code_expired"
    INVALID_RECORD = "invalid_record"
    INVALID_CERTIFICATE = "invalid_certificate"
    RATE_LIMITED = "rate_limited"
    UNKNOWN_ACCOUNT = "unknown_account"
    AUTHENTICATION_FAILED = "authentication_failed"
    ACCOUNT_REVOKED = "account_revoked"
    ACCOUNT_ERASED = "account_erased"
    UNKNOWN_USER = "unknown_user"
    NO_PREKEYS = "no_prekeys"
    NOT_HELD = "not_held"
    # An envelope is rejected; the link stays.
    WRONG_SENDER = "wrong_sender"
    STRANGER_LIMIT = "stranger_limit"
    MAILBOX_FULL = "mailbox_full"
    KEY_CHANGED = "key_changed"
    DUPLICATE_ID = "duplicate_id"
    # Said by no server: a client writes them down for what it did not send.
    UNTRUSTED_LOG = "untrusted_log"
    OLD_CLIENT = "old_client"
    FALSE_PREKEYS = "false_prekeys"
    NOT_OPENED = "not_opened"


EXPLANATIONS: dict[Code, tuple[str, str]] = {
    Code.MALFORMED: ("a frame was not in the form of the protocol", "is it a SecureChat program at the other end?"),
    Code.TOO_LARGE: ("a frame was larger than allowed", "send it in smaller parts"),
    Code.UNEXPECTED_FRAME: ("a frame came at a time when it is not allowed", "update both programs"),
    Code.UNSUPPORTED_VERSION: ("the two programs share no version of the protocol", "update the older one"),
    Code.TOO_SLOW: ("the other end did not answer in time", "try again"),
    Code.TOO_MANY_CONNECTIONS: ("the server has too many connections that have not logged in", "try again in a minute"),
    Code.REPLACED: ("this device logged in from somewhere else", "end the other client first"),
    Code.SHUTTING_DOWN: ("the server is going down", "the client connects again by itself"),
    Code.INTERNAL: ("the server failed", "ask the operator to look at the server's log"),
    Code.ALREADY_REGISTERED: (
        "this number is registered with another key",
        "use the keys it was registered with, or another number",
    ),
    Code.SERVER_FULL: ("the server takes no more accounts", "ask the operator to raise --max-users"),
    Code.CODE_UNDELIVERABLE: ("the server could not send the verification code", "ask the operator"),
    Code.WRONG_CODE: ("the verification code is wrong", "look at it again"),
    Code.CODE_EXPIRED: ("there is no valid verification code for this number", "ask for a new one"),
    Code.INVALID_RECORD: ("the server did not accept the identity record", "update both programs"),
    Code.INVALID_CERTIFICATE: (
        "the certificate does not end this account",
        "it must be the file that was written when the account was made: keys/NUMBER_revocation.json",
    ),
    Code.RATE_LIMITED: ("too many tries", "wait"),
    Code.UNKNOWN_ACCOUNT: ("the server does not know this account", "register it"),
    Code.AUTHENTICATION_FAILED: (
        "the server did not accept the proof of identity",
        "new keys were made, or a backup restored, since these: use those; if it was not you: client.py keys revoke",
    ),
    Code.ACCOUNT_REVOKED: (
        "this account was revoked, for ever",
        "its owner has ended it, or whoever else holds its certificate: there must be another number",
    ),
    Code.ACCOUNT_ERASED: (
        "this account was removed from the server at its owner's wish",
        "its number does not come back: there must be another",
    ),
    Code.UNKNOWN_USER: (
        "no such account on this server",
        "check the number; has the person registered?",
    ),
    Code.WRONG_SENDER: ("an envelope named another sender than the account that sent it", "update the client"),
    Code.STRANGER_LIMIT: (
        "the recipient has not answered yet and already has your first messages waiting",
        "wait until they come online or write to you",
    ),
    Code.MAILBOX_FULL: ("the recipient's mailbox is full", "try again when they have been online"),
    Code.KEY_CHANGED: ("the recipient's key is not the one this message was sealed for", "send it again"),
    Code.DUPLICATE_ID: ("another message has the same id", "send it again"),
    Code.NOT_HELD: (
        "the server knows no such message of yours",
        "it forgets each when its retention has passed; or it is not honest",
    ),
    Code.NO_PREKEYS: (
        "the recipient's client has left no keys for a new session, or too old ones",
        "it leaves new ones when it is started; try again then",
    ),
    Code.FALSE_PREKEYS: (
        "the server handed out keys that the recipient has not signed",
        "the server is broken, or lies: ask its operator, and others who use it",
    ),
    Code.NOT_OPENED: ("the recipient's client could not open it, again and again", "write it once more"),
    Code.OLD_CLIENT: (
        "the recipient's client protects less than yours: it has no forward secrecy",
        "it moves up by itself once it is updated and started; until then client.py --suite 1 writes to it as it is",
    ),
    Code.UNTRUSTED_LOG: ("the server's key log does not fit: its keys are not believed", "/log says more"),
}


class SecureChatError(Exception):
    """Anything that SecureChat raises on purpose.

    Attributes:
        hint: What the person can do about it; empty when there is nothing to say.
        exit_code: How a program that cannot go on ends.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep the text and the hint; neither may hold a secret."""
        super().__init__(message)
        self.hint = hint


class UsageError(SecureChatError):
    """The person asked for something that does not exist or cannot be."""

    exit_code = ExitCode.USAGE


class SetupError(SecureChatError):
    """Something that must be there before the start is missing."""

    exit_code = ExitCode.SETUP


class StorageError(SecureChatError):
    """A file or database cannot be read or written."""

    exit_code = ExitCode.STORAGE


class KeyFileError(SecureChatError):
    """A key file is damaged, or not protected as it must be."""

    exit_code = ExitCode.PASSWORD


class WrongPasswordError(KeyFileError):
    """The password does not open the file."""


class AccountInUseError(SecureChatError):
    """Another process works with the files of this account."""

    exit_code = ExitCode.IN_USE


class UntrustedKeyError(SecureChatError):
    """A key is not the one that was pinned."""

    exit_code = ExitCode.UNTRUSTED


class NetworkError(SecureChatError):
    """The server cannot be reached, or the link to it was cut."""

    exit_code = ExitCode.NETWORK


class TimeoutExpiredError(SecureChatError):
    """What was waited for did not come in time."""

    exit_code = ExitCode.TIMEOUT


class CryptoError(SecureChatError):
    """A signature, a ciphertext or a key is not right.

    One class and one text for all of it: which check failed is nobody's business outside
    (docs/PROTOCOL.md section 6.4).
    """

    def __init__(self) -> None:
        """Say that it failed and nothing more."""
        super().__init__("could not be verified")


class ProtocolError(SecureChatError):
    """A rule of the wire was broken."""

    exit_code = ExitCode.NETWORK


class LocalProtocolError(ProtocolError):
    """We tried to send what the protocol does not allow now: a defect of this program."""

    exit_code = ExitCode.FAILED


class RemoteProtocolError(ProtocolError):
    """The other end sent what the protocol does not allow; the link must be closed."""

    def __init__(self, code: Code, detail: str = "") -> None:
        """Name the code that goes into the goodbye."""
        text, hint = EXPLANATIONS[code]
        super().__init__(f"{text} ({detail})" if detail else text, hint=hint)
        self.code = code
        if code is Code.UNSUPPORTED_VERSION:
            self.exit_code = ExitCode.VERSION
        elif code is Code.ACCOUNT_REVOKED:
            self.exit_code = ExitCode.REFUSED


class Refused(SecureChatError):  # noqa: N818 - the field's word for it; nothing went wrong in the program
    """The relay said no, with a code.

    Attributes:
        code: Why.
        retry_after_s: Seconds after which it makes sense to ask again; 0 when time does not help.
    """

    exit_code = ExitCode.REFUSED

    def __init__(self, code: Code, *, retry_after_s: int = 0) -> None:
        """Take text and hint from the table."""
        text, hint = EXPLANATIONS[code]
        super().__init__(text, hint=f"wait {retry_after_s} s" if retry_after_s else hint)
        self.code = code
        self.retry_after_s = retry_after_s
        if code is Code.KEY_CHANGED:
            self.exit_code = ExitCode.UNTRUSTED


def describe(error: SecureChatError) -> str:
    """Return what a person is shown: what happened, and below it what to do."""
    return f"{error}\n  {error.hint}" if error.hint else str(error)
