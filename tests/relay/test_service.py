"""The relay as a whole: links, the commands that go with them, and long histories against a model."""

from __future__ import annotations

import logging
import secrets
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from canonical_json import canonical
from crypto_utils import PrivateKeys, encode_base64
from errors import Code
from protocol import (
    Accepted,
    Acknowledge,
    Delivery,
    Envelope,
    FetchIdentity,
    Frame,
    Goodbye,
    Hello,
    LoggedIn,
    Message,
    Receipt,
    Refusal,
    Rejected,
    RequestCode,
    Welcome,
)
from relay.actions import Action, HangUp, Outgoing
from relay.limits import DAY, Limits
from relay.storage import Address
from tests.relay.world import LOG_SPKI, World, frames_to

# ---------------------------------------------------------------- links


def test_greets_with_a_fresh_nonce_each_time(world: World) -> None:
    assert len({world.visit("link").nonce for _ in range(20)}) == 20


@pytest.mark.parametrize(("offered", "chosen"), [([99, 1, 98], 1), ([1, 3, 2], 3), ([2, 1, 99], 2)])
def test_chooses_the_newest_version_that_both_speak(
    world: World, monkeypatch: pytest.MonkeyPatch, offered: list[int], chosen: int
) -> None:
    monkeypatch.setattr("relay.service.VERSIONS", (1, 2, 3))
    world.relay.opened("link", "192.0.2.1")
    reply = world.reply("link", Hello(nonce=bytes(32), versions=offered))
    assert isinstance(reply, Welcome)
    assert reply.version == chosen


def test_hangs_up_on_a_client_of_another_version(world: World) -> None:
    world.relay.opened("link", "192.0.2.1")
    assert world.do("link", Hello(nonce=bytes(32), versions=[99])) == [HangUp("link", Code.UNSUPPORTED_VERSION)]


def test_passes_over_frames_of_a_link_that_it_does_not_know(world: World) -> None:
    assert world.do("nobody", Hello(nonce=bytes(32), versions=[1])) == []
    assert world.relay.closed("nobody") == []


def test_passes_over_frames_of_a_link_that_has_ended(world: World) -> None:
    world.visit("link")
    assert world.do("link", Goodbye(code=Code.SHUTTING_DOWN)) == []
    assert world.do("link", FetchIdentity(epoch=0, log_size=0, user_id="alice")) == []
    assert world.relay.closed("link") == []


def test_remembers_nothing_of_links_that_have_ended(pair: World) -> None:
    pair.login("bob")
    for link in ("alice", "bob"):
        pair.relay.closed(link)
    assert (pair.relay._visitors, pair.relay._presence._online) == ({}, {})


def test_a_refusal_names_what_was_refused(pair: World) -> None:
    """An envelope by its id, which the sender waits for; any other command by its type and subject."""
    envelope = pair.envelope("alice", "nobody")
    assert pair.reply("alice", envelope) == Rejected(code=Code.UNKNOWN_USER, id=envelope.id)
    assert pair.reply("alice", FetchIdentity(epoch=0, log_size=0, user_id="nobody")) == Refusal(
        code=Code.UNKNOWN_USER, command="fetch_identity", retry_after_s=0, subject="nobody"
    )


def test_the_log_names_no_accounts_and_no_codes(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The seed's failure 18: the server's output told who talks to whom, and the codes."""
    caplog.set_level(logging.DEBUG)
    world.with_pair()
    world.login("bob")
    world.send("alice", "bob")
    world.rejection("alice", world.envelope("alice", "nobody"))
    world.visit("link")
    record = world.identity("carol", 2)
    code = world.code("link", record)
    world.register_with("link", record, "000000" if code != "000000" else "000001")
    assert "unknown_user" in caplog.text
    assert "wrong_code" in caplog.text
    for secret in ("alice", "bob", "nobody", "carol", "192.0.2", code):
        assert secret not in caplog.text


# ---------------------------------------------------------------- long histories

USERS = ("alice", "bob", "carol")
LIMITS = Limits(stranger_pending=2, mailbox_limit=5, delivery_window=3, delivery_window_size=4000, retention_s=10 * DAY)
users = st.sampled_from(USERS)
devices = st.integers(1, 2)


@cache
def machine_keys() -> list[PrivateKeys]:
    return [PrivateKeys.generate() for _ in USERS]


@dataclass
class Row:
    """An envelope in a mailbox, as the model sees it."""

    envelope: bytes
    sender: str
    received_at: int
    sequence: int | None = None  # learnt when it is pushed first


@dataclass
class Client:
    """A device that is online: what it was pushed over its link."""

    link: str
    pushed: list[Row] = field(default_factory=list)
    unacknowledged: list[Row] = field(default_factory=list)


class Histories(RuleBasedStateMachine):
    """People register, write, fetch, leave and come back; the relay crashes, forgets, and fails to commit.

    The model knows the outcome of every command. Of what was accepted nothing is lost, nothing comes out of
    order, each envelope is pushed over every link until it was acknowledged, and never after.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name) / "relay.db", machine_keys(), LIMITS)
        self.links = 0
        self.registered: set[str] = set()
        self.mailboxes: dict[Address, list[Row]] = {}
        self.clients: dict[Address, Client] = {}
        self.accepted: dict[tuple[str, bytes], tuple[Envelope, int]] = {}
        self.written: set[tuple[str, str]] = set()

    def teardown(self) -> None:
        for address in self.mailboxes:
            self.fetch_all(address)
        self.world.close()
        self.folder.cleanup()

    # ------------------------------------------------------------ what the relay does, held against the model

    def take(self, actions: list[Action]) -> list[Frame]:
        """Look at everything that is pushed, and return the rest."""
        rest: list[Frame] = []
        for action in actions:
            assert isinstance(action, Outgoing), action
            for frame in frames_to(str(action.link), [action]):
                if isinstance(frame, Delivery):
                    self.take_delivery(str(action.link), frame)
                else:
                    rest.append(frame)
        return rest

    def take_delivery(self, link: str, delivery: Delivery) -> None:
        ((address, client),) = ((a, c) for a, c in self.clients.items() if c.link == link)
        expected = next(row for row in self.mailboxes[address] if row not in client.pushed)
        assert bytes(delivery.envelope) == expected.envelope
        assert expected.sequence in {None, delivery.sequence}
        assert not client.pushed or delivery.sequence > (client.pushed[-1].sequence or 0)
        expected.sequence = delivery.sequence
        assert self.has_room(client)
        client.pushed.append(expected)
        client.unacknowledged.append(expected)

    @staticmethod
    def has_room(client: Client) -> bool:
        size = sum(len(row.envelope) for row in client.unacknowledged)
        return len(client.unacknowledged) < LIMITS.delivery_window and size < LIMITS.delivery_window_size

    def outcome(self, envelope: Envelope) -> Code | None:
        """Say what must become of a new envelope."""
        if envelope.recipient_id not in self.registered:
            return Code.UNKNOWN_USER
        for address in self.addresses(envelope):
            rows = self.mailboxes[address]
            stranger = (envelope.recipient_id, envelope.sender_id) not in self.written
            if stranger and sum(row.sender == envelope.sender_id for row in rows) >= LIMITS.stranger_pending:
                return Code.STRANGER_LIMIT
            if len(rows) >= LIMITS.mailbox_limit:
                return Code.MAILBOX_FULL
        return None

    @staticmethod
    def addresses(envelope: Envelope) -> list[Address]:
        chosen = [envelope.recipient_device] if envelope.recipient_device else [1, 2]
        return [Address(envelope.recipient_id, device) for device in chosen]

    def store(self, envelope: Envelope) -> None:
        now = self.world.now.wall_s
        for address in self.addresses(envelope):
            self.mailboxes[address].append(Row(canonical(envelope), envelope.sender_id, now))
        self.accepted[envelope.sender_id, envelope.id] = (envelope, now)
        if isinstance(envelope, Message):
            self.written.add((envelope.sender_id, envelope.recipient_id))

    # ------------------------------------------------------------ rules

    @rule(user=users)
    def register(self, user: str) -> None:
        self.world.pass_time(600)  # codes are rationed
        if user not in self.registered:
            self.world.register(user, USERS.index(user))
            self.world.add_device(user, 2)
            self.registered.add(user)
            self.mailboxes.update({Address(user, device): [] for device in (1, 2)})
            return
        self.world.visit("thief")
        request = RequestCode(identity_hash=bytes(32), user_id=user)
        assert self.world.refusal("thief", request) is Code.ALREADY_REGISTERED
        assert self.world.store.identity_record(user) == canonical(self.world.records[user][0])

    @precondition(lambda self: self.registered)
    @rule(user=users, device=devices)
    def log_in(self, user: str, device: int) -> None:
        if user in self.registered:
            self.enter(Address(user, device))

    def enter(self, address: Address) -> None:
        self.links += 1
        link, before = f"link {self.links}", self.clients.get(address)
        frame = self.world.login_frame(address.user_id, self.world.visit(link), device_id=address.device_id)
        actions = self.world.do(link, frame)
        if before is not None:
            assert actions.pop(0) == HangUp(before.link, Code.REPLACED)
        self.clients[address] = Client(link)
        waiting = len(self.mailboxes[address])
        assert self.take(actions) == [LoggedIn(log_key=LOG_SPKI, pending=waiting, retention_s=LIMITS.retention_s)]
        if before is not None:
            assert self.world.do(before.link, FetchIdentity(epoch=0, log_size=0, user_id="alice")) == []
            self.world.relay.closed(before.link)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        address = data.draw(st.sampled_from(sorted(self.clients)))
        self.world.relay.closed(self.clients.pop(address).link)

    @precondition(lambda self: self.clients)
    @rule(
        data=st.data(),
        recipient=users,
        device=st.integers(0, 2),
        kind=st.sampled_from([Message, Receipt]),
        size=st.sampled_from([100, 1000, 5000]),
    )
    def send(self, data: st.DataObject, recipient: str, device: int, kind: type[Message | Receipt], size: int) -> None:
        sender = data.draw(st.sampled_from(sorted(self.clients)))
        changes = {
            "recipient_device": device,
            "encrypted_content": encode_base64(bytes(size)),
            "sender_device": sender.device_id,
        }
        envelope = self.world.envelope(sender.user_id, recipient, kind, **changes)
        self.world.pass_time(2)  # look-ups are rationed
        refused = self.outcome(envelope)
        if refused is None:
            self.store(envelope)
        answers = self.take(self.world.do(self.clients[sender].link, envelope))
        if refused is None:
            assert answers == [Accepted(ids=[envelope.id], timestamp=self.world.now.wall_s)]
        else:
            note(f"refused: {refused}")
            assert answers == [Rejected(code=refused, id=envelope.id)]

    @precondition(lambda self: self.clients and self.accepted)
    @rule(data=st.data(), altered=st.booleans())
    def send_again(self, data: st.DataObject, altered: bool) -> None:
        envelope, received_at = self.accepted[data.draw(st.sampled_from(sorted(self.accepted)))]
        client = self.clients.get(Address(envelope.sender_id, envelope.sender_device))
        if client is None:
            return
        if altered:
            other = msgspec.structs.replace(envelope, signature=encode_base64(secrets.token_bytes(256)))
            expected: Frame = Rejected(code=Code.DUPLICATE_ID, id=envelope.id)
            assert self.world.do(client.link, other) == [Outgoing(client.link, [expected])]
        else:
            expected = Accepted(ids=[envelope.id], timestamp=received_at)
            assert self.world.do(client.link, envelope) == [Outgoing(client.link, [expected])]

    @precondition(lambda self: any(client.pushed for client in self.clients.values()))
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        """Some of what was pushed, some of it again, some that nobody knows, in any order."""
        address = data.draw(st.sampled_from(sorted(a for a, c in self.clients.items() if c.pushed)))
        client = self.clients[address]
        chosen = data.draw(st.lists(st.sampled_from([row.sequence or 0 for row in client.pushed]), min_size=1))
        self.confirm(address, chosen, junk=10**9)

    def confirm(self, address: Address, sequences: list[int], junk: int | None = None) -> None:
        client = self.clients[address]
        client.unacknowledged = [row for row in client.unacknowledged if row.sequence not in sequences]
        self.mailboxes[address] = [row for row in self.mailboxes[address] if row.sequence not in sequences]
        frame = Acknowledge(sequences=sequences if junk is None else [junk, *sequences])
        assert self.take(self.world.do(client.link, frame)) == []

    @precondition(lambda self: len(self.clients) > 1)
    @rule(data=st.data())
    def acknowledge_somebody_elses(self, data: st.DataObject) -> None:
        address = data.draw(st.sampled_from(sorted(self.clients)))
        others = [
            row.sequence
            for other, rows in self.mailboxes.items()
            for row in rows
            if other != address and row.sequence is not None
        ]
        if others:
            frame = Acknowledge(sequences=others[:200])
            assert self.take(self.world.do(self.clients[address].link, frame)) == []

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), recipient=users)
    def fail_to_commit(self, data: st.DataObject, recipient: str) -> None:
        """A group is rolled back after it was worked on: nothing of it happened, and its links are cut."""
        address = data.draw(st.sampled_from(sorted(self.clients)))
        client = self.clients[address]
        envelope = self.world.envelope(
            address.user_id, recipient, sender_device=address.device_id, encrypted_content=encode_base64(bytes(100))
        )
        links = {client.link}

        def work() -> None:
            acknowledge = Acknowledge(sequences=[row.sequence or 0 for row in client.pushed] or [1])
            with self.world.store.transaction():
                for frame in (envelope, acknowledge):
                    actions = list(self.world.relay.receive(client.link, [frame], now=self.world.now))
                    links.update(str(action.link) for action in actions)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            work()
        links.update(map(str, self.world.relay.give_up()))
        for link in links:
            self.world.relay.closed(link)
        self.clients = {address: client for address, client in self.clients.items() if client.link not in links}

    @rule()
    def crash(self) -> None:
        self.world.crash()
        self.clients.clear()

    @rule(days=st.integers(1, 6))
    def wait(self, days: int) -> None:
        self.world.pass_time(days * DAY)
        while self.world.expire():
            pass
        before = self.world.now.wall_s - LIMITS.retention_s
        for address, rows in self.mailboxes.items():
            self.mailboxes[address] = [row for row in rows if row.received_at >= before]
        self.accepted = {key: known for key, known in self.accepted.items() if known[1] >= before}

    @precondition(lambda self: self.mailboxes)
    @rule(data=st.data())
    def fetch(self, data: st.DataObject) -> None:
        self.fetch_all(data.draw(st.sampled_from(sorted(self.mailboxes))))

    def fetch_all(self, address: Address) -> None:
        """Log in and acknowledge until nothing comes: all that waited came, and nothing comes again."""
        self.enter(address)
        while unacknowledged := [row.sequence or 0 for row in self.clients[address].unacknowledged]:
            self.confirm(address, unacknowledged)
        assert self.mailboxes[address] == []
        self.enter(address)
        assert self.clients[address].pushed == []

    # ------------------------------------------------------------ what always holds

    @invariant()
    def nothing_is_held_back(self) -> None:
        """Whoever is online has been pushed everything, or as much as the window takes."""
        for address, client in self.clients.items():
            if self.has_room(client):
                assert all(any(row is pushed for pushed in client.pushed) for row in self.mailboxes[address])


Histories.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None, print_blob=True)
TestHistories = Histories.TestCase
