"""How things stand with an account, in one look."""

from __future__ import annotations

from dataclasses import dataclass

from messenger.engine import Messenger


@dataclass(frozen=True, slots=True)
class Status:
    """How things stand."""

    user_id: str
    online: bool
    epoch: int  # of the account's keys
    unread: dict[str, int]  # messages, by contact
    outbox: int  # messages that are not at the server yet
    requests: list[str]  # contacts who have written and were not let in
    changed: list[str]  # contacts whose key has changed
    log_alarm: str | None  # why the server is not believed


def status_of(messenger: Messenger) -> Status:
    """Return how things stand now."""
    return Status(
        user_id=messenger.account.user_id,
        online=messenger.online,
        epoch=messenger.account.record.epoch,
        unread=messenger.archive.unread(),
        outbox=messenger.outbox.count_messages(),
        requests=[peer for peer, standing in messenger.door.all().items() if standing == "request"],
        changed=[peer for peer, trust in messenger.contacts.all() if trust == "changed"],
        log_alarm=messenger.log.alarm,
    )
