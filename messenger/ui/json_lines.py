"""Events as lines of JSON, for programs: what `recv --json` prints. README.md documents it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from messenger.account import Account
from messenger.address_book import Entry
from messenger.archive import Said
from messenger.events import (
    ContactErased,
    EnvelopeRefused,
    Event,
    IdentityChanged,
    IdentityRevoked,
    IdentityRotated,
    LogAlarm,
    LogDisagrees,
    LogWithheld,
    MessageDeleted,
    MessageEdited,
    MessageReaction,
    MessageReceived,
    MessageRequested,
    MessagesExpired,
    MessagesMissing,
    Quote,
    ServerHolds,
    TimerChanged,
)
from messenger.log_replica import LogReplica
from messenger.status import Status

VERSION = 1  # of these lines; keys are added under it, never changed


def json_line(event: Event) -> str | None:
    """Return the line for an event, all of it printable ASCII, or None for what is not printed."""
    data = _data(event)
    return _line(data) if data is not None else None


def said_json(said: Said, steps: Sequence[tuple[str, int]] = ()) -> str:
    """Return the line for a message of the archive, with the times at which it reached its states if they are given."""
    return _line(
        {
            "type": "message",
            "number": said.number,
            "id": said.id.hex(),
            "to" if said.outgoing else "from": said.peer,
            "text": said.text,
            "timestamp": said.timestamp,
            "stored_at": said.stored_at,
            "state": said.state,
            **({"reason": said.reason} if said.reason is not None else {}),
            **({"answers": _about(said.quote)} if said.quote is not None else {}),
            **({"edited": True} if said.edited else {}),
            **({"deleted": True} if said.deleted else {}),
            **(
                {"reactions": dict(zip(("ours", "theirs"), said.reactions, strict=True))} if any(said.reactions) else {}
            ),
            **({"expires_at": said.expires_at} if said.expires_at is not None else {}),
            **({"steps": dict(steps)} if steps else {}),
        }
    )


def sent_json(message_id: bytes, peer: str, state: str) -> str:
    """Return the line for what was written just now."""
    return _line({"type": "sent", "id": message_id.hex(), "to": peer, "state": state})


def safety_number_json(peer: str, trust: str, number: str) -> str:
    """Return the line for a safety number, 60 digits."""
    return _line({"type": "safety-number", "user_id": peer, "trust": trust, "number": number})


def keys_json(account: Account) -> str:
    """Return the line for one's own keys."""
    record = account.record
    return _line(
        {
            "type": "keys",
            "user_id": account.user_id,
            "epoch": record.epoch,
            "created": record.created,
            "identity": account.identity_hash.hex(),
        }
    )


def log_json(log: LogReplica) -> str:
    """Return the line for the server's key log."""
    (size, root), claims = log.known, log.settled_claims()
    return _line(
        {
            "type": "log",
            "size": size,
            "root": root.hex(),
            "checked": log.size,
            "agree": [peer for peer, agrees in claims if agrees],
            "disagree": [peer for peer, agrees in claims if not agrees],
            "alarm": log.alarm,
        }
    )


def status_json(status: Status) -> str:
    """Return the line for how things stand."""
    return _line({"type": "status", **asdict(status)})


def contact_json(user_id: str, trust: str, standing: str, entry: Entry) -> str:
    """Return the line for a contact."""
    return _line(
        {
            "type": "contact",
            "user_id": user_id,
            "trust": trust,
            "standing": standing,
            "alias": entry.alias,
            "note": entry.note,
            "muted": entry.muted,
            "kept_s": entry.kept_s,
            "lifetime_s": entry.lifetime_s,
        }
    )


def setting_json(name: str, value: object, origin: Mapping[str, object]) -> str:
    """Return the line for a setting of the client's, and where it is from."""
    return _line({"type": "setting", "name": name, "value": value, **origin})


def _line(data: dict[str, object]) -> str:
    text = json.dumps({"v": VERSION, **data})
    return text.replace("\x7f", "\\u007f")  # DEL: the one control that JSON leaves as it is


def _about(quote: Quote | None) -> dict[str, object] | None:
    """Return what names a text: None for one that is not here."""
    return {"number": quote.number, "id": quote.id.hex(), "own": quote.outgoing} if quote is not None else None


def _message(message: MessageReceived) -> dict[str, object]:
    return {
        "type": "message",
        "id": message.id.hex(),
        "from": message.peer,
        "trust": message.trust,
        "text": message.text,
        "timestamp": message.timestamp,
        "counter": message.counter,
        "number": message.number,
        **({"answers": _about(message.quote)} if message.quote is not None else {}),
        **({"lifetime_s": message.lifetime_s} if message.lifetime_s is not None else {}),
    }


def _data(event: Event) -> dict[str, object] | None:  # noqa: C901, PLR0911, PLR0912 - a table, a row for each event
    match event:
        case MessageReceived():
            return _message(event)
        case MessageEdited(id=message_id, peer=peer, quote=quote):
            text = quote.text if quote is not None else None
            return {"type": "edit", "id": message_id.hex(), "from": peer, "about": _about(quote), "text": text}
        case MessageDeleted(id=message_id, peer=peer, quote=quote):
            return {"type": "delete", "id": message_id.hex(), "from": peer, "about": _about(quote)}
        case MessageReaction(id=message_id, peer=peer, quote=quote, emoji=emoji):
            return {"type": "react", "id": message_id.hex(), "from": peer, "about": _about(quote), "emoji": emoji}
        case TimerChanged(id=message_id, peer=peer, lifetime_s=lifetime_s):
            return {"type": "timer", "id": message_id.hex(), "from": peer, "lifetime_s": lifetime_s}
        case MessagesExpired(peer=peer, count=count):
            return {"type": "expired", "with": peer, "count": count}
        case MessageRequested(peer=peer):
            return {"type": "request", "from": peer}
        case MessagesMissing(peer=peer, count=count):
            return {"type": "missing", "from": peer, "count": count}
        case IdentityChanged(peer=peer):
            return {"type": "identity-changed", "from": peer}
        case IdentityRotated(peer=peer):
            return {"type": "identity-rotated", "from": peer}
        case IdentityRevoked(peer=peer):
            return {"type": "identity-revoked", "from": peer}
        case ServerHolds(rows=rows, last=last):
            held = [{"table": table, "columns": columns} for table, columns in rows]
            return {"type": "server-holds", "rows": held, "last": last}
        case ContactErased(peer=peer):
            return {"type": "account-erased", "from": peer}
        case LogAlarm(reason=reason):
            return {"type": "log-alarm", "reason": reason}
        case LogWithheld():
            return {"type": "log-withheld"}
        case LogDisagrees(peer=peer):
            return {"type": "log-disagrees", "from": peer}
        case EnvelopeRefused(peer=peer):
            return {"type": "refused", "from": peer}
        case _:
            return None
