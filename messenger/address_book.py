"""What is remembered of a conversation: what its person is called here, a note, and how long messages stay."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from errors import UsageError
from messenger.account import normalise_user_id
from messenger.database import Database
from records import is_user_id

MAX_ALIAS: Final = 32  # letters
MAX_NOTE: Final = 1000
MAX_KEPT_S: Final = 100 * 365 * 24 * 3600
_SHOWN: Final = {"L", "M", "N", "P", "S"}  # letters, marks, numbers, punctuation, symbols

T = TypeVar("T", bound=Any)  # a dataclass, mostly with a peer


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of one conversation."""

    alias: str = ""  # empty: they go by their id
    note: str = ""
    muted: bool = False  # whether nothing rings for it
    kept_s: int = 0  # how long its messages are kept here, seconds; 0: for ever
    lifetime_s: int = 0  # how long its texts live at both ends, seconds; 0: for ever
    timer_version: int = 0  # how often that was set


class AddressBook:
    """The table of conversations. Every change runs inside the caller's transaction."""

    def __init__(self, database: Database) -> None:
        """Work on a database."""
        self._db = database

    def entry(self, peer: str) -> Entry:
        """Return what is remembered of a conversation."""
        row = self._db.row(
            "SELECT coalesce(alias, ''), note, muted, kept_s, lifetime_s, timer_version FROM conversation"
            " WHERE peer = ?",
            peer,
        )
        return Entry(row[0], row[1], bool(row[2]), *row[3:]) if row else Entry()

    def _set(self, peer: str, column: str, value: object) -> None:
        self._db.run(
            f"INSERT INTO conversation (peer, {column}) VALUES (?1, ?2)"  # noqa: S608 - a constant
            f" ON CONFLICT (peer) DO UPDATE SET {column} = ?2",
            peer, value,
        )  # fmt: skip

    # ------------------------------------------------------------ names

    def name(self, peer: str) -> str:
        """Return what somebody is called here: an alias cannot be taken for the id of another."""
        return self.entry(peer).alias or peer

    def named(self, thing: T) -> T:
        """Return something with what its peer is called here in place of their id; what has no peer stays as it is."""
        peer = getattr(thing, "peer", None)
        name = self.name(peer) if peer is not None else None
        return thing if name == peer else replace(thing, peer=name)

    def aliases(self) -> dict[str, str]:
        """Return all aliases, and whose they are."""
        return dict(self._db.rows("SELECT alias, peer FROM conversation WHERE alias IS NOT NULL ORDER BY alias"))

    def meant(self, text: str) -> str:
        """Return the user id that a person means: by an alias, a phone number or a handle.

        Raises:
            UsageError: It can be none of them.
        """
        row = self._db.row("SELECT peer FROM conversation WHERE alias = ?", text.strip())
        return row[0] if row else normalise_user_id(text)

    def set_alias(self, peer: str, alias: str) -> None:
        """Call somebody by another name here; an empty one ends that.

        Raises:
            UsageError: It could be taken for an id, belongs to somebody else, or is no word.
        """
        if alias:
            _check_alias(alias)
            owner = self.aliases().get(alias, peer)
            if owner != peer:
                message = f"{alias} is {owner}"
                raise UsageError(message, hint="choose another name")
        self._set(peer, "alias", alias or None)

    # ------------------------------------------------------------ the rest

    def set_note(self, peer: str, note: str) -> None:
        """Remember a note; an empty one is none.

        Raises:
            UsageError: It is too long.
        """
        if len(note) > MAX_NOTE:
            message = f"a note has at most {MAX_NOTE} letters"
            raise UsageError(message, hint="shorten it")
        self._set(peer, "note", note)

    def mute(self, peer: str, *, muted: bool) -> None:
        """Ring no more for what somebody writes, or again."""
        self._set(peer, "muted", muted)

    def keep(self, peer: str, kept_s: int) -> None:
        """Keep the messages of a conversation here so many seconds from now on; 0 is for ever."""
        self._set(peer, "kept_s", kept_s)

    def set_timer(self, peer: str, lifetime_s: int, version: int) -> None:
        """Have the texts of a conversation live so long from now on; 0 is for ever."""
        self._set(peer, "lifetime_s", lifetime_s)
        self._set(peer, "timer_version", version)


def _check_alias(alias: str) -> None:
    if is_user_id(alias):
        message = f"{alias} could be somebody's handle or number"
        raise UsageError(message, hint="write it with a capital letter: those have none")
    shown = all(unicodedata.category(letter)[0] in _SHOWN for letter in alias)
    if not 0 < len(alias) <= MAX_ALIAS or not shown or not alias[0].isalpha() or ":" in alias:
        message = f"{alias!r} is no name"
        raise UsageError(message, hint=f"one word of at most {MAX_ALIAS} letters, and a letter first")
