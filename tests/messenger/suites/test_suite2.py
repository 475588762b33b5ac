"""Two devices with suite 2 over real databases: any order, loss, doubling, crashes and old copies, by Hypothesis."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from canonical_json import without
from crypto_utils import Label, PrivateKeys, decode_base64, encode_base64, sign
from errors import CryptoError
from identity import create_record
from messenger.account import Account
from messenger.database import Database
from messenger.suites import handshake, ratchet
from messenger.suites.draft import Draft
from messenger.suites.errors import NoSessionError, UnopenedError
from messenger.suites.handshake import Party, Theirs
from messenger.suites.own_prekeys import OwnPrekeys
from messenger.suites.sessions import Session, Sessions
from messenger.suites.suite2 import Suite2
from protocol import Envelope, Message, PrekeysHeld

KEYS = [PrivateKeys.generate() for _ in range(2)]
PASSWORD = b"password of a test"
EXAMPLES = int(os.environ.get("EXAMPLES", "20"))  # of 50 steps each


class CrashError(Exception):
    """The program ends in the middle of a transaction."""


class Device:
    """One end."""

    def __init__(self, folder: Path, name: str, keys: PrivateKeys) -> None:
        self.account = Account(name, keys, create_record(keys, name, created=1, suites=[1, 2]))
        self.path = folder / f"{name}.db"
        self.copy: Path | None = None
        self.open()
        with self.database.transaction():
            self.frames = self.prekeys.lacking(PrekeysHeld(one_time=95, signed=0), self.account, now=1)
            self.frames += self.prekeys.lacking(PrekeysHeld(one_time=49, signed=1), self.account, now=1)

    def open(self) -> None:
        self.database = Database(self.path, PASSWORD)
        self.sessions, self.prekeys = Sessions(self.database), OwnPrekeys(self.database)
        self.suite = Suite2(self.sessions, self.prekeys)

    def restart(self) -> None:
        self.database.close()
        self.open()

    def contents(self) -> list[object]:
        """Everything but whether a session is still sent in."""
        query = "SELECT id, peer, device_id, own_key, their_key, state, handshake, rank FROM session ORDER BY id"
        return [
            self.database.rows(query),
            self.database.rows("SELECT * FROM skipped_key ORDER BY 1, 2, 3"),
            self.database.rows("SELECT * FROM own_prekey ORDER BY id"),
        ]


class Conversation(RuleBasedStateMachine):
    """Two devices, and what is under way to each."""

    @initialize(old_copies=st.booleans())
    def meet(self, old_copies: bool) -> None:
        self.old_copies = old_copies
        self.folder = Path(tempfile.mkdtemp())
        self.devices = [Device(self.folder, name, keys) for name, keys in zip(("alice", "bob"), KEYS, strict=True)]
        self.wire: list[list[tuple[int, Envelope]]] = [[], []]  # to each: number of the message, envelope
        self.opened: set[int] = set()
        self.contents: set[str] = set()  # sealed ones
        self.written = 0
        self.apart = False  # whether a database went back: from then on something may not open

    def teardown(self) -> None:
        for device in self.devices:
            device.database.close()
        shutil.rmtree(self.folder)

    # ------------------------------------------------------------ writing

    def seal(self, who: int) -> Envelope:
        """Seal the next message, in a session that is begun if need be."""
        sender, recipient = self.devices[who], self.devices[1 - who]
        draft = Draft(Message, self.written.to_bytes(16, "big"), 1)
        content = str(self.written).encode()
        try:
            return sender.suite.encrypt(sender.account, recipient.account.record, draft, content)
        except NoSessionError:
            self.begin(sender, recipient)
        return sender.suite.encrypt(sender.account, recipient.account.record, draft, content)

    def begin(self, sender: Device, recipient: Device) -> None:
        """Begin a session with the signed prekey, and half of the time with a one-time prekey that nobody used."""
        rows = recipient.database.rows("SELECT id, one_time FROM own_prekey ORDER BY one_time, id")
        signed = next(number for number, one_time in rows if not one_time)
        unused = [number for number, one_time in rows if one_time]
        one_time = unused[0] if unused and self.written % 2 else 0
        ours = recipient.prekeys.find(signed, one_time)
        assert ours is not None
        public = Theirs(signed, ours.signed.public, one_time, ours.one_time.public if ours.one_time else None)
        agreed, begun = handshake.begin(sender.account, Party(recipient.account.record, 1), public)
        state = ratchet.begin(agreed.shared, public.signed)
        ends = (recipient.account.user_id, 1, sender.account.key_id, recipient.account.key_id)
        sender.sessions.add(Session(agreed.session_id, *ends, state, begun), now=1)

    @rule(who=st.integers(0, 1))
    def write(self, who: int) -> None:
        with self.devices[who].database.transaction():
            envelope = self.seal(who)
        self.wire[1 - who].append((self.written, envelope))
        assert envelope.encrypted_content not in self.contents
        self.contents.add(envelope.encrypted_content)
        self.written += 1

    @rule(who=st.integers(0, 1))
    def write_and_crash(self, who: int) -> None:
        """Before the state is on disk; nothing has gone out."""
        device = self.devices[who]
        with pytest.raises(CrashError), device.database.transaction():
            self.seal(who)
            raise CrashError
        device.restart()

    # ------------------------------------------------------------ reading

    def open(self, who: int, envelope: Envelope) -> bytes | None:
        reader, writer = self.devices[who], self.devices[1 - who]
        before = reader.contents()
        try:
            return reader.suite.decrypt(reader.account, writer.account.record, envelope, now=1)
        except UnopenedError:
            assert reader.contents() == before  # what fails has changed nothing
            return None

    @precondition(lambda self: any(self.wire))
    @rule(who=st.integers(0, 1), at=st.integers(0, 1000), again=st.booleans(), crash=st.booleans())
    def deliver(self, who: int, at: int, again: bool, crash: bool) -> None:
        """Deliver something that is under way, perhaps to come again, perhaps to a program that ends at once."""
        if not self.wire[who]:
            return
        number, envelope = self.wire[who][at % len(self.wire[who])]
        device = self.devices[who]
        if crash:
            with pytest.raises(CrashError), device.database.transaction():
                self.open(who, envelope)
                raise CrashError
            device.restart()
            return
        with device.database.transaction():
            content = self.open(who, envelope)
        if content is None:
            assert number in self.opened or self.apart
        else:
            assert content == str(number).encode()
            assert number not in self.opened or self.apart
            self.opened.add(number)
        if not again:
            self.wire[who].remove((number, envelope))

    @precondition(lambda self: any(self.wire))
    @rule(who=st.integers(0, 1), at=st.integers(0, 1000))
    def lose(self, who: int, at: int) -> None:
        if self.wire[who]:
            self.wire[who].pop(at % len(self.wire[who]))

    @precondition(lambda self: any(self.wire))
    @rule(who=st.integers(0, 1), at=st.integers(0, 1000), place=st.integers(0, 10**6), signed=st.booleans())
    def change(self, who: int, at: int, place: int, signed: bool) -> None:
        """Somebody in between changes a byte; or the sender's own client does, and signs that."""
        if not self.wire[who]:
            return
        _, envelope = self.wire[who][at % len(self.wire[who])]
        reader, writer = self.devices[who], self.devices[1 - who]
        data = bytearray(decode_base64(envelope.encrypted_aes_key))
        data[place % len(data)] ^= 1
        changed = msgspec.structs.replace(envelope, encrypted_aes_key=encode_base64(bytes(data)))
        if signed:
            signature = sign(writer.account.keys.ed25519, Label.ENVELOPE_2, without(changed, "signature"))
            changed = msgspec.structs.replace(changed, signature=encode_base64(signature))
        before = reader.contents()
        with pytest.raises(CryptoError), reader.database.transaction():
            reader.suite.decrypt(reader.account, writer.account.record, changed, now=1)
        assert reader.contents() == before

    # ------------------------------------------------------------ old copies

    @precondition(lambda self: self.old_copies)
    @rule(who=st.integers(0, 1))
    def copy(self, who: int) -> None:
        device = self.devices[who]
        device.database.close()
        device.copy = Path(shutil.copy(device.path, device.path.with_suffix(".copy")))
        device.open()

    @precondition(lambda self: self.old_copies)
    @rule(who=st.integers(0, 1))
    def put_back(self, who: int) -> None:
        device = self.devices[who]
        if device.copy is None:
            return
        device.database.close()
        shutil.copy(device.copy, device.path)
        device.open()
        self.apart = True

    @invariant()
    def few_sessions(self) -> None:
        for device in getattr(self, "devices", ()):
            assert len(device.database.rows("SELECT 1 FROM session")) <= 8


TestConversations = pytest.mark.usefixtures("quick_database")(Conversation.TestCase)
TestConversations.settings = settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None)
