from __future__ import annotations

import pytest

import errors
from errors import EXPLANATIONS, Code, CryptoError, ExitCode, Refused, RemoteProtocolError, SecureChatError, describe


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_text_and_a_hint(code: Code) -> None:
    text, hint = EXPLANATIONS[code]
    assert text
    assert hint
    assert str(Refused(code)) == str(RemoteProtocolError(code)) == text


def test_a_refusal_names_how_long_to_wait() -> None:
    assert Refused(Code.RATE_LIMITED, retry_after_s=7).hint == "wait 7 s"


def test_exit_codes_of_those_that_differ_by_code() -> None:
    assert Refused(Code.KEY_CHANGED).exit_code is ExitCode.UNTRUSTED
    assert Refused(Code.MAILBOX_FULL).exit_code is ExitCode.REFUSED
    assert RemoteProtocolError(Code.UNSUPPORTED_VERSION).exit_code is ExitCode.VERSION
    assert RemoteProtocolError(Code.MALFORMED, "why").exit_code is ExitCode.NETWORK


def test_a_cryptographic_failure_says_nothing_about_its_cause() -> None:
    assert str(CryptoError()) == "could not be verified"


def test_an_error_is_shown_with_its_hint_below() -> None:
    assert describe(SecureChatError("what", hint="do this")) == "what\n  do this"
    assert describe(SecureChatError("what")) == "what"


def test_every_error_is_in_the_one_tree() -> None:
    ours = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert all(issubclass(error, SecureChatError) for error in ours)
