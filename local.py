"""One thing, and out: what the client does without the server when its command line names an action.

Standard output has what was asked for. What must never be here is a rule.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from messenger.account import AccountFiles
from messenger.address_book import MAX_KEPT_S, AddressBook
from messenger.archive import Said, Wanted, wanted
from messenger.backup import write_backup
from messenger.durations import seconds, unless_off
from messenger.engine import Messenger
from messenger.exporting import export_lines, export_to
from messenger.opening import change_password
from messenger.profile import Profile, profile_of, profiles
from messenger.ui import Face
from messenger.ui.json_lines import contact_data, json_line, keys_data, log_data, safety_number_data, said_data
from messenger.ui.qr import qr_code
from messenger.ui.text import (
    accepted_line,
    alias_line,
    allowed_line,
    blocked_line,
    contact_line,
    keep_line,
    kept_line,
    log_lines,
    mute_line,
    note_line,
    own_keys_line,
    safety_number_lines,
    said_line,
)
from one_shot import log_alarm, way_lines
from session import wall_time


class Local:
    """The action that the options name, on an open account."""

    def __init__(
        self,
        options: argparse.Namespace,
        face: Face,
        messenger: Messenger,
        files: AccountFiles,
        *,
        other_password: Callable[[], bytes],
    ) -> None:
        """Prepare it.

        Args:
            options: The command line.
            face: Where to show and tell.
            messenger: The account.
            files: Its files.
            other_password: Asks for a new password.
        """
        self._options = options
        self._face = face
        self._messenger = messenger
        self._files = files
        self._other_password = other_password

    def find(self) -> Callable[[], None] | None:
        """Return the action, or None for one that needs the server."""
        if self._options.action == "why" and self._options.ask:
            return None
        actions: dict[str | None, Callable[[], None]] = {
            "verify": self._verify,
            "log": self._log,
            "backup": self._backup,
            "history": self._history,
            "search": self._search,
            "why": self._why,
            "export": self._export,
            "contacts": self._contacts,
            "allow": self._allow,
            "block": self._block,
            "accept": self._accept,
            "keep": self._keep,
            "alias": self._alias,
            "note": self._note,
            "mute": self._mute,
            "keep-for": self._keep_for,
        }
        if self._options.action != "keys":
            return actions.get(self._options.action)
        keys: dict[str | None, Callable[[], None]] = {
            None: self._show_keys,
            "show": self._show_keys,
            "password": self._change_password,
        }
        return keys.get(self._options.keys)

    # ------------------------------------------------------------ what was said

    def _history(self) -> None:
        """Show the last messages with somebody."""
        peer = self._messenger.book.meant(self._options.to)
        for said in self._messenger.archive.latest(peer, limit=self._options.count or self._options.number):
            self._face.show(self._line(said))

    def _line(self, said: Said) -> str:
        if self._options.json:
            return json_line(said_data(said))
        return said_line(self._messenger.book.named(said), numbered=True)

    def _why(self) -> None:
        """Show the way of the last message to somebody."""
        for line in way_lines(
            self._messenger, self._messenger.book.meant(self._options.to), as_json=self._options.json
        ):
            self._face.show(line)

    def _search(self) -> None:
        """Show the newest messages that are looked for."""
        words = " ".join(self._options.words)
        for said in self._messenger.archive.find(self._wanted(words), limit=self._options.number):
            self._face.show(self._line(said))

    def _wanted(self, words: str | None) -> Wanted:
        options = self._options
        peer = self._messenger.book.meant(options.peer) if options.peer is not None else None
        return wanted(words, peer, options.since, options.until)

    def _export(self) -> None:
        """Write every message, of everybody or of one, to standard output or into a file for the owner only."""
        lines = export_lines(self._messenger, self._wanted(None), as_json=self._options.json)
        if self._options.output is not None:
            export_to(self._options.output, lines)
            return
        for line in lines:
            self._face.show(line)

    def _contacts(self) -> None:
        """Show everybody this account has met, and how far their key is trusted."""
        for each in profiles(self._messenger):
            self._face.show(self._contact(each))

    def _decide(self, decision: Callable[[str], object], line: Callable[[str], str]) -> None:
        """Carry out a decision about a contact, and say so; what they hear of that goes out when the client runs next.

        Args:
            decision: Given their id.
            line: Says what is decided, of the name that they have then.
        """
        book = self._messenger.book
        peer = book.meant(self._options.to)
        decision(peer)
        if self._options.json:
            self._face.show(self._contact(profile_of(self._messenger, peer)))
        else:
            self._face.tell(line(book.name(peer)))

    def _contact(self, contact: Profile) -> str:
        return json_line(contact_data(contact)) if self._options.json else contact_line(contact)

    def _allow(self) -> None:
        self._decide(lambda peer: self._messenger.decisions.allow(peer, now=wall_time()), allowed_line)

    def _block(self) -> None:
        self._decide(lambda peer: self._messenger.decisions.block(peer, now=wall_time()), blocked_line)

    def _accept(self) -> None:
        self._decide(lambda peer: self._messenger.decisions.accept(peer, now=wall_time()), accepted_line)

    def _keep(self) -> None:
        self._decide(lambda peer: self._messenger.decisions.keep(peer, now=wall_time()), kept_line)

    def _remember(self, change: Callable[[AddressBook, str], None], line: Callable[[str], str]) -> None:
        """Change what is remembered of a conversation."""
        messenger = self._messenger

        def decision(peer: str) -> None:
            messenger.decisions.change_book(lambda: change(messenger.book, peer), now=wall_time())

        self._decide(decision, line)

    def _alias(self) -> None:
        peer, alias = self._messenger.book.meant(self._options.to), self._options.alias
        self._remember(lambda book, _peer: book.set_alias(peer, alias), lambda _name: alias_line(peer, alias))

    def _note(self) -> None:
        if self._options.note is None:
            present = self._messenger.book.entry(self._messenger.book.meant(self._options.to)).note
            self._decide(lambda _peer: None, lambda name: note_line(name, present))
            return
        note = unless_off(self._options.note)
        self._remember(lambda book, peer: book.set_note(peer, note), lambda name: note_line(name, note))

    def _mute(self) -> None:
        muted = self._options.muted == "on"
        self._remember(lambda book, peer: book.mute(peer, muted=muted), lambda name: mute_line(name, muted=muted))

    def _keep_for(self) -> None:
        kept_s = seconds(self._options.time, longest=MAX_KEPT_S)
        self._remember(lambda book, peer: book.keep(peer, kept_s), lambda name: keep_line(name, kept_s))

    # ------------------------------------------------------------ keys

    def _verify(self) -> None:
        """Show a safety number, or compare it with the one that the other sees."""
        messenger = self._messenger
        peer, compared = messenger.book.meant(self._options.to), " ".join(self._options.number)
        if compared:
            messenger.decisions.verify(peer, compared, now=wall_time())
            self._face.tell(f"* {peer} is verified: you have compared your keys")
            return
        number = messenger.decisions.safety_number(peer)
        trust = messenger.contacts.trust(peer)
        if self._options.json:
            self._face.show(json_line(safety_number_data(peer, trust, number)))
            return
        for line in safety_number_lines(peer, trust, number, same=f"client.py verify {peer} NUMBER"):
            self._face.show(line)
        if sys.stdout.isatty():
            self._face.show(qr_code(number))

    def _log(self) -> None:
        """Say how the key log stands."""
        if self._options.forget:
            self._messenger.forget_log(now=wall_time())
        log = self._messenger.log
        for line in [json_line(log_data(log))] if self._options.json else log_lines(log):
            self._face.show(line)
        if self._messenger.log.alarm is not None:  # that a contact says otherwise is no proof: the contact may lie
            raise log_alarm("this server may show people different keys")

    def _show_keys(self) -> None:
        account = self._messenger.account
        self._face.show(
            json_line(keys_data(account)) if getattr(self._options, "json", False) else own_keys_line(account)
        )

    def _change_password(self) -> None:
        change_password(self._messenger.keyring, self._messenger.database, self._files, self._other_password())
        self._face.tell("* the new password holds from now on")

    def _backup(self) -> None:
        """Write the account into one file."""
        write_backup(self._messenger.keyring, self._messenger.database, self._files, self._options.path)
        self._face.tell(f"* {self._options.path} holds the account {self._files.user_id}; its password opens it.")
        self._face.tell("  It serves once, and only until your keys change (keys rotate, restore): then make another.")
