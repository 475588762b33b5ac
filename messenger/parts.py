"""Of what the engine is made: the tables that remember, and the parts that work on them, each given what it needs.

Nothing happens here. Who knows whom in this wing is to be read off the two constructors.
"""

from __future__ import annotations

from messenger.address_book import AddressBook
from messenger.archive import Archive
from messenger.beginnings import Beginnings
from messenger.changes import Changes
from messenger.contacts import Contacts
from messenger.database import Database
from messenger.decisions import Decisions
from messenger.door import Door
from messenger.expiry import Expiry
from messenger.history import History
from messenger.identities import Identities
from messenger.inbox import Inbox
from messenger.introductions import Introductions
from messenger.keyring import Keyring
from messenger.line import Line, Step
from messenger.log_in import LogIn
from messenger.log_replica import LogReplica
from messenger.log_watch import LogWatch
from messenger.outbox import Outbox
from messenger.preferences import Preferences
from messenger.proofs import Proofs
from messenger.protection import Protection
from messenger.receipts import Receipts
from messenger.rotation import Rotation
from messenger.sealing import Sealer
from messenger.sending import Sending
from messenger.server_data import ServerData
from messenger.stock import Stock
from messenger.suites import suites
from messenger.suites.own_prekeys import OwnPrekeys
from messenger.suites.sessions import Sessions
from messenger.writing import Writing


class Tables:
    """What an account remembers, all of it in one database."""

    def __init__(self, database: Database, preferences: Preferences) -> None:
        """Work on a database."""
        self.database = database
        self.contacts = Contacts(database)
        self.door = Door(database, ajar=not preferences.requests)
        self.book = AddressBook(database)
        self.history = History(database)
        self.archive = Archive(database)
        self.changes = Changes(database, self.book)
        self.expiry = Expiry(database, self.changes)
        self.outbox = Outbox(database)
        self.sessions = Sessions(database)
        self.prekeys = OwnPrekeys(database)
        self.log = LogReplica(database)


class Parts:
    """What works on the tables, over one line; every change runs inside a step of the engine's."""

    def __init__(self, keyring: Keyring, tables: Tables, preferences: Preferences, step: Step) -> None:
        """Join them.

        Args:
            keyring: The account's identities.
            tables: What it remembers.
            preferences: What the person has chosen.
            step: Runs a step: what the person writes and decides is one each.
        """
        self.line = Line()
        self.protection = _protection(tables, preferences)
        self._ours(keyring, tables)
        self._theirs(keyring, tables)
        self._messages(keyring, tables, preferences)
        self._person(keyring, tables, preferences, step)

    def _ours(self, keyring: Keyring, tables: Tables) -> None:
        """Make what is between the account and the server."""
        self.log_in = LogIn(self.line, keyring)
        self.rotation = Rotation(self.line, keyring, tables.contacts, tables.door, tables.outbox)
        self.stock = Stock(self.line, keyring, tables.prekeys, tables.sessions, self.protection)
        self.data = ServerData(self.line, keyring)
        self.proofs = Proofs(self.line, keyring, tables.archive, tables.history, tables.log)

    def _theirs(self, keyring: Keyring, tables: Tables) -> None:
        """Make what looks at who others are."""
        self.identities = Identities(self.line, keyring, tables.contacts, tables.log)
        self.watch = LogWatch(self.line, keyring, tables.contacts, self.identities, tables.log)

    def _messages(self, keyring: Keyring, tables: Tables, preferences: Preferences) -> None:
        """Make the way in and the way out, and what waits on either for a look at somebody."""
        contacts, history, outbox, door = tables.contacts, tables.history, tables.outbox, tables.door
        self.inbox = Inbox(keyring, tables.database, contacts, history, self.protection, door, tables.changes)
        self.receipts = Receipts(self.inbox, history, outbox, door, of_reading=preferences.read_receipts)
        sealer = Sealer(keyring, contacts, history, outbox, tables.log, self.protection)
        beginnings = Beginnings(self.line, keyring, tables.sessions)
        self.sending = Sending(self.line, self.identities, contacts, history, outbox, sealer, beginnings)
        self.introductions = Introductions(
            self.line, keyring, self.identities, self.watch, self.inbox, self.sending
        )  # fmt: skip

    def _person(self, keyring: Keyring, tables: Tables, preferences: Preferences, step: Step) -> None:
        """Make what the person decides and writes."""
        contacts, door, changes = tables.contacts, tables.door, tables.changes
        self.decisions = Decisions(
            step, self.line, contacts, self.identities, self.inbox, door, self.receipts, changes
        )  # fmt: skip
        self.writing = Writing(
            step, self.line, keyring, contacts, tables.history, tables.archive, changes, tables.book, tables.outbox,
            door, self.decisions, typing=preferences.typing,
        )  # fmt: skip


def _protection(tables: Tables, preferences: Preferences) -> Protection:
    """Return the suites that are spoken."""
    table = suites(tables.sessions, tables.prekeys)
    spoken = {number: suite for number, suite in table.items() if number in preferences.spoken}
    return Protection(spoken, minimum=preferences.minimum_suite)
