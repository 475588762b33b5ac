"""What there is to know of a contact, in one look."""

from __future__ import annotations

from dataclasses import dataclass

from messenger.address_book import Entry
from messenger.door import Standing
from messenger.engine import Messenger


@dataclass(frozen=True, slots=True)
class Profile:
    """A contact."""

    user_id: str
    trust: str  # how far their key is trusted, as in Trust, or `new`
    standing: Standing
    entry: Entry  # of the address book


def profile_of(messenger: Messenger, user_id: str) -> Profile:
    """Return what there is to know of somebody, who may not have been met yet."""
    trust, standing = messenger.contacts.trust(user_id), messenger.door.of(user_id)
    return Profile(user_id, trust, standing, messenger.book.entry(user_id))


def profiles(messenger: Messenger) -> list[Profile]:
    """Return everybody whom the account has met."""
    standings, entry = messenger.door.all(), messenger.book.entry
    return [Profile(user_id, trust, standings[user_id], entry(user_id)) for user_id, trust in messenger.contacts.all()]
