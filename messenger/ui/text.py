"""How things read on a terminal, and how nothing that came from outside can do more than be read."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

import wcwidth

from errors import EXPLANATIONS, Code
from messenger.account import Account
from messenger.archive import Said
from messenger.door import Standing
from messenger.durations import spelt
from messenger.events import FAILED, Quote
from messenger.log_replica import LogReplica
from messenger.profile import Profile
from messenger.status import Status

CONTINUATION: Final = "  | "  # before the further lines of a message: they cannot pass for somebody else's
QUOTED: Final = 40  # letters of a message in the line of another
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


def one_line(text: str) -> str:
    """Return a text that stands among other words: no line of it, and no gap, passes for something else."""
    return " ".join(sanitise(text).split())


def message_line(sender: str, text: str, timestamp: int, quote: Quote | None = None, *, dated: bool = False) -> str:
    """Return what a message looks like: when by the sender's clock, who, to which other message, what."""
    answering = f", answering {quoted(quote)}" if quote is not None else ""
    return f"[{clock(timestamp, dated=dated)}] {sender}{answering}: {body(text)}"


def body(text: str) -> str:
    """Return a text as it is shown behind the name of its author; an empty one was deleted."""
    return sanitise(text).replace("\n", "\n" + CONTINUATION) if text else "(deleted)"


def quoted(quote: Quote | None) -> str:
    """Return how a message is called in the line of another: by its beginning."""
    if quote is None:
        return "a message that is not here"
    if not quote.text:
        return f"the deleted message of {clock(quote.timestamp)}"
    first = one_line(quote.text)
    return f'"{first if len(first) <= QUOTED else first[: QUOTED - 1] + "…"}"'


def reaction_line(name: str, emoji: str, quote: Quote | None) -> str:
    """Return the line that tells of a reaction; an empty one is taken back."""
    return f"* {name}: {one_line(emoji) or 'nothing any more'} to {quoted(quote)}"


def said_line(said: Said, *, numbered: bool = False, dated: bool = False) -> str:
    """Return what a message of the archive looks like: with what became of it, and perhaps its number or its date."""
    sender = f"you to {said.peer}" if said.outgoing else said.peer
    ours, theirs = said.reactions
    remarks = [
        *(["edited"] if said.edited and not said.deleted else []),
        *([f"you: {one_line(ours)}"] if ours else []),
        *([f"{said.peer}: {one_line(theirs)}"] if theirs else []),
        *([progress(said)] if said.outgoing else []),
    ]
    line = message_line(sender, said.text, said.timestamp, said.quote, dated=dated)
    return (f"#{said.number} " if numbered else "") + line + (f" ({'; '.join(remarks)})" if remarks else "")


def progress(said: Said) -> str:
    """Return how far an own message has come, in a word, or why it did not."""
    if said.state in FAILED:
        return f"not sent: {reason_line(said.reason)}"
    return "never fetched" if said.state == "expired" else said.state


def why_lines(said: Said, steps: Sequence[tuple[str, int]]) -> list[str]:
    """Return the lines that tell the way of an own message: when it came how far, on whose word, and what to do.

    Args:
        said: The message.
        steps: The states that it has reached, each with its time.
    """
    peer = said.peer
    words = {
        "accepted": "the server says that it has it on its disk",
        "signed": "the server has signed that it has it, and since when",
        "fetched": f"the server has signed that {peer}'s device has fetched it",
        "delivered": f"{peer}'s device has it on its disk, and has signed that",
        "read": f"{peer}'s device says that it was shown, and has signed that",
        "expired": f"{peer} did not fetch it as long as the server keeps it: send it again",
        "rejected": f"not sent: {reason_line(said.reason)}",
        "identity-changed": f"not sent: the key of {peer} has changed. Ask them on another way, then /accept or /keep",
    }
    lines = [message_line(f"* you to {peer}", said.text, said.timestamp)]
    lines += [f"  {clock(said.stored_at)} written: on your disk"]
    lines += [f"  {clock(at)} {state}: {words[state]}" for state, at in steps]
    waits = {
        "queued": f"  It waits here, and goes out by itself when the server can be reached and has the keys of {peer}.",
        "accepted": f"  Not heard of since: {peer} is not online, or has not let you in.",
    }
    return lines + ([waits[said.state]] if said.state in waits else [])


def contact_line(contact: Profile) -> str:
    """Return what a contact looks like in a list."""
    entry = contact.entry
    remarks = [
        contact.trust,
        *([contact.standing] if contact.standing is not Standing.KNOWN else []),
        *(["muted"] if entry.muted else []),
        *([f"disappearing: {spelt(entry.lifetime_s)}"] if entry.lifetime_s else []),
        *([f"kept for {spelt(entry.kept_s)}"] if entry.kept_s else []),
    ]
    names = f"{contact.user_id} ({entry.alias})" if entry.alias else contact.user_id
    return f"  {names}  {', '.join(remarks)}" + (f": {body(entry.note)}" if entry.note else "")


def allowed_line(name: str) -> str:
    """Return the line that says that somebody is let in."""
    return f"* {name} is let in"


def blocked_line(name: str) -> str:
    """Return the line that says that somebody is blocked."""
    return f"* {name} is blocked: you see nothing of them any more, until you allow them again"


def accepted_line(name: str) -> str:
    """Return the line that says that a changed key is pinned."""
    return f"* the new key of {name} is remembered from now on"


def kept_line(name: str) -> str:
    """Return the line that says that a changed key is not."""
    return f"* the key of {name} that was remembered stays; what came under the other is thrown away"


def alias_line(peer: str, alias: str) -> str:
    """Return the line that says what somebody is called."""
    return f"* {peer} is called {alias} here" if alias else f"* {peer} is called so again"


def note_line(name: str, note: str) -> str:
    """Return the line that says what is remembered of somebody."""
    return f"* your note on {name}: {body(note)}" if note else f"* you have no note on {name}"


def mute_line(name: str, *, muted: bool) -> str:
    """Return the line that says whether something rings for somebody."""
    return f"* nothing rings for {name} any more" if muted else f"* {name} is heard again"


def keep_line(name: str, kept_s: int) -> str:
    """Return the line that says how long messages are kept."""
    if not kept_s:
        return f"* messages with {name} are kept here for ever"
    return f"* messages with {name} are kept here for {spelt(kept_s)}; at {name} they stay"


def timer_line(peer: str, lifetime_s: int) -> str:
    """Return what the timer of a conversation says."""
    if not lifetime_s:
        return f"from now on messages with {peer} stay"
    span = spelt(lifetime_s)
    return f"from now on messages with {peer} disappear {span} after they were read; your own here {span} after sending"


def status_lines(status: Status) -> list[str]:
    """Return the lines that say how things stand."""
    return [
        f"{status.user_id}: {'online' if status.online else 'offline'}, keys number {status.epoch}",
        f"unread: {unread_line(status.unread) or 'nothing'}",
        f"not sent yet: {status.outbox or 'nothing'}",
        *([f"not let in: {', '.join(status.requests)}"] if status.requests else []),
        *([f"! the key has changed of: {', '.join(status.changed)}"] if status.changed else []),
        *([alarm_line(status.log_alarm)] if status.log_alarm is not None else []),
    ]


def messages(count: int) -> str:
    """Return how many messages."""
    return "1 message" if count == 1 else f"{count} messages"


def unread_line(unread: Mapping[str, int]) -> str:
    """Return who has written what is unread: `bob 2, carol 1`."""
    return ", ".join(f"{peer} {count}" for peer, count in unread.items())


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
            line, columns, subsequent_indent=mark, replace_whitespace=False
        ) or [""]  # fmt: skip
    return "\n".join(parts)


def safety_number_lines(peer: str, trust: str, number: str, *, same: str) -> list[str]:
    """Return the lines that show a safety number, in groups of five digits, and what to do with it.

    Args:
        peer: Whom it is shared with.
        trust: How far their key is trusted.
        number: 60 digits.
        same: The command that says that the other sees the same.
    """
    groups = [number[at : at + 5] for at in range(0, len(number), 5)]
    rows = ["  " + " ".join(groups[at : at + 4]) for at in range(0, len(groups), 4)]
    return [
        f"* the safety number that you have with {peer} ({trust}):",
        *rows,
        f"  Compare it with what {peer} sees, by telephone or face to face. The same: {same}",
        "  Another one: someone is in between; do not write here.",
    ]


def own_keys_line(account: Account) -> str:
    """Return what there is to know of one's own keys."""
    record = account.record
    since = dt.datetime.fromtimestamp(record.created, dt.UTC).strftime("%Y-%m-%d")
    return (
        f"the keys of {account.user_id}: number {record.epoch}, since {since}, identity {account.identity_hash.hex()}"
    )


def log_lines(log: LogReplica) -> list[str]:
    """Return the lines that say how the server's key log stands, and what it is for."""
    if log.key is None:
        return ["* no key log was read yet: it comes with the next login"]
    (size, root), claims = log.known, log.settled_claims()
    entries = "1 entry" if size == 1 else f"{size} entries"
    agree = [peer for peer, agrees in claims if agrees]
    disagree = [peer for peer, agrees in claims if not agrees]
    lines = [
        f"* the key log of this server: {entries}, signed {clock(log.signed_at)}, root {root.hex()}",
        f"  Read and checked here: {log.size}. Contacts who are shown the same log: {', '.join(agree) or 'none yet'}.",
        "  Every key that the server hands out must stand in it, for everybody to see, and nothing is ever taken out:",
        "  whoever wants to slip in a key must show it to its owner as well, or show two people two logs.",
    ]
    if disagree:
        lines += [
            f"! WARNING: another log is shown to {', '.join(disagree)}. Compare safety numbers with them.",
            "  This stays said until you begin anew, both of you, which makes sense when you know where it comes from:",
        ]
    if log.alarm is not None:
        lines += [
            alarm_line(log.alarm),
            "  Ask its operator. If there is a good reason, such as a database from a backup, begin anew:",
        ]
    return [*lines, "  /log forget, or client.py log --forget."] if disagree or log.alarm is not None else lines


def restored_lines(user_id: str, newest_at: int | None) -> list[str]:
    """Return the lines that say what a restored account is, what it lacks, and what will happen.

    Args:
        user_id: The account.
        newest_at: When the last message in it was stored, seconds since 1970; None: there is none.
    """
    last = f"its last message is of {clock(newest_at, dated=True)}" if newest_at is not None else "it has no message"
    return [
        f"* {user_id} is back, as it was when the backup was made: {last}.",
        "  What was written to you and fetched since then, and what you wrote, is not here and does not come again.",
        "  At the next start the server hears of its new keys, and your contacts that you may miss something.",
        "  If the account has other keys than this backup by then, the server does not let it in: each serves once.",
    ]


def alarm_line(reason: str) -> str:
    """Return the line that says why a server is not believed, each time that it matters."""
    return f"! WARNING: the server is not believed any more: {reason}."


def clock(timestamp: int, *, dated: bool = False) -> str:
    """Return hours and minutes in local time, with the date if it is wanted or not today's; `?` of no such time."""
    try:
        moment = dt.datetime.fromtimestamp(timestamp).astimezone()
    except (ValueError, OverflowError, OSError):
        return "?"
    today = dt.datetime.now(moment.tzinfo).date()
    return moment.strftime("%H:%M" if moment.date() == today and not dated else "%Y-%m-%d %H:%M")


def reason_line(code: Code | None) -> str:
    """Return why something failed and what to do about it."""
    if code is None:
        return "the recipient's key has changed"
    text, hint = EXPLANATIONS[code]
    return f"{text} ({hint})"
