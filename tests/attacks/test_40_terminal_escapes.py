"""Row 40: a text moves the cursor, sets the title, reorders letters, or writes what looks like another's line."""

from __future__ import annotations

import pytest

from messenger.events import MessageReceived
from messenger.ui import text as texts
from messenger.ui.event_lines import event_line

HOSTILE = ["\x1b]0;owned\x07", "\x1b[2J", "\x9b2J", "\u202egnp.exe", "a\rb", "x\n[12:00] bob: I owe you", "\u200b"]


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_a_text_reaches_the_terminal(weak: bool, monkeypatch: pytest.MonkeyPatch, hostile: str) -> None:
    if weak:
        monkeypatch.setattr(texts, "sanitise", lambda text: text)
        monkeypatch.setattr(texts, "CONTINUATION", "")
    line = event_line(MessageReceived(bytes(16), "mallory", hostile, 0, 1, "unverified"))
    does_harm = any(letter in line for letter in "\x1b\x07\x9b\u202e\r\u200b") or "\n[12:00] bob:" in line
    assert does_harm is weak
