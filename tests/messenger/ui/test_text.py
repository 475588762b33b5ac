from __future__ import annotations

import unicodedata

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from errors import Code
from messenger.events import (
    AcceptanceMissing,
    AcceptanceProven,
    AccountErased,
    ContactErased,
    ContactPinned,
    ContactRestored,
    EnvelopeRefused,
    ErasureRefused,
    Event,
    IdentityChanged,
    IdentityRevoked,
    IdentityRotated,
    LogAlarm,
    LogDisagrees,
    LoginRefused,
    LogWithheld,
    MessageDeleted,
    MessageEdited,
    MessageReaction,
    MessageReceived,
    MessageRequested,
    MessagesExpired,
    MessagesMissing,
    MessageUnopened,
    Online,
    OwnIdentityRotated,
    OwnRotationRefused,
    Quote,
    SentAgain,
    ServerHolds,
    ServerKeyRotated,
    ServerWentBack,
    StateChanged,
    TimerChanged,
    Typing,
)
from messenger.ui.event_lines import event_line
from messenger.ui.text import CONTINUATION, clock, folded, message_line, sanitise


@given(st.text())
def test_nothing_but_newline_and_tab_can_act_on_a_terminal(text: str) -> None:
    """R-39, attack row 40."""
    shown = sanitise(text)
    assert not [letter for letter in shown if unicodedata.category(letter) in {"Cc", "Cs"} and letter not in "\n\t"]
    shown.encode()


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J", "<U+001B>[2J"),
        ("\x1b]0;title\x07", "<U+001B>]0;title<U+0007>"),
        ("\x9b31m", "<U+009B>31m"),
        ("over\rwritten", "over<U+000D>written"),
        ("back\x08space", "back<U+0008>space"),
        ("\u202egnp.exe", "<U+202E>gnp.exe"),
        ("zero\u200bwidth\ufeff", "zero<U+200B>width<U+FEFF>"),
        ("line\u2028separator", "line<U+2028>separator"),
        ("\x7f\x00", "<U+007F><U+0000>"),
        ("\ud800", "<U+D800>"),
        ("a\r\nb\tc", "a\nb\tc"),
    ],
)
def test_hostile_letters_are_spelt_out(hostile: str, shown: str) -> None:
    assert sanitise(hostile) == shown


@pytest.mark.parametrize("text", ["👨‍👩‍👧‍👦", "Grüße", "नमस्ते", "שלום", "مرحبا", "日本語"])
def test_what_people_write_stays(text: str) -> None:
    assert sanitise(text) == text


def test_a_message_of_several_lines_cannot_pass_for_another_person() -> None:
    lines = message_line("mallory", "hi\n[12:00] bob: send me the keys", 0).splitlines()
    assert not lines[1].startswith("[")


@given(st.text(), st.integers(20, 200))
def test_no_part_of_a_message_begins_at_the_left_edge(text: str, columns: int) -> None:
    """Nor what the terminal itself would wrap: it could look like a line of somebody else."""
    first, *rest = folded(message_line("mallory", text, 10**9), columns).split("\n")
    assert first.startswith("[2001-09-0")
    assert all(f"{line} ".startswith(CONTINUATION) for line in rest)  # of an empty one the space at its end may go
    assert max(wcwidth.wcswidth(line) for line in (first, *rest)) <= columns


def test_a_text_as_wide_as_the_terminal_cannot_pass_for_another_person() -> None:
    line = "[12:00] mallory: ".ljust(80) + "[12:01] bob: pay her"
    assert folded(line, 80).split("\n")[-1] == "  | [12:01] bob: pay her"


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [("", 80, ""), ("short", 80, "short"), ("one two", 4, "one\ntwo"), ("中文字", 4, "中文\n字"), ("ab", 1, "a\nb")],
)
def test_lines_are_broken_at_words_and_at_cells(text: str, columns: int, shown: str) -> None:
    assert folded(text, columns) == shown


def test_a_million_letters_take_no_time_to_speak_of() -> None:
    assert len(sanitise("\x1b" * 100_000)) == 800_000


@pytest.mark.parametrize("timestamp", [2**53 - 1, 2**40])
def test_times_that_cannot_be_are_shown_as_such(timestamp: int) -> None:
    assert clock(timestamp) == "?" or clock(timestamp)[:1].isdigit()


QUOTE = Quote(1, outgoing=True, id=bytes(16), text="a" * 100, timestamp=0)
GONE = Quote(1, outgoing=True, id=bytes(16), text="", timestamp=0)
EVENTS: list[tuple[Event, str]] = [
    (MessageReceived(bytes(16), "bob", "hi", 0, 1, "unverified"), "bob: hi"),
    (MessageReceived(bytes(16), "bob", "hi", 0, 1, "verified"), "bob (verified): hi"),
    (IdentityRotated("bob", was_verified=True), "compare the new safety number (/verify bob)"),
    (IdentityRotated("bob", was_verified=False), "bob has new keys"),
    (IdentityRevoked("bob"), "the account bob was revoked"),
    (OwnIdentityRotated(2), "you have new keys (number 2)"),
    (OwnRotationRefused(Code.RATE_LIMITED, 60), "did not take your new keys: too many tries"),
    (MessageReceived(bytes(16), "bob", "yes", 0, 1, "unverified", 2, QUOTE), f'bob, answering "{"a" * 39}…": yes'),
    (MessageEdited(bytes(16), "bob", QUOTE), f"bob has changed what they wrote at {clock(0)}: aaa"),
    (MessageEdited(bytes(16), "bob", None), "bob has changed a message that is not here"),
    (MessageDeleted(bytes(16), "bob", QUOTE), f"bob has deleted what they wrote at {clock(0)}"),
    (MessageDeleted(bytes(16), "bob", None), "bob has deleted a message that is not here"),
    (MessageReaction(bytes(16), "bob", GONE, "\N{FIRE}"), f"bob: \N{FIRE} to the deleted message of {clock(0)}"),
    (MessageReaction(bytes(16), "bob", QUOTE, ""), 'bob: nothing any more to "aaa'),
    (
        TimerChanged(bytes(16), "bob", 3600),
        "bob has set: from now on messages with bob disappear 1 hour after they were read",
    ),
    (TimerChanged(bytes(16), "bob", 0), "bob has set: from now on messages with bob stay"),
    (Typing("bob"), "bob is typing"),
    (MessagesExpired("bob", 1), "1 message with bob disappeared; what stands"),
    (MessagesExpired("bob", 2), "2 messages with bob disappeared; what"),
    (MessageRequested("bob"), "bob is nobody you have written to"),
    (MessagesMissing("bob", 1), "1 message from bob missing"),
    (MessagesMissing("bob", 2), "2 messages from bob missing"),
    (MessageUnopened("bob"), "a message from bob was for a session that is not here any more: it is asked for again"),
    (SentAgain("bob"), "bob could not open a message of yours, and gets it again"),
    (StateChanged(bytes(16), "bob", "accepted"), "accepted: bob"),
    (StateChanged(bytes(16), "bob", "expired"), "never fetched"),
    (StateChanged(bytes(16), "bob", "rejected", Code.MAILBOX_FULL), "mailbox is full"),
    (StateChanged(bytes(16), "bob", "rejected", Code.UNKNOWN_USER), "Security Error: Public key for bob not found"),
    (StateChanged(bytes(16), "bob", "identity-changed"), "key has changed"),
    (ContactPinned("bob"), "first contact with bob"),
    (AcceptanceProven("bob", bytes(16), 0, fetched=True), "bob's device has fetched it"),
    (AcceptanceProven("bob", bytes(16), 0, fetched=False), "bob's device has not fetched it yet"),
    (AcceptanceMissing("bob", None), "what it says is not signed by it"),
    (AcceptanceMissing("bob", Code.NOT_HELD), "knows no such message"),
    (IdentityChanged("bob"), "WARNING: the key of bob has changed"),
    (EnvelopeRefused("bob"), "could not be verified"),
    (Online(0), "online"),
    (Online(3), "waited: 3"),
    (LoginRefused(Code.UNKNOWN_ACCOUNT, 0), "does not know this account"),
    (ContactRestored("bob"), "bob has gone back to a backup"),
    (ContactErased("bob"), "bob has had their account removed"),
    (LogAlarm("a root is missing"), "the server contradicts itself: a root is missing"),
    (LogWithheld(), "does not show all of its key log"),
    (LogDisagrees("bob"), "bob is shown another key log"),
    (ServerKeyRotated("ab" * 32), "the server has a new key"),
    (ServerWentBack(), "had gone back to former keys"),
    (ServerHolds((("account", {"user_id": "alice"}),), last=True), "account: that you are there\n    user id alice\n"),
    (AccountErased(7), "gone from the server (7 rows)"),
    (ErasureRefused(Code.RATE_LIMITED), "did not remove your account"),
]


@pytest.mark.parametrize(
    ("event", "text"), EVENTS, ids=lambda value: type(value).__name__ if not isinstance(value, str) else ""
)
def test_every_event_has_its_line(event: Event, text: str) -> None:
    assert text in event_line(event)
