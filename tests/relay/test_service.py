"""The relay's rules, one by one: commands in, actions out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from crypto_utils import PrivateKeys, generate_server_key
from errors import Code
from identity import identity_hash
from protocol import (
    Accepted,
    Acknowledge,
    CodeSent,
    FetchIdentity,
    Goodbye,
    Hello,
    Identity,
    LoggedIn,
    Message,
    Receipt,
    Refusal,
    Registered,
    RequestCode,
    canonical,
)
from relay.actions import HangUp, Outgoing, SendCode
from relay.limits import DAY, Limits
from tests.relay.world import World, deliveries, hang_ups


@pytest.fixture
def pair(world: World) -> World:
    """Alice and Bob, registered; Alice is logged in."""
    world.register("alice", 0)
    world.register("bob", 1)
    world.login("alice")
    return world


# ---------------------------------------------------------------- greeting


def test_greets_with_a_fresh_nonce_each_time(world: World) -> None:
    assert world.visit("one").nonce != world.visit("two").nonce


def test_hangs_up_on_a_client_of_another_version(world: World) -> None:
    world.relay.opened("link", "192.0.2.1")
    assert world.do("link", Hello(nonce=bytes(32), versions=[99])) == [HangUp("link", Code.UNSUPPORTED_VERSION)]


def test_passes_over_frames_of_a_link_that_has_ended(world: World) -> None:
    assert world.do("nobody", Hello(nonce=bytes(32), versions=[1])) == []
    world.visit("link")
    assert world.do("link", Goodbye(code=Code.SHUTTING_DOWN)) == []
    assert world.do("link", FetchIdentity(user_id="alice")) == []
    assert world.relay.closed("link") == []


# ---------------------------------------------------------------- registration


def test_registers_who_holds_the_code(world: World) -> None:
    world.visit("link")
    record = world.identity("alice")
    reply = world.register_with("link", record, world.code("link", record))
    assert reply == Registered(identity_hash=identity_hash(record))
    assert isinstance(world.login("alice")[0], LoggedIn)


def test_the_code_never_goes_over_the_link_that_asks_for_it(world: World) -> None:
    world.visit("link")
    record = world.identity("alice")
    actions = world.do("link", RequestCode(identity_hash=identity_hash(record), user_id="alice"))
    assert [type(action) for action in actions] == [SendCode]
    (answer,) = world.relay.code_delivered("link", "alice", delivered=True)
    assert answer == Outgoing("link", CodeSent(expires_in_s=300))
    code = actions[0].code if isinstance(actions[0], SendCode) else ""
    assert code.encode() not in repr(answer).encode()
    assert code not in repr(actions)


def test_says_when_the_code_could_not_be_sent(world: World) -> None:
    world.visit("link")
    (answer,) = world.relay.code_delivered("link", "alice", delivered=False)
    assert isinstance(answer, Outgoing)
    assert answer.frame == Refusal(
        code=Code.CODE_UNDELIVERABLE, command="request_code", retry_after_s=0, subject="alice"
    )
    assert world.relay.code_delivered("gone", "alice", delivered=True) == []


def test_three_wrong_guesses_spoil_a_code(world: World) -> None:
    """Attack row 33."""
    world.visit("link")
    record = world.identity("alice")
    code = world.code("link", record)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(3):
        assert world.register_with("link", record, wrong).code is Code.WRONG_CODE
    assert world.register_with("link", record, code).code is Code.CODE_EXPIRED


def test_a_code_is_good_for_one_identity_only(world: World) -> None:
    """Attack row 34: the record is swapped after the code was issued."""
    world.visit("link")
    record = world.identity("alice", 0)
    code = world.code("link", record)
    other = world.identity("alice", 1)
    assert world.register_with("link", other, code).code is Code.CODE_EXPIRED
    assert world.register_with("link", record, code) == Registered(identity_hash=identity_hash(record))


def test_somebody_elses_request_does_not_disturb_a_code(world: World) -> None:
    world.visit("link")
    world.visit("attacker", "198.51.100.1")
    record = world.identity("alice", 0)
    code = world.code("link", record)
    world.code("attacker", world.identity("alice", 1))
    assert isinstance(world.register_with("link", record, code), Registered)


def test_a_garbled_code_counts_as_wrong(world: World) -> None:
    world.visit("link")
    record = world.identity("alice")
    world.code("link", record)
    assert world.register_with("link", record, "12a456").code is Code.WRONG_CODE


def test_a_code_lives_five_minutes_by_the_steady_clock(world: World) -> None:
    """R-09: a jump of the wall clock neither extends a code nor revives it."""
    world.visit("link")
    record = world.identity("alice")
    code = world.code("link", record)
    world.now = world.now._replace(wall_s=world.now.wall_s - 10 * DAY, steady_s=301.0)
    assert world.register_with("link", record, code).code is Code.CODE_EXPIRED
    code = world.code("link", record)
    world.now = world.now._replace(wall_s=world.now.wall_s + 20 * DAY)
    assert isinstance(world.register_with("link", record, code), Registered)


def test_a_registered_number_stays_with_its_key(world: World) -> None:
    """Attack row 35, and the seed's take-over after a restart."""
    world.register("alice", 0)
    world.crash()
    world.visit("link")
    thief = world.identity("alice", 1)
    request = RequestCode(identity_hash=identity_hash(thief), user_id="alice")
    assert world.refusal("link", request) is Code.ALREADY_REGISTERED


def test_the_second_of_two_who_both_hold_codes_is_refused(world: World) -> None:
    world.visit("link")
    first, second = world.identity("alice", 0), world.identity("alice", 1)
    codes = world.code("link", first), world.code("link", second)
    assert isinstance(world.register_with("link", first, codes[0]), Registered)
    assert world.register_with("link", second, codes[1]).code is Code.ALREADY_REGISTERED


@pytest.mark.parametrize("change", ["signature", "epoch"])
def test_an_invalid_record_leaves_nothing_behind(world: World, change: str) -> None:
    record = world.identity("alice")
    if change == "signature":
        record = msgspec.structs.replace(record, created=record.created + 1)
    else:
        record = msgspec.structs.replace(record, epoch=2)
    world.visit("link")
    code = world.code("link", record)
    assert world.register_with("link", record, code).code is Code.INVALID_RECORD
    assert world.store.count_accounts() == 0


def test_room_for_so_many_accounts(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    world = World(tmp_path / "relay.db", some_keys, Limits(max_users=1))
    world.register("alice", 0)
    world.visit("link")
    request = RequestCode(identity_hash=identity_hash(world.identity("bob", 1)), user_id="bob")
    assert world.refusal("link", request) is Code.SERVER_FULL
    world.store.close()


def test_codes_are_rationed_by_number_and_by_address(world: World) -> None:
    world.visit("link")
    record = world.identity("alice")
    for _ in range(3):
        world.code("link", record)
    request = RequestCode(identity_hash=identity_hash(record), user_id="alice")
    reply = world.reply("link", request)
    assert (reply.code, reply.subject, reply.command) == (Code.RATE_LIMITED, "alice", "request_code")
    assert 0 < reply.retry_after_s <= 201
    for number in range(16):
        world.code("link", world.identity(f"user{number}", 1))
    assert world.refusal("link", RequestCode(identity_hash=bytes(32), user_id="another")) is Code.RATE_LIMITED
    world.visit("elsewhere", "198.51.100.7")
    assert isinstance(world.do("elsewhere", RequestCode(identity_hash=bytes(32), user_id="another"))[0], SendCode)
    world.pass_time(600)
    world.code("link", record)


def test_a_number_bears_a_hundred_wrong_codes_in_all(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    world = World(tmp_path / "relay.db", some_keys, Limits(code_failures=2))
    world.visit("link")
    record = world.identity("alice")
    code = world.code("link", record)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(2):
        world.register_with("link", record, wrong)
    world.crash()
    world.visit("link")
    assert world.refusal("link", RequestCode(identity_hash=identity_hash(record), user_id="alice")) is Code.RATE_LIMITED
    assert Limits().code_failures == 100
    world.store.close()


# ---------------------------------------------------------------- login


def test_a_proof_is_good_for_one_challenge(world: World) -> None:
    """Attack row 12: a recorded login is played again on another link."""
    world.register("alice")
    frame = world.login_frame("alice", world.visit("link"))
    assert isinstance(world.reply("link", frame), LoggedIn)
    world.visit("again")
    assert world.refusal("again", frame) is Code.AUTHENTICATION_FAILED


def test_a_proof_is_good_for_one_server(world: World) -> None:
    """Attack row 12: a login for one server is played to another."""
    world.register("alice")
    frame = world.login_frame("alice", world.visit("link"), server_key=generate_server_key())
    assert world.refusal("link", frame) is Code.AUTHENTICATION_FAILED


def test_nobody_becomes_bob_by_sending_his_number(world: World) -> None:
    """The seed's first failure."""
    world.register("bob", 1)
    record, _ = world.records["bob"]
    world.records["bob"] = (record, world.keys[2])
    assert world.refusal("link", world.login_frame("bob", world.visit("link"))) is Code.AUTHENTICATION_FAILED


def test_unknown_accounts_and_devices_do_not_come_in(world: World) -> None:
    world.register("alice")
    world.identity("nobody", 1)
    assert world.refusal("link", world.login_frame("nobody", world.visit("link"))) is Code.UNKNOWN_ACCOUNT
    frame = world.login_frame("alice", world.visit("link"), device_id=2)
    assert world.refusal("link", frame) is Code.AUTHENTICATION_FAILED


def test_login_failures_slow_down_one_address_and_not_another(world: World) -> None:
    world.register("alice", 0)
    record, keys = world.records["alice"]
    world.records["alice"] = (record, world.keys[1])
    for _ in range(5):
        assert world.refusal("link", world.login_frame("alice", world.visit("link"))) is Code.AUTHENTICATION_FAILED
    world.records["alice"] = (record, keys)
    assert world.refusal("link", world.login_frame("alice", world.visit("link"))) is Code.RATE_LIMITED
    world.login("alice", "elsewhere", address="198.51.100.1")
    world.pass_time(31)
    world.login("alice")


def test_looking_for_accounts_by_login_is_slowed_down(world: World) -> None:
    for number in range(20):
        user_id = f"user{number}"
        world.identity(user_id)
        assert world.refusal("link", world.login_frame(user_id, world.visit("link"))) is Code.UNKNOWN_ACCOUNT
    world.identity("one-more")
    assert world.refusal("link", world.login_frame("one-more", world.visit("link"))) is Code.RATE_LIMITED


def test_a_second_login_ends_the_first_and_its_end_changes_nothing(pair: World) -> None:
    """The seed's failure 29: when either of two closed, both were offline."""
    actions = pair.do("second", pair.login_frame("alice", pair.visit("second")))
    assert hang_ups(actions) == [HangUp("alice", Code.REPLACED)]
    pair.relay.closed("alice")
    pair.login("bob")
    pair.send("bob", "alice")
    assert pair.do("alice", FetchIdentity(user_id="bob")) == []
    actions = pair.do("bob", pair.envelope("bob", "alice"))
    assert "second" in {action.link for action in actions}


# ---------------------------------------------------------------- key directory


def test_answers_look_ups(pair: World) -> None:
    assert pair.reply("alice", FetchIdentity(user_id="bob")) == Identity(record=pair.records["bob"][0])
    assert pair.refusal("alice", FetchIdentity(user_id="nobody")) is Code.UNKNOWN_USER


def test_a_look_up_knocks_nobody_offline(pair: World) -> None:
    """The seed's second failure."""
    pair.login("bob")
    pair.reply("alice", FetchIdentity(user_id="bob"))
    pair.relay.closed("alice")
    pair.login("alice")
    actions = pair.do("alice", pair.envelope("alice", "bob"))
    assert "bob" in {action.link for action in actions}


def test_look_ups_are_rationed(pair: World) -> None:
    """Attack row 38."""
    answers = [pair.reply("alice", FetchIdentity(user_id="bob")) for _ in range(1000)]
    assert sum(isinstance(answer, Identity) for answer in answers) == 100
    assert {answer.retry_after_s for answer in answers[100:]} <= {1, 2}
    pair.pass_time(2)
    assert isinstance(pair.reply("alice", FetchIdentity(user_id="bob")), Identity)


# ---------------------------------------------------------------- envelopes


def test_an_envelope_reaches_who_is_online_byte_for_byte(pair: World) -> None:
    pair.login("bob")
    envelope = pair.envelope("alice", "bob")
    accepted, delivery = pair.do("alice", envelope)
    assert accepted == Outgoing("alice", Accepted(id=envelope.id, timestamp=pair.now.wall_s))
    assert isinstance(delivery, Outgoing)
    assert delivery.link == "bob"
    (pushed,) = deliveries([delivery.frame])
    assert bytes(pushed.envelope) == canonical(envelope)


def test_an_envelope_waits_for_who_is_offline_and_survives_a_crash(pair: World) -> None:
    sent = [pair.send("alice", "bob"), pair.send("alice", "bob")]
    pair.crash()
    login, *pushed = pair.login("bob")
    assert login == LoggedIn(pending=2, retention_s=30 * DAY)
    assert [bytes(delivery.envelope) for delivery in deliveries(pushed)] == [canonical(one) for one in sent]


def test_only_the_acknowledge_removes_an_envelope(pair: World) -> None:
    """G6: delivery into a dead socket is not delivery."""
    pair.send("alice", "bob")
    (first,) = deliveries(pair.login("bob"))
    pair.relay.closed("bob")
    (again,) = deliveries(pair.login("bob"))
    assert again == first
    pair.acknowledge("bob", first.sequence)
    assert deliveries(pair.login("bob")) == []


def test_unknown_late_and_repeated_acknowledges_change_nothing(pair: World) -> None:
    """G7."""
    pair.register("carol", 2)
    pair.send("alice", "bob")
    (delivery,) = deliveries(pair.login("bob"))
    pair.login("carol")
    assert pair.acknowledge("carol", delivery.sequence) == []  # somebody else's
    pair.acknowledge("bob", 999, 0)
    assert deliveries(pair.login("bob")) == [delivery]
    pair.acknowledge("bob", delivery.sequence, delivery.sequence)
    pair.acknowledge("bob", delivery.sequence)
    assert deliveries(pair.login("bob")) == []


def test_an_acknowledge_after_the_link_was_replaced_is_not_heard(pair: World) -> None:
    pair.send("alice", "bob")
    (delivery,) = deliveries(pair.login("bob", "old"))
    pair.do("new", pair.login_frame("bob", pair.visit("new")))
    assert pair.do("old", Acknowledge(sequences=[delivery.sequence])) == []


def test_the_same_envelope_again_is_answered_as_the_first_time(pair: World) -> None:
    """R-05: the reply was lost; also after the acknowledge, and after a crash."""
    envelope = pair.send("alice", "bob")
    first_s = pair.now.wall_s
    pair.pass_time(100)
    assert pair.replies("alice", envelope) == [Accepted(id=envelope.id, timestamp=first_s)]
    (delivery,) = deliveries(pair.login("bob"))
    pair.acknowledge("bob", delivery.sequence)
    pair.crash()
    pair.login("alice")
    assert pair.replies("alice", envelope) == [Accepted(id=envelope.id, timestamp=first_s)]
    assert deliveries(pair.login("bob")) == []


def test_another_envelope_under_the_same_id_is_rejected(pair: World) -> None:
    envelope = pair.send("alice", "bob")
    assert pair.rejection("alice", pair.envelope("alice", "bob", id=envelope.id)) is Code.DUPLICATE_ID


@pytest.mark.parametrize(
    "changes",
    [{"sender_id": "bob"}, {"sender_device": 2}, {"sender_key": bytes(16)}],
    ids=lambda change: next(iter(change)),
)
def test_nobody_writes_in_anothers_name(pair: World, changes: dict[str, Any]) -> None:
    """The seed's failure 8."""
    assert pair.rejection("alice", pair.envelope("alice", "bob", **changes)) is Code.WRONG_SENDER


def test_unknown_recipients_and_old_keys_are_refused(pair: World) -> None:
    """The seed's failure 24: messages for nobody were kept for ever."""
    assert pair.rejection("alice", pair.envelope("alice", "nobody")) is Code.UNKNOWN_USER
    assert pair.rejection("alice", pair.envelope("alice", "bob", recipient_key=bytes(16))) is Code.KEY_CHANGED
    assert pair.rejection("alice", pair.envelope("alice", "bob", recipient_device=2)) is Code.UNKNOWN_USER


def test_looking_for_accounts_by_writing_to_them_is_rationed(pair: World) -> None:
    codes = [pair.rejection("alice", pair.envelope("alice", "nobody")) for _ in range(101)]
    assert codes == [Code.UNKNOWN_USER] * 100 + [Code.RATE_LIMITED]


def test_a_stranger_may_leave_two(pair: World) -> None:
    """The seed's third pending message was dropped in silence; here its sender hears of it (G5)."""
    kept = [pair.send("alice", "bob"), pair.send("alice", "bob")]
    assert pair.rejection("alice", pair.envelope("alice", "bob")) is Code.STRANGER_LIMIT
    waiting = deliveries(pair.login("bob"))
    assert [bytes(delivery.envelope) for delivery in waiting] == [canonical(one) for one in kept]
    pair.acknowledge("bob", *[delivery.sequence for delivery in waiting])
    pair.send("alice", "bob")


def test_an_answer_lifts_the_stranger_rule_and_a_receipt_does_not(pair: World) -> None:
    pair.login("bob")
    pair.send("bob", "alice", kind=Receipt)
    pair.relay.closed("bob")
    for _ in range(2):
        pair.send("alice", "bob")
    assert pair.rejection("alice", pair.envelope("alice", "bob")) is Code.STRANGER_LIMIT
    pair.login("bob")
    pair.send("bob", "alice", kind=Message)
    for _ in range(10):
        pair.send("alice", "bob")


def test_a_mailbox_holds_so_many(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    world = World(tmp_path / "relay.db", some_keys, Limits(mailbox_limit=3, stranger_pending=9))
    world.register("alice", 0)
    world.register("bob", 1)
    world.login("alice")
    for _ in range(3):
        world.send("alice", "bob")
    assert world.rejection("alice", world.envelope("alice", "bob")) is Code.MAILBOX_FULL
    world.store.close()


def test_a_long_mailbox_is_pushed_in_order_a_window_at_a_time(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    world = World(tmp_path / "relay.db", some_keys, Limits(delivery_window=4, stranger_pending=99))
    world.register("alice", 0)
    world.register("bob", 1)
    world.login("alice")
    sent = [canonical(world.send("alice", "bob")) for _ in range(10)]
    pushed = deliveries(world.login("bob"))
    assert len(pushed) == 4
    sent.append(canonical(world.send("alice", "bob")))  # comes behind the rest although bob is online
    while len(pushed) < len(sent):
        more = world.acknowledge("bob", pushed[-1].sequence, pushed[-2].sequence)
        assert more
        pushed += more
    assert [bytes(delivery.envelope) for delivery in pushed] == sent
    world.store.close()


def test_a_full_window_delays_and_loses_nothing(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    world = World(tmp_path / "relay.db", some_keys, Limits(delivery_window=2, stranger_pending=99))
    world.register("alice", 0)
    world.register("bob", 1)
    world.login("alice")
    world.login("bob")
    pushed = []
    for _ in range(5):
        actions = world.do("alice", world.envelope("alice", "bob"))
        pushed += deliveries([action.frame for action in actions if isinstance(action, Outgoing)])
    assert len(pushed) == 2
    assert world.acknowledge("bob", 999) == []
    pushed += world.acknowledge("bob", *[delivery.sequence for delivery in pushed])
    pushed += world.acknowledge("bob", *[delivery.sequence for delivery in pushed])
    assert len({delivery.sequence for delivery in pushed}) == 5
    world.store.close()


def test_each_device_has_its_own_mailbox(pair: World) -> None:
    with pair.store.transaction():
        pair.store._db.execute("INSERT INTO device VALUES ('bob', 2, 0)")
    pair.send("alice", "bob")
    pair.send("alice", "bob", recipient_device=2)
    assert len(deliveries(pair.login("bob", "phone", device_id=1))) == 1
    second = deliveries(pair.login("bob", "laptop", device_id=2))
    assert len(second) == 2
    pair.acknowledge("laptop", *[delivery.sequence for delivery in second])
    assert len(deliveries(pair.login("bob", "phone", device_id=1))) == 1


def test_what_nobody_fetches_is_dropped_in_the_end(pair: World) -> None:
    pair.send("alice", "bob")
    pair.pass_time(29 * DAY)
    pair.relay.expire(now=pair.now)
    pair.send("alice", "bob")
    pair.pass_time(2 * DAY)
    assert pair.relay.expire(now=pair.now) is False
    assert len(deliveries(pair.login("bob"))) == 1
