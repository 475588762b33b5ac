"""Envelopes: what is taken, what is pushed when, and what removes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from canonical_json import canonical
from crypto_utils import encode_base64
from errors import Code, StorageError
from protocol import (
    MAX_ENCRYPTED_CONTENT,
    MAX_ENVELOPE,
    MAX_FRAME,
    Accepted,
    Acknowledge,
    Delivery,
    FetchIdentity,
    Frame,
    Identity,
    LoggedIn,
    Message,
    Receipt,
    Rejected,
    decode_envelope,
)
from records import MAX_INTEGER
from relay.actions import Outgoing
from relay.limits import DAY, Limits
from relay.mailboxes import EXPIRE_AT_ONCE
from relay.storage import Address
from tests.relay.world import LOG_SPKI, World, contents, deliveries, frames_to, one_by_one

MakeWorld = Callable[..., World]


def befriend(world: World) -> World:
    """Let Bob have written to Alice, so that the stranger rule is out of the way."""
    world.login("bob")
    world.send("bob", "alice")
    (delivery,) = deliveries(world.login("alice"))
    world.acknowledge("alice", delivery.sequence)
    world.relay.closed("bob")
    return world


@pytest.fixture
def friends(pair: World) -> World:
    """Alice, logged in, and Bob, offline, who has written to her."""
    return befriend(pair)


def send_many(world: World, number: int, **changes: Any) -> list[bytes]:
    """Send from Alice to Bob in one group, and return what he will see."""
    envelopes = [world.envelope("alice", "bob", **changes) for _ in range(number)]
    for envelope, actions in zip(
        envelopes, world.do_all(*(("alice", envelope) for envelope in envelopes)), strict=True
    ):
        assert actions[0] == Outgoing("alice", [Accepted(ids=[envelope.id], timestamp=world.now.wall_s)])
    return [canonical(envelope) for envelope in envelopes]


def drain(world: World, link: str, pushed: list[Delivery]) -> list[bytes]:
    """Acknowledge page by page until nothing more comes, and return all of it."""
    got: list[bytes] = []
    while pushed:
        got += [bytes(delivery.envelope) for delivery in pushed]
        pushed = world.acknowledge(link, *[delivery.sequence for delivery in pushed])
    return got


# ---------------------------------------------------------------- what is taken


@pytest.mark.parametrize("kind", [Message, Receipt])
def test_an_envelope_reaches_who_is_online_byte_for_byte(pair: World, kind: type[Message | Receipt]) -> None:
    pair.login("bob")
    envelope = pair.envelope("alice", "bob", kind)
    accepted, delivery = pair.do("alice", envelope)
    assert accepted == Outgoing("alice", [Accepted(ids=[envelope.id], timestamp=pair.now.wall_s)])
    assert isinstance(delivery, Outgoing)
    assert delivery.link == "bob"
    assert contents(delivery.frames) == [canonical(envelope)]
    (pushed,) = deliveries(delivery.frames)
    assert decode_envelope(pushed.envelope) == envelope


@pytest.mark.parametrize(
    "changes",
    [{"sender_id": "bob"}, {"sender_device": 2}, {"sender_key": bytes(16)}],
    ids=lambda change: next(iter(change)),
)
def test_nobody_writes_in_anothers_name(pair: World, changes: dict[str, Any]) -> None:
    """The seed's failure 8; an identity that is not the current one is another's, too."""
    assert pair.rejection("alice", pair.envelope("alice", "bob", **changes)) is Code.WRONG_SENDER
    assert pair.login("bob")[0] == LoggedIn(log_key=LOG_SPKI, pending=0, retention_s=30 * DAY)


def test_nobody_answers_for_another_account(pair: World) -> None:
    """Whoever knows the id of an envelope learns nothing of it and gets no reply to it."""
    envelope = pair.send("alice", "bob")
    pair.login("bob")
    assert pair.rejection("bob", envelope) is Code.WRONG_SENDER


def test_unknown_recipients_and_old_keys_are_refused(pair: World) -> None:
    """The seed's failure 24: messages for nobody were kept for ever."""
    assert pair.rejection("alice", pair.envelope("alice", "nobody")) is Code.UNKNOWN_USER
    assert pair.rejection("alice", pair.envelope("alice", "bob", recipient_device=2)) is Code.UNKNOWN_USER
    assert pair.rejection("alice", pair.envelope("alice", "bob", recipient_key=bytes(16))) is Code.KEY_CHANGED
    assert pair.store._db.execute("SELECT count(*) FROM mailbox").fetchone() == (0,)


def test_an_envelope_for_oneself_is_delivered(pair: World) -> None:
    assert pair.pushed("alice", "alice") == ["alice"]


# ---------------------------------------------------------------- the same again


def test_the_same_envelope_again_is_answered_as_the_first_time(pair: World) -> None:
    """R-05: the reply was lost; also after the acknowledge, and after a crash."""
    envelope = pair.send("alice", "bob")
    answer = [Accepted(ids=[envelope.id], timestamp=pair.now.wall_s)]
    pair.pass_time(100)
    assert pair.replies("alice", envelope) == answer
    (delivery,) = deliveries(pair.login("bob"))
    assert pair.do("alice", envelope) == [Outgoing("alice", [answer[0]])]  # and bob is not pushed it again
    pair.acknowledge("bob", delivery.sequence)
    assert pair.replies("alice", envelope) == answer
    pair.crash()
    pair.login("alice")
    assert pair.replies("alice", envelope) == answer
    assert deliveries(pair.login("bob")) == []


def test_the_same_envelope_twice_in_one_group_is_stored_once(pair: World) -> None:
    envelope = pair.envelope("alice", "bob")
    first, second = pair.do_all(("alice", envelope), ("alice", envelope))
    assert first == second
    assert contents(pair.login("bob")) == [canonical(envelope)]


def test_the_same_envelope_again_is_accepted_whatever_the_quotas_say_now(pair: World) -> None:
    envelopes = [pair.send("alice", "bob") for _ in range(2)]
    assert pair.rejection("alice", pair.envelope("alice", "bob")) is Code.STRANGER_LIMIT
    for envelope in envelopes:
        assert isinstance(pair.reply("alice", envelope), Accepted)


def test_what_was_rejected_may_be_tried_again_under_its_id(pair: World) -> None:
    for _ in range(2):
        pair.send("alice", "bob")
    third = pair.envelope("alice", "bob")
    assert pair.rejection("alice", third) is Code.STRANGER_LIMIT
    drain(pair, "bob", deliveries(pair.login("bob")))
    assert isinstance(pair.replies("alice", third)[0], Accepted)


@pytest.mark.parametrize("acknowledged", [False, True])
def test_another_envelope_under_the_same_id_is_rejected(pair: World, acknowledged: bool) -> None:
    envelope = pair.send("alice", "bob")
    if acknowledged:
        drain(pair, "bob", deliveries(pair.login("bob")))
        pair.crash()
        pair.login("alice")
    signature = encode_base64(bytes(256))
    for changes in ({}, {"timestamp": envelope.timestamp + 1}, {"recipient_id": "alice"}):
        other = msgspec.structs.replace(envelope, signature=signature, **changes)
        assert pair.rejection("alice", other) is Code.DUPLICATE_ID
    as_receipt = Receipt(**msgspec.structs.asdict(envelope) | {"signature": signature})
    assert pair.rejection("alice", as_receipt) is Code.DUPLICATE_ID


def test_an_envelope_is_known_again_by_its_signature(pair: World) -> None:
    """Whoever changes another field has an envelope that nobody would open: it is taken for the first, and not put."""
    envelope = pair.send("alice", "bob")
    forged = msgspec.structs.replace(envelope, timestamp=envelope.timestamp + 1)
    assert isinstance(pair.reply("alice", forged), Accepted)
    assert contents(pair.login("bob")) == [canonical(envelope)]


def test_what_one_read_brings_is_dealt_with_as_if_it_came_one_by_one(make_world: MakeWorld) -> None:
    """Envelopes for several people, some again, some altered, some too many, other commands in between."""
    one_by_one_, together = (make_world(mailbox_limit=4, stranger_pending=3, delivery_window=2) for _ in range(2))
    answers = []
    for world in (one_by_one_, together):
        for number, user_id in enumerate(("alice", "bob", "carol")):
            world.register(user_id, number)
        world.login("alice")
        world.login("bob")
    frames: list[Frame] = []
    for number in range(40):
        recipient = ("bob", "carol", "nobody")[number % 7 % 3]
        envelope = one_by_one_.envelope(
            "alice", recipient, Receipt if number % 5 == 0 else Message, id=bytes([number // 2]) * 16
        )
        frames.append(frames[-1] if number % 4 == 3 else envelope)
        if number % 6 == 5:
            frames.append(FetchIdentity(epoch=0, log_size=0, user_id="bob"))
    for world, groups in ((one_by_one_, [[frame] for frame in frames]), (together, [frames])):
        world.relay.begin()
        with world.store.transaction():
            actions = [action for group in groups for action in world.relay.receive("alice", group, now=world.now)]
        done = one_by_one([*actions, *world.relay.committed()])
        said = sorted(canonical(frame) for frame in frames_to("alice", done) if not isinstance(frame, Identity))
        answers.append((said, contents(frames_to("bob", done)), contents(world.login("carol"))))
    assert answers[0] == answers[1]
    assert len(answers[0][0]) == 40


def test_acknowledges_of_one_read_are_one(friends: World) -> None:
    """Named one a frame, in any order, some twice and some that nobody was sent."""
    friends.login("bob")
    friends.relay.begin()
    envelopes = [friends.envelope("alice", "bob") for _ in range(5)]
    actions = list(friends.relay.receive("alice", list[Frame](envelopes), now=friends.now))
    sequences = [delivery.sequence for delivery in deliveries(frames_to("bob", one_by_one(actions)))]
    assert len(sequences) == 5
    named = [sequences[4], sequences[0], 10**9, sequences[0], *sequences[1:4]]
    frames: list[Frame] = [Acknowledge(sequences=[sequence]) for sequence in named]
    (reply,) = friends.relay.receive("bob", frames, now=friends.now)
    assert reply == Outgoing(
        "alice", [Accepted(ids=[each.id for each in envelopes], timestamp=friends.now.wall_s)], early=True
    )
    assert list(friends.relay.receive("bob", frames, now=friends.now)) == []
    friends.relay.closed("bob")
    assert list(friends.relay.receive("bob", frames, now=friends.now)) == []


def test_where_one_device_has_no_room_all_of_it_is_written(make_world: MakeWorld) -> None:
    """What is handed to one and waits for the other is on disk before its sender hears so."""
    world = befriend(make_world(delivery_window=2).with_pair())
    world.add_device("bob", 2)
    world.login("bob", "one", device_id=1)
    world.relay.begin()
    world.send("alice", "bob")
    world.login("bob", "two", device_id=2)  # is handed it, too, so that it has less room than the first by then
    world.acknowledge(
        "one", *[row.sequence for row in world.store.pending(Address("bob", 1), after=0, limit=9, size=10**6)]
    )
    world.relay.begin()
    envelopes: list[Frame] = [world.envelope("alice", "bob") for _ in range(2)]
    with world.store.attempt():
        list(world.relay.receive("alice", envelopes, now=world.now))
        assert world.store.unwritten
        world.store.commit(spared=False)
    on_disk = [world.store.pending(Address("bob", device), after=0, limit=9, size=10**6) for device in (1, 2)]
    assert [len(waiting) for waiting in on_disk] == [2, 3]


def test_a_run_that_fails_half_way_tells_whom_its_first_half_was_about(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise their link would wait for what never comes."""
    pair.register("carol", 2)
    pair.login("bob")
    envelopes: list[Frame] = [pair.envelope("alice", "bob"), pair.envelope("alice", "carol")]
    put, told = pair.store.put, []

    def fail_for_carol(to: Address, *row: Any, **rest: Any) -> range:
        if to.user_id == "carol":
            raise sqlite3.OperationalError("database or disk is full")
        return put(to, *row, **rest)

    monkeypatch.setattr(pair.store, "put", fail_for_carol)
    with pytest.raises(StorageError), pair.store.transaction():
        for action in pair.relay.receive("alice", envelopes, now=pair.now):
            told.append(action.link)  # noqa: PERF401 - as far as it goes
    assert told == ["alice", "bob"]


def test_envelopes_to_oneself_are_counted_one_by_one(pair: World) -> None:
    envelopes: list[Frame] = [pair.envelope("alice", "alice") for _ in range(4)]
    pair.relay.begin()
    with pair.store.transaction():
        said = frames_to("alice", pair.relay.receive("alice", envelopes, now=pair.now))
    assert not [frame for frame in said if isinstance(frame, Rejected)]


def test_a_limit_that_was_lowered_lets_nothing_in_until_there_is_room(make_world: MakeWorld) -> None:
    world = make_world(mailbox_limit=10, stranger_pending=100).with_pair()
    for _ in range(10):
        world.send("alice", "bob")
    world.relay._mailboxes._quotas._limits = Limits(mailbox_limit=4, stranger_pending=100)
    world.relay._mailboxes._quotas.forget()
    assert world.rejection("alice", world.envelope("alice", "bob")) is Code.MAILBOX_FULL
    pushed = deliveries(world.login("bob"))
    world.acknowledge("bob", *[delivery.sequence for delivery in pushed[:3]])
    assert world.rejection("alice", world.envelope("alice", "bob")) is Code.MAILBOX_FULL
    world.acknowledge("bob", *[delivery.sequence for delivery in pushed[3:8]])
    world.send("alice", "bob")


def test_ids_of_different_senders_do_not_meet(pair: World) -> None:
    pair.register("carol", 2)
    pair.login("carol")
    envelope = pair.send("alice", "bob")
    pair.send("carol", "bob", id=envelope.id)
    assert len(deliveries(pair.login("bob"))) == 2


# ---------------------------------------------------------------- quotas


def test_a_stranger_may_leave_two(pair: World) -> None:
    """The seed's third pending message was dropped in silence; here its sender hears of it (G5)."""
    kept = [canonical(pair.send("alice", "bob")) for _ in range(2)]
    assert pair.rejection("alice", pair.envelope("alice", "bob")) is Code.STRANGER_LIMIT
    waiting = pair.login("bob")
    assert contents(waiting) == kept
    (first, _) = deliveries(waiting)
    assert pair.rejection("alice", pair.envelope("alice", "bob")) is Code.STRANGER_LIMIT  # pushed is not fetched
    pair.acknowledge("bob", first.sequence)
    pair.send("alice", "bob")
    assert pair.rejection("alice", pair.envelope("alice", "bob")) is Code.STRANGER_LIMIT


def test_each_stranger_has_their_own_two_and_receipts_count(pair: World) -> None:
    pair.register("carol", 2)
    pair.login("carol")
    for sender in ("alice", "carol"):
        pair.send(sender, "bob")
        pair.send(sender, "bob", kind=Receipt)
    for sender in ("alice", "carol"):
        for kind in (Message, Receipt):
            assert pair.rejection(sender, pair.envelope(sender, "bob", kind)) is Code.STRANGER_LIMIT
    assert len(deliveries(pair.login("bob"))) == 4


def test_an_answer_lifts_the_stranger_rule_and_a_receipt_does_not(pair: World) -> None:
    pair.login("bob")
    pair.send("bob", "alice", kind=Receipt)
    pair.relay.closed("bob")
    for _ in range(2):
        pair.send("alice", "bob")
    assert pair.rejection("alice", pair.envelope("alice", "bob")) is Code.STRANGER_LIMIT
    pair.login("bob")
    pair.send("bob", "alice")
    pair.crash()
    pair.login("alice")
    for _ in range(10):
        pair.send("alice", "bob")


def test_an_answer_that_was_rejected_lifts_nothing(pair: World) -> None:
    pair.login("bob")
    assert pair.rejection("bob", pair.envelope("bob", "alice", recipient_key=bytes(16))) is Code.KEY_CHANGED
    pair.relay.closed("bob")
    for _ in range(2):
        pair.send("alice", "bob")
    assert pair.rejection("alice", pair.envelope("alice", "bob")) is Code.STRANGER_LIMIT


def test_an_answer_to_one_stranger_is_none_to_another(friends: World) -> None:
    friends.register("carol", 2)
    friends.login("carol")
    for _ in range(2):
        friends.send("carol", "bob")
    assert friends.rejection("carol", friends.envelope("carol", "bob")) is Code.STRANGER_LIMIT


def test_a_mailbox_holds_a_thousand_envelopes(friends: World) -> None:
    sent = send_many(friends, Limits().mailbox_limit)
    assert len(sent) == 1000
    assert friends.rejection("alice", friends.envelope("alice", "bob")) is Code.MAILBOX_FULL
    friends.crash()
    friends.login("alice")
    assert friends.rejection("alice", friends.envelope("alice", "bob")) is Code.MAILBOX_FULL
    login, *pushed = friends.login("bob")
    assert login == LoggedIn(log_key=LOG_SPKI, pending=1000, retention_s=30 * DAY)
    assert drain(friends, "bob", deliveries(pushed)) == sent
    friends.send("alice", "bob")


def test_a_limit_holds_also_where_its_count_was_forgotten(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.quotas.MAX_COUNTS", 1)  # each mailbox takes the place of the other
    world = make_world(mailbox_limit=3, stranger_pending=100)
    for number, user_id in enumerate(("alice", "bob", "carol")):
        world.register(user_id, number)
    world.login("alice")
    for _ in range(3):
        world.send("alice", "bob")
        world.send("alice", "carol")
    for user_id in ("bob", "carol"):
        assert world.rejection("alice", world.envelope("alice", user_id)) is Code.MAILBOX_FULL


def test_a_full_device_refuses_for_all_devices_and_stores_for_none(make_world: MakeWorld) -> None:
    world = make_world(mailbox_limit=3, stranger_pending=9).with_pair()
    world.add_device("bob", 2)
    for _ in range(3):
        world.send("alice", "bob", recipient_device=2)
    assert world.rejection("alice", world.envelope("alice", "bob")) is Code.MAILBOX_FULL
    world.send("alice", "bob", recipient_device=1)
    assert len(deliveries(world.login("bob", "phone", device_id=1))) == 1
    assert len(deliveries(world.login("bob", "laptop", device_id=2))) == 3


# ---------------------------------------------------------------- delivery


def test_envelopes_of_several_senders_come_in_the_order_in_which_they_were_accepted(make_world: MakeWorld) -> None:
    world = make_world(stranger_pending=99).with_pair()
    world.register("carol", 2)
    world.login("carol")
    sent = [canonical(world.send(sender, "bob")) for sender in ("alice", "carol", "carol", "alice", "carol")]
    world.crash()
    assert contents(world.login("bob")) == sent


def test_an_envelope_waits_for_who_is_offline_and_survives_a_crash(pair: World) -> None:
    sent = [canonical(pair.send("alice", "bob")) for _ in range(2)]
    pair.crash()
    login, *pushed = pair.login("bob")
    assert login == LoggedIn(log_key=LOG_SPKI, pending=2, retention_s=30 * DAY)
    assert contents(pushed) == sent


def test_the_largest_envelope_that_is_taken_fits_into_a_delivery(pair: World) -> None:
    """Otherwise its recipient could not come in for as long as it waits."""
    envelope = pair.envelope("alice", "bob", encrypted_content=encode_base64(bytes(MAX_ENCRYPTED_CONTENT)))
    room = MAX_ENVELOPE - len(canonical(envelope)) + len(envelope.encrypted_aes_key)
    largest = msgspec.structs.replace(envelope, encrypted_aes_key="A" * min(room, 21848))
    assert len(canonical(largest)) <= MAX_ENVELOPE
    pair.do("alice", largest)
    (delivery,) = deliveries(pair.login("bob"))
    delivery = msgspec.structs.replace(delivery, sequence=MAX_INTEGER)
    assert len(canonical(delivery)) <= len(canonical(largest)) + MAX_FRAME - MAX_ENVELOPE


def test_a_window_of_sixty_four(friends: World) -> None:
    """A long mailbox is pushed a page at a time, and what is new comes behind it although Bob is online."""
    sent = send_many(friends, 200)
    pushed = deliveries(friends.login("bob"))
    assert len(pushed) == 64
    sent += send_many(friends, 1)
    assert friends.acknowledge("bob", 10**9) == []
    more = friends.acknowledge("bob", pushed[5].sequence, pushed[0].sequence)
    assert len(more) == 2
    waiting = pushed[1:5] + pushed[6:] + more
    got = [bytes(delivery.envelope) for delivery in pushed + more]
    while waiting:
        waiting = friends.acknowledge("bob", *[delivery.sequence for delivery in waiting])
        assert len(waiting) <= 64
        got += [bytes(delivery.envelope) for delivery in waiting]
    assert got == sent
    assert friends.pushed("alice", "bob") == ["bob"]


def test_a_window_that_fills_up_while_bob_is_online_delays_and_loses_nothing(friends: World) -> None:
    friends.login("bob")
    envelopes = [friends.envelope("alice", "bob") for _ in range(130)]
    groups = friends.do_all(*(("alice", envelope) for envelope in envelopes))
    frames = [frame for actions in groups for frame in frames_to("bob", actions)]
    assert len(frames) == 64
    assert drain(friends, "bob", deliveries(frames)) == [canonical(envelope) for envelope in envelopes]


def test_a_window_is_counted_in_bytes_too(friends: World) -> None:
    """Large envelopes must not fill the outbox of a slow link: it would be cut, and again after each login."""
    sent = send_many(friends, 12, encrypted_content=encode_base64(bytes(MAX_ENCRYPTED_CONTENT)))
    size, limit = len(sent[0]), Limits().delivery_window_size
    login = friends.login("bob")
    pushed = deliveries(login)
    assert limit <= len(pushed) * size < limit + size
    sent += send_many(friends, 1)
    got: list[bytes] = []
    for delivery in pushed:  # one by one, so that the window is full when the next comes
        got.append(bytes(delivery.envelope))
        more = friends.acknowledge("bob", delivery.sequence)
        assert sum(len(bytes(one.envelope)) for one in more) <= 2 * size
        pushed += more
    assert got == sent
    assert friends.pushed("alice", "bob") == ["bob"]


def test_large_envelopes_to_somebody_online_stop_at_the_window(friends: World) -> None:
    friends.login("bob")
    large = {"encrypted_content": encode_base64(bytes(MAX_ENCRYPTED_CONTENT))}
    reached = [bool(friends.pushed("alice", "bob", **large)) for _ in range(8)]
    assert reached == [True] * 5 + [False] * 3
    assert friends.pushed("alice", "bob") == []  # a small one does not overtake


def test_an_envelope_larger_than_the_window_is_delivered(make_world: MakeWorld) -> None:
    world = make_world(delivery_window_size=100).with_pair()
    world.login("bob")
    assert world.pushed("alice", "bob") == ["bob"]


def test_each_device_has_its_own_mailbox(pair: World) -> None:
    pair.add_device("bob", 2)
    both = canonical(pair.send("alice", "bob"))
    one = canonical(pair.send("alice", "bob", recipient_device=2))
    assert contents(pair.login("bob", "phone", device_id=1)) == [both]
    second = deliveries(pair.login("bob", "laptop", device_id=2))
    assert [bytes(delivery.envelope) for delivery in second] == [both, one]
    pair.acknowledge("laptop", *[delivery.sequence for delivery in second])
    assert contents(pair.login("bob", "phone", device_id=1)) == [both]
    assert contents(pair.login("bob", "laptop", device_id=2)) == []


def test_a_store_that_fails_between_two_devices_leaves_no_link_ahead_of_it(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sequence is given out again: whoever was believed to have it would miss what comes under it."""
    pair.add_device("bob", 2)
    pair.login("bob", "phone", device_id=1)
    put, calls = pair.store.put, 0

    def fail_second(*row: Any, **rest: Any) -> range:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise sqlite3.OperationalError("database or disk is full")
        return put(*row, **rest)

    monkeypatch.setattr(pair.store, "put", fail_second)
    with pytest.raises(StorageError, match="full"):
        pair.do("alice", pair.envelope("alice", "bob"))
    monkeypatch.undo()
    online = pair.relay._presence.of(Address("bob", 1))
    assert (online.cursor, online.handed, online.waiting, online.in_flight) == (0, [], 0, 0)
    assert pair.pushed("alice", "bob") == ["phone"]


# ---------------------------------------------------------------- acknowledge


def test_only_the_acknowledge_removes_an_envelope(pair: World) -> None:
    """G6: delivery into a dead socket is not delivery."""
    pair.send("alice", "bob")
    (first,) = deliveries(pair.login("bob"))
    pair.relay.closed("bob")
    (again,) = deliveries(pair.login("bob"))
    assert again == first
    pair.acknowledge("bob", first.sequence)
    assert deliveries(pair.login("bob")) == []
    pair.crash()
    assert deliveries(pair.login("bob")) == []


def test_unknown_late_and_repeated_acknowledges_change_nothing(pair: World) -> None:
    """G7."""
    pair.register("carol", 2)
    pair.add_device("bob", 2)
    pair.send("alice", "bob", recipient_device=1)
    (delivery,) = deliveries(pair.login("bob"))
    pair.login("carol")
    pair.login("bob", "laptop", device_id=2)
    for link in ("carol", "laptop", "alice"):  # somebody else's, another device's, the sender's
        assert pair.acknowledge(link, delivery.sequence) == []
    pair.acknowledge("bob", 999, 0, 2**53 - 1)
    assert deliveries(pair.login("bob")) == [delivery]
    pair.relay.closed("bob")
    pair.login("bob", "later")
    pair.acknowledge("later", delivery.sequence, delivery.sequence)
    pair.acknowledge("later", delivery.sequence)
    assert deliveries(pair.login("bob")) == []


def test_a_signature_that_is_no_base64_is_known_again_and_disturbs_nobody(pair: World) -> None:
    """Its letters may take several bytes each; a row has marks of one size."""
    odd = [pair.envelope("alice", "bob", signature="é" * 88) for _ in range(2)]
    first = [pair.replies("alice", envelope) for envelope in odd]
    assert [pair.replies("alice", envelope) for envelope in odd] == first
    changed = pair.envelope("alice", "bob", id=odd[0].id, signature="è" * 88)
    assert pair.reply("alice", changed) == Rejected(code=Code.DUPLICATE_ID, id=odd[0].id)


def test_the_contents_are_gone_after_the_acknowledge(pair: World) -> None:
    pair.send("alice", "bob")
    (delivery,) = deliveries(pair.login("bob"))
    pair.acknowledge("bob", delivery.sequence)
    assert pair.store._db.execute("SELECT waiting, envelopes FROM mailbox").fetchall() == [(0, None)]


def test_an_acknowledge_for_more_than_is_pushed_opens_the_window_no_further(friends: World) -> None:
    """What was not pushed cannot be acknowledged: it is passed over, and will come (G7)."""
    send_many(friends, 100)
    pushed = deliveries(friends.login("bob"))
    ahead = [delivery.sequence + 64 for delivery in pushed[:10]]
    assert friends.replies("bob", Acknowledge(sequences=ahead)) == []
    rest = friends.acknowledge("bob", *[delivery.sequence for delivery in pushed])
    assert [delivery.sequence for delivery in rest] == [pushed[-1].sequence + 1 + number for number in range(36)]


# ---------------------------------------------------------------- expiry


def test_what_nobody_fetches_is_dropped_after_thirty_days(pair: World) -> None:
    pair.send("alice", "bob")
    pair.pass_time(DAY)
    second = canonical(pair.send("alice", "bob"))
    pair.pass_time(29 * DAY)
    assert pair.expire() is False  # thirty days to the second: still there
    assert len(deliveries(pair.login("bob"))) == 2
    pair.pass_time(1)
    assert pair.expire() is False
    assert contents(pair.login("bob")) == [second]


def test_an_acknowledge_for_what_has_expired_is_harmless(pair: World) -> None:
    pair.send("alice", "bob")
    (delivery,) = deliveries(pair.login("bob"))
    pair.pass_time(31 * DAY)
    pair.expire()
    assert pair.acknowledge("bob", delivery.sequence) == []
    assert pair.pushed("alice", "bob") == ["bob"]


def test_an_id_is_remembered_as_long_as_the_retention(pair: World) -> None:
    envelope = pair.send("alice", "bob")
    drain(pair, "bob", deliveries(pair.login("bob")))
    pair.pass_time(30 * DAY)
    pair.expire()
    assert pair.do("alice", envelope) == [
        Outgoing("alice", [Accepted(ids=[envelope.id], timestamp=envelope.timestamp)])
    ]
    pair.pass_time(1)
    pair.expire()
    assert len(pair.do("alice", envelope)) == 2


def test_expiry_makes_room(pair: World) -> None:
    for _ in range(2):
        pair.send("alice", "bob")
    pair.pass_time(31 * DAY)
    assert pair.rejection("alice", pair.envelope("alice", "bob")) is Code.STRANGER_LIMIT
    pair.expire()
    pair.send("alice", "bob")


def test_a_round_is_bounded_and_says_that_there_is_more(make_world: MakeWorld) -> None:
    world = make_world(stranger_pending=10**6, mailbox_limit=10**6).with_pair()
    send_many(world, EXPIRE_AT_ONCE + 1)
    world.pass_time(31 * DAY)
    assert [world.expire(), world.expire()] == [True, False]
    assert deliveries(world.login("bob")) == []


def test_a_clock_that_was_ahead_for_a_while_does_not_stop_expiry(make_world: MakeWorld) -> None:
    """R-09: a thousand rows from the future stand before one that is old."""
    world = make_world(stranger_pending=10**6, mailbox_limit=10**6).with_pair()
    world.set_wall_clock(3650 * DAY)
    send_many(world, EXPIRE_AT_ONCE)
    world.set_wall_clock(-3650 * DAY)
    send_many(world, 1)
    world.pass_time(31 * DAY)
    world.expire()
    assert world.store._db.execute("SELECT count(*) FROM mailbox").fetchone() == (EXPIRE_AT_ONCE,)


@pytest.mark.parametrize("jump_s", [-20 * DAY, 20 * DAY])
def test_the_order_is_the_relays_whatever_the_wall_clock_does(pair: World, jump_s: int) -> None:
    """R-09."""
    sent = [canonical(pair.send("alice", "bob"))]
    pair.set_wall_clock(jump_s)
    sent.append(canonical(pair.send("alice", "bob")))
    assert contents(pair.login("bob")) == sent
