"""How things read on a terminal, and how nothing that came from outside can do more than be read."""

from __future__ import annotations

import datetime as dt
import unicodedata
from typing import Final

import wcwidth

from errors import EXPLANATIONS, Code
from messenger.events import (
    ContactPinned,
    EnvelopeRefused,
    Event,
    IdentityChanged,
    LoginRefused,
    MessageReceived,
    MessagesMissing,
    Online,
    StateChanged,
)

CONTINUATION: Final = "  | "  # before the further lines of a message: they cannot pass for somebody else's
_ZERO_WIDTH_JOINERS: Final = {"\u200c", "\u200d"}  # they hold emoji families and some scripts together
_HIDDEN: Final = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # control, format, surrogate, private, unassigned, separators


def sanitise(text: str) -> str:
    """Return a text in which everything that could move the cursor, hide or reorder letters is spelt out.

    Newline and tab stay. ESC becomes `<U+001B>`, and so do bidirectional controls, C1, zero-width letters.
    """
    return "".join(
        letter
        if letter in "\n\t" or letter in _ZERO_WIDTH_JOINERS or unicodedata.category(letter) not in _HIDDEN
        else f"<U+{ord(letter):04X}>"
        for letter in text.replace("\r\n", "\n")
    )


def message_line(sender: str, text: str, timestamp: int) -> str:
    """Return what a message looks like: when by the sender's clock, who, what."""
    body = sanitise(text).replace("\n", "\n" + CONTINUATION)
    return f"[{clock(timestamp)}] {sender}: {body}"


def folded(text: str, columns: int) -> str:
    """Break lines that are wider than the terminal, under the mark of a continuation.

    A terminal would break them itself, and a text of the right length could put what looks like the line of
    somebody else at the left edge.

    Args:
        text: Lines that `sanitise` has seen.
        columns: The width of the terminal in cells.
    """
    parts: list[str] = []
    for line in text.split("\n"):
        mark = CONTINUATION if columns > 2 * len(CONTINUATION) else ""
        parts += wcwidth.wrap(
            line, columns, subsequent_indent=mark, replace_whitespace=False, drop_whitespace=False
        ) or [""]  # fmt: skip
    return "\n".join(parts)


def clock(timestamp: int) -> str:
    """Return hours and minutes in local time, with the date when it is not today's; `?` when there is no such time."""
    try:
        moment = dt.datetime.fromtimestamp(timestamp).astimezone()
    except (ValueError, OverflowError, OSError):
        return "?"
    today = dt.datetime.now(moment.tzinfo).date()
    return moment.strftime("%H:%M" if moment.date() == today else "%Y-%m-%d %H:%M")


def reason_line(code: Code | None) -> str:
    """Return why something failed and what to do about it."""
    if code is None:
        return "the recipient's key has changed"
    text, hint = EXPLANATIONS[code]
    return f"{text} ({hint})"


def event_line(event: Event) -> str:  # noqa: C901, PLR0911 - a table, a row for each event
    """Return the line that tells a person of an event."""
    match event:
        case MessageReceived(peer=peer, text=text, timestamp=timestamp):
            return message_line(peer, text, timestamp)
        case MessagesMissing(peer=peer, count=count):
            return f"! {count} message{'s' if count > 1 else ''} from {peer} missing"
        case StateChanged(peer=peer, state="rejected", reason=Code.UNKNOWN_USER):
            return f"! Security Error: Public key for {peer} not found: {reason_line(Code.UNKNOWN_USER)}"
        case StateChanged(peer=peer, state="rejected" | "identity-changed", reason=reason):
            return f"! not sent to {peer}: {reason_line(reason)}"
        case StateChanged(peer=peer, state="expired"):
            return f"! {peer} never fetched a message of yours; the server has dropped it"
        case StateChanged(peer=peer, state=state):
            return f"* {state}: {peer}"
        case ContactPinned(peer=peer):
            return f"* first contact with {peer}: their key is remembered from now on"
        case IdentityChanged(peer=peer):
            return (
                f"! WARNING: the key of {peer} has changed. Nothing is sent to or shown from {peer}."
                f" They may have a new device, or someone is in between. Ask {peer} on another way,"
                f" and type /accept {peer} only if the new key is theirs; /keep {peer} stays with the old one."
            )
        case EnvelopeRefused(peer=peer):
            return f"! a message that says it is from {peer} could not be verified, and was thrown away"
        case Online(pending=pending):
            return f"* online, {pending} waiting" if pending else "* online"
        case LoginRefused(code=code):
            return f"! the server did not let you in: {reason_line(code)}"
