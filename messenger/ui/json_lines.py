"""What programs read: lines of JSON, and the data of which they are made. README.md documents them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from messenger.account import Account
from messenger.archive import Said
from messenger.events import Quote
from messenger.log_replica import LogReplica
from messenger.profile import Profile
from messenger.status import Status

VERSION: Final = 1  # of these lines; keys are added under it, never changed

Data = dict[str, object]


def json_line(data: Data) -> str:
    """Return data as a line, all of it printable ASCII."""
    text = json.dumps({"v": VERSION, **data})
    return text.replace("\x7f", "\\u007f")  # DEL: the one control that JSON leaves as it is


def about(quote: Quote | None) -> Data | None:
    """Return what names a text: None for one that is not here."""
    return {"number": quote.number, "id": quote.id.hex(), "own": quote.outgoing} if quote is not None else None


def said_data(said: Said, steps: Sequence[tuple[str, int]] = (), proof: bytes | None = None) -> Data:
    """Return the data of a message of the archive, with what is known of its way if that is given.

    That is the states that it has reached and when,
    and the server's word as in docs/PROTOCOL.md section 4.10.
    """
    return {
        "type": "message",
        "number": said.number,
        "id": said.id.hex(),
        "to" if said.outgoing else "from": said.peer,
        "text": said.text,
        "timestamp": said.timestamp,
        "stored_at": said.stored_at,
        "state": said.state,
        **({"reason": said.reason} if said.reason is not None else {}),
        **({"answers": about(said.quote)} if said.quote is not None else {}),
        **({"edited": True} if said.edited else {}),
        **({"deleted": True} if said.deleted else {}),
        **({"reactions": dict(zip(("ours", "theirs"), said.reactions, strict=True))} if any(said.reactions) else {}),
        **({"expires_at": said.expires_at} if said.expires_at is not None else {}),
        **({"steps": dict(steps)} if steps else {}),
        **({"acceptance": json.loads(proof)} if proof is not None else {}),
    }


def sent_data(message_id: bytes, peer: str, state: str) -> Data:
    """Return the data of what was written just now."""
    return {"type": "sent", "id": message_id.hex(), "to": peer, "state": state}


def safety_number_data(peer: str, trust: str, number: str) -> Data:
    """Return the data of a safety number, 60 digits."""
    return {"type": "safety-number", "user_id": peer, "trust": trust, "number": number}


def keys_data(account: Account) -> Data:
    """Return the data of one's own keys."""
    record = account.record
    return {
        "type": "keys",
        "user_id": account.user_id,
        "epoch": record.epoch,
        "created": record.created,
        "identity": account.identity_hash.hex(),
    }


def log_data(log: LogReplica) -> Data:
    """Return the data of the server's key log."""
    (size, root), claims = log.known, log.settled_claims()
    return {
        "type": "log",
        "size": size,
        "root": root.hex(),
        "checked": log.size,
        "agree": [peer for peer, agrees in claims if agrees],
        "disagree": [peer for peer, agrees in claims if not agrees],
        "alarm": log.alarm,
    }


def status_data(status: Status) -> Data:
    """Return the data of how things stand."""
    return {"type": "status", **asdict(status)}


def contact_data(contact: Profile) -> Data:
    """Return the data of a contact."""
    entry = contact.entry
    return {
        "type": "contact",
        "user_id": contact.user_id,
        "trust": contact.trust,
        "standing": contact.standing,
        "alias": entry.alias,
        "note": entry.note,
        "muted": entry.muted,
        "kept_s": entry.kept_s,
        "lifetime_s": entry.lifetime_s,
    }


def setting_data(name: str, value: object, origin: Mapping[str, object]) -> Data:
    """Return the data of a setting of the client's, and where it is from."""
    return {"type": "setting", "name": name, "value": value, **origin}
