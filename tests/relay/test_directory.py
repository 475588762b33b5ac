"""Look-ups in the key directory."""

from __future__ import annotations

from canonical_json import canonical
from errors import Code
from identity import identity_hash, verify_record
from protocol import FetchIdentity, Identity, Refusal
from tests.relay.world import World


def test_answers_with_the_record_as_it_was_published(pair: World) -> None:
    pair.crash()
    pair.login("alice")
    reply = pair.reply("alice", FetchIdentity(epoch=0, log_size=0, user_id="bob"))
    assert (reply.records, reply.revocations) == ([pair.records["bob"][0]], [])
    verify_record(reply.records[0])


def test_unknown_accounts_are_refused_by_name(pair: World) -> None:
    reply = pair.reply("alice", FetchIdentity(epoch=0, log_size=0, user_id="nobody"))
    assert reply == Refusal(code=Code.UNKNOWN_USER, command="fetch_identity", retry_after_s=0, subject="nobody")


def test_the_log_has_the_record_and_its_hash(pair: World) -> None:
    record = pair.records["bob"][0]
    row = pair.store._db.execute(
        "SELECT epoch, identity_hash, record, recorded_at FROM identity WHERE user_id = 'bob'"
    ).fetchone()
    assert row == (1, identity_hash(record), canonical(record), pair.now.wall_s)


def test_look_ups_are_rationed_whether_they_find_somebody_or_not(pair: World) -> None:
    """Attack row 38: a thousand look-ups of one account."""
    names = ["bob", "nobody"] * 500
    answers = [pair.reply("alice", FetchIdentity(epoch=0, log_size=0, user_id=name)) for name in names]
    assert all(isinstance(answer, Identity) for answer in answers[:100:2])
    assert {answer.code for answer in answers[1:100:2]} == {Code.UNKNOWN_USER}
    assert {(answer.code, answer.retry_after_s) for answer in answers[100:]} == {(Code.RATE_LIMITED, 2)}


def test_the_ration_is_the_accounts_and_comes_back(pair: World) -> None:
    pair.login("bob")
    for _ in range(100):
        pair.reply("alice", FetchIdentity(epoch=0, log_size=0, user_id="bob"))
    pair.login("alice", "again")  # a new link is no new ration
    assert pair.refusal("again", FetchIdentity(epoch=0, log_size=0, user_id="bob")) is Code.RATE_LIMITED
    assert isinstance(pair.reply("bob", FetchIdentity(epoch=0, log_size=0, user_id="alice")), Identity)
    pair.pass_time(1)
    assert isinstance(pair.reply("again", FetchIdentity(epoch=0, log_size=0, user_id="bob")), Identity)
    assert pair.refusal("again", FetchIdentity(epoch=0, log_size=0, user_id="bob")) is Code.RATE_LIMITED


def test_writing_to_nobody_and_looking_up_share_one_ration(pair: World) -> None:
    for _ in range(50):
        assert pair.rejection("alice", pair.envelope("alice", "nobody")) is Code.UNKNOWN_USER
        assert pair.rejection("alice", pair.envelope("alice", "bob", recipient_key=bytes(16))) is Code.KEY_CHANGED
    assert pair.refusal("alice", FetchIdentity(epoch=0, log_size=0, user_id="bob")) is Code.RATE_LIMITED
    assert pair.rejection("alice", pair.envelope("alice", "nobody")) is Code.RATE_LIMITED
    pair.send("alice", "bob")  # what goes to somebody known tells nothing and costs nothing
