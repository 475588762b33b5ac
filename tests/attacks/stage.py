"""Two people, and somebody in between who has the server, the wire, or an account of their own."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from sqlcipher3 import dbapi2 as sqlcipher

from canonical_json import canonical
from messenger.content import Content, pack
from messenger.history import History
from messenger.suites.draft import Draft
from messenger.suites.suite1 import Suite1
from protocol import Delivery, Envelope, Frame, Message, Receipt, decode_envelope
from tests.messenger.people import Person, Town


class Stage:
    def __init__(self, town: Town) -> None:
        self.town = town
        self.alice, self.bob = town.person("alice"), town.person("bob")
        self.alice.write("bob", "hello")
        self.bob.write("alice", "hello yourself")
        self.bob.events.clear()
        self._sequence = 10_000

    def recorded(self, sender: Person, recipient: str, text: str) -> Envelope:
        """Have somebody write, and keep the envelope from its recipient: the server can."""
        kept: list[Delivery] = []

        def keep(frame: Frame) -> list[Frame]:
            if isinstance(frame, Delivery):
                kept.append(frame)
                return []
            return [frame]

        self.town.inward = keep
        sender.write(recipient, text)
        self.town.inward = lambda frame: [frame]
        return decode_envelope(kept[0].envelope)

    def deliver(self, recipient: Person, *envelopes: Envelope) -> None:
        """Push envelopes, as a server that was changed would."""
        for envelope in envelopes:
            self._sequence += 1
            delivery = Delivery(envelope=msgspec.Raw(canonical(envelope)), sequence=self._sequence)
            recipient.take(recipient.messenger.receive([delivery], now=self.town.now))
        self.town.run()


def remember_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have devices take in what they had before."""
    add: Any = History.add_received

    def store(*arguments: Any, **how: Any) -> None:
        with suppress(sqlcipher.Error):  # it is there
            add(*arguments, **how)

    monkeypatch.setattr(History, "was_seen", lambda *_: False)
    monkeypatch.setattr(History, "add_received", store)


def sealed(sender: Person, recipient: Person, content: Content, kind: type[Message | Receipt] = Message) -> Envelope:
    """Seal any content, as a client that was changed would."""
    return sealed_bytes(sender, recipient, pack(content), kind)


def sealed_bytes(
    sender: Person, recipient: Person, content: bytes, kind: type[Message | Receipt] = Message
) -> Envelope:
    """Seal anything at all."""
    draft = Draft(kind, os.urandom(16), 1_700_000_000)
    return Suite1().encrypt(sender.account, recipient.account.record, draft, content)
