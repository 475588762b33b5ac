"""Every event as data, for programs: what `recv --json` and `daemon` print. docs/FACES.md lists them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

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
    SentAgain,
    ServerHolds,
    ServerKeyRotated,
    ServerWentBack,
    StateChanged,
    TimerChanged,
    Typing,
)
from messenger.ui.json_lines import Data, about

TYPES: Final[dict[type[Event], str]] = {
    MessageReceived: "message",
    MessageEdited: "edit",
    MessageDeleted: "delete",
    MessageReaction: "react",
    TimerChanged: "timer",
    Typing: "typing",
    MessagesExpired: "expired",
    MessageRequested: "request",
    MessagesMissing: "missing",
    StateChanged: "state",
    AcceptanceProven: "acceptance",
    AcceptanceMissing: "acceptance-missing",
    ContactPinned: "contact-pinned",
    IdentityChanged: "identity-changed",
    IdentityRotated: "identity-rotated",
    IdentityRevoked: "identity-revoked",
    ContactRestored: "contact-restored",
    ContactErased: "account-erased",
    LogAlarm: "log-alarm",
    LogWithheld: "log-withheld",
    LogDisagrees: "log-disagrees",
    OwnIdentityRotated: "own-identity-rotated",
    OwnRotationRefused: "own-rotation-refused",
    ServerKeyRotated: "server-key-rotated",
    ServerWentBack: "server-went-back",
    ServerHolds: "server-holds",
    AccountErased: "own-account-erased",
    ErasureRefused: "erasure-refused",
    MessageUnopened: "unopened",
    SentAgain: "sent-again",
    EnvelopeRefused: "refused",
    Online: "online",
    LoginRefused: "login-refused",
}
_TO_PEER: Final = (
    StateChanged,
    SentAgain,
    AcceptanceProven,
    AcceptanceMissing,
)  # about own messages; the others are from them, or with them


def event_data(event: Event) -> Data:
    """Return an event as data: ids in hexadecimal, and the peer as whom it is from, to or with."""
    if isinstance(event, ServerHolds):
        rows = [{"table": table, "columns": columns} for table, columns in event.rows]
        return {"type": TYPES[ServerHolds], "rows": rows, "last": event.last}
    side = "to" if isinstance(event, _TO_PEER) else "with" if isinstance(event, MessagesExpired) else "from"
    fields = {
        side if name == "peer" else name: _plain(value)
        for name, value in asdict(event).items()
        if name != "quote" and value is not None
    }
    return {"type": TYPES[type(event)], **fields, **_quoted(event)}


def _quoted(event: Event) -> Data:
    """Return what an event says of another text."""
    if isinstance(event, MessageReceived):
        return {"answers": about(event.quote)} if event.quote is not None else {}
    if isinstance(event, MessageEdited):
        return {"about": about(event.quote), "text": event.quote.text if event.quote is not None else None}
    if isinstance(event, MessageDeleted | MessageReaction):
        return {"about": about(event.quote)}
    return {}


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value
