"""A server that shows two people two histories, each without a fault in itself."""

from __future__ import annotations

import shutil

import msgspec

from protocol import Frame, Identity, Log
from records import IdentityRecord
from relay.log_keeper import LogKeeper
from relay.storage.sqlite import SqliteStore
from tests.messenger.people import Person, Town
from tests.relay.world import LOG_KEY


class Fork:
    """A second log of a server, which it shows to one of its users."""

    def __init__(self, town: Town, victim: Person) -> None:
        self.town, self.victim, self.to_victim = town, victim, False
        town.world.store.close()
        shutil.copy(town.folder / "relay.db", town.folder / "fork.db")
        town.world.open()
        for person in town.people.values():
            person.go_offline()
        self.store = SqliteStore(town.folder / "fork.db")
        self.keeper = LogKeeper(self.store, LOG_KEY)
        town.inward = self.inward

    def enter(self, record: IdentityRecord) -> None:
        with self.store.transaction():
            self.keeper.append(record.user_id, record)

    def inward(self, frame: Frame) -> list[Frame]:
        known, now = self.victim.messenger.log.known[0], self.town.world.now
        if not self.to_victim:
            return [frame]
        if isinstance(frame, Log):
            entries = self.keeper.page(start=frame.start, limit=1024)
            proof = self.keeper.prove(self.victim.user_id, [], known_size=known, now=now)
            return [msgspec.structs.replace(frame, entries=entries, proof=proof)]
        if isinstance(frame, Identity):
            events = [*frame.records, *frame.revocations]
            proof = self.keeper.prove(frame.records[0].user_id, events, known_size=known, now=now)
            return [msgspec.structs.replace(frame, proof=proof)]
        return [frame]

    def show(self) -> None:
        """Let the victim log in to this history."""
        self.to_victim = True
        self.victim.go_online()
        self.to_victim = False
