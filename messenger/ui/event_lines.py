"""The line that tells a person of an event, for every event there is; docs/FACES.md lists them."""

from __future__ import annotations

from errors import Code
from messenger.contacts import COUNTERS_SKIPPED
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
from messenger.ui.held_rows import held_lines
from messenger.ui.text import (
    body,
    clock,
    message_line,
    messages,
    quoted,
    reaction_line,
    reason_line,
    timer_line,
)


def _theirs(quote: Quote | None) -> str:
    return f"what they wrote at {clock(quote.timestamp)}" if quote is not None else quoted(None)


def event_line(event: Event) -> str:  # noqa: C901, PLR0911, PLR0912 - a table, a row for each event
    """Return the line that tells a person of an event."""
    match event:
        case MessageReceived(peer=peer, text=text, timestamp=timestamp, trust=trust, quote=quote):
            return message_line(f"{peer} (verified)" if trust == "verified" else peer, text, timestamp, quote)
        case MessageEdited(peer=peer, quote=quote):
            now = f": {body(quote.text)}" if quote is not None else ""
            return f"* {peer} has changed {_theirs(quote)}{now}"
        case MessageDeleted(peer=peer, quote=quote):
            return f"* {peer} has deleted {_theirs(quote)}"
        case MessageReaction(peer=peer, quote=quote, emoji=emoji):
            return reaction_line(peer, emoji, quote)
        case TimerChanged(peer=peer, lifetime_s=lifetime_s):
            return f"* {peer} has set: {timer_line(peer, lifetime_s)}"
        case Typing(peer=peer):
            return f"* {peer} is typing"
        case MessagesExpired(peer=peer, count=count):
            return f"* {messages(count)} with {peer} disappeared; what stands on the screen is the terminal's"
        case MessageRequested(peer=peer):
            return (
                f"* {peer} is nobody you have written to. They do not hear whether you have seen this until you answer,"
                f" or type /allow {peer}; /block {peer} has you see nothing of them."
            )
        case MessagesMissing(peer=peer, count=count) if count >= COUNTERS_SKIPPED:  # after a restored backup
            return f"! messages from {peer} missing; how many, nobody knows"
        case MessagesMissing(peer=peer, count=count):
            return f"! {messages(count)} from {peer} missing"
        case StateChanged(peer=peer, state="rejected", reason=Code.UNKNOWN_USER):
            return f"! Security Error: Public key for {peer} not found: {reason_line(Code.UNKNOWN_USER)}"
        case StateChanged(peer=peer, state="rejected" | "identity-changed", reason=reason):
            return f"! not sent to {peer}: {reason_line(reason)}"
        case StateChanged(peer=peer, state="expired"):
            return f"! {peer} never fetched a message of yours; the server has dropped it"
        case StateChanged(peer=peer, state=state):
            return f"* {state}: {peer}"
        case AcceptanceProven(peer=peer, received_at=received_at, fetched=fetched):
            what = f"{peer}'s device has fetched it" if fetched else f"{peer}'s device has not fetched it yet"
            return f"* the server proves it: it has your last message to {peer} since {clock(received_at)}; {what}"
        case AcceptanceMissing(peer=peer, code=code):
            why = "what it says is not signed by it" if code is None else reason_line(code)
            return f"! the server does not prove that it has your last message to {peer}: {why}"
        case ContactPinned(peer=peer):
            return f"* first contact with {peer}: their key is remembered from now on"
        case IdentityChanged(peer=peer):
            return (
                f"! WARNING: the key of {peer} has changed. Nothing is sent to or shown from {peer}."
                f" They may have a new device, or someone is in between. Ask {peer} on another way,"
                f" and type /accept {peer} only if the new key is theirs; /keep {peer} stays with the old one."
            )
        case IdentityRotated(peer=peer, was_verified=True):
            return (
                f"! {peer} has new keys, signed with the old ones. You had verified the old ones:"
                f" compare the new safety number (/verify {peer})."
            )
        case IdentityRotated(peer=peer):
            return f"* {peer} has new keys, signed with the old ones"
        case IdentityRevoked(peer=peer):
            return (
                f"! WARNING: the account {peer} was revoked: its owner has ended it, or a thief of its certificate."
                f" Nothing is sent to or shown from {peer} any more. Ask {peer} on another way."
            )
        case ContactRestored(peer=peer):
            return f"* {peer} has gone back to a backup, and may miss what was written since"
        case ContactErased(peer=peer):
            return f"* {peer} has had their account removed from the server"
        case LogAlarm(reason=reason):
            return (
                f"! WARNING: the server contradicts itself: {reason}. No new key is taken from it any more;"
                f" contacts that you have go on with the keys you know. /log says what to do."
            )
        case LogDisagrees(peer=peer):
            return (
                f"! WARNING: {peer} is shown another key log than you. The server may show each of you other keys:"
                f" compare your safety numbers (/verify {peer}), and ask others. /log says more."
            )
        case LogWithheld():
            return "! the server does not show all of its key log: a false key would not be noticed. /log says more"
        case OwnIdentityRotated(epoch=epoch):
            return (
                f"* you have new keys (number {epoch}), and your contacts are told: whoever had verified you compares"
                " again. Backups of before are of no use any more: make a new one (client.py backup)."
            )
        case OwnRotationRefused(code=code):
            return f"! the server did not take your new keys: {reason_line(code)}"
        case ServerKeyRotated(fingerprint=fingerprint):
            return f"* the server has a new key, signed with the old one: {fingerprint}"
        case ServerWentBack():
            return "! the server had gone back to former keys of yours, as with an older copy of its database"
        case ServerHolds(rows=rows, last=last):
            return "\n".join(held_lines(rows, last=last))
        case AccountErased(rows=rows):
            return f"* your account is gone from the server ({rows} rows); what is on this machine is yours to delete"
        case ErasureRefused(code=code):
            return f"! the server did not remove your account: {reason_line(code)}"
        case MessageUnopened(peer=peer):
            return f"* a message from {peer} was for a session that is not here any more: it is asked for again"
        case SentAgain(peer=peer):
            return f"* {peer} could not open a message of yours, and gets it again"
        case EnvelopeRefused(peer=peer):
            return f"! a message that says it is from {peer} could not be verified, and was thrown away"
        case Online(pending=pending):
            return f"* online; messages and receipts that waited: {pending}" if pending else "* online"
        case LoginRefused(code=code):
            return f"! the server did not let you in: {reason_line(code)}"
