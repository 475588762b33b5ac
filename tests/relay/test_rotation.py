"""Identities that follow each other, and identities that end."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from canonical_json import canonical, without
from crypto_utils import Label, PrivateKeys, sign
from errors import Code
from identity import create_ending, create_record, identity_hash
from protocol import FetchIdentity, Identity, LoggedIn, Revoke, Revoked, Rotate, Rotated
from records import MAX_RECORDS, IdentityRecord, Revocation
from relay.limits import HOUR, Limits
from tests.relay.world import START_S, World, contents, frames_to, hang_ups


def look_up(world: World, epoch: int, user_id: str = "bob") -> Identity:
    reply = world.reply("alice", FetchIdentity(epoch=epoch, log_size=0, user_id=user_id))
    assert isinstance(reply, Identity)
    return reply


def answer(world: World, epoch: int) -> tuple[list[IdentityRecord], list[Revocation]]:
    reply = look_up(world, epoch)
    return reply.records, reply.revocations


# ---------------------------------------------------------------- rotation


def test_the_next_identity_takes_the_place_of_the_present_one(pair: World) -> None:
    pair.login("bob")
    first = pair.records["bob"][0]
    waiting = pair.send("alice", "bob")  # sealed for the old one
    second = pair.rotate("bob", 2)
    assert answer(pair, 0) == ([second], [])
    assert answer(pair, 1) == ([first, second], [])
    assert answer(pair, 2) == ([second], [])
    assert answer(pair, 9) == ([second], [])
    pair.send("bob", "alice")  # in the new identity's name
    pair.crash()
    pair.login("alice")
    assert contents(pair.login("bob")) == [canonical(waiting)]
    to_the_old = pair.envelope("alice", "bob", recipient_key=identity_hash(first)[:16])
    assert pair.rejection("alice", to_the_old) is Code.KEY_CHANGED


def test_the_old_identity_neither_logs_in_nor_writes(pair: World) -> None:
    pair.login("bob")
    old = pair.records["bob"]
    envelope = pair.envelope("bob", "alice")
    pair.rotate("bob", 2)
    assert pair.rejection("bob", envelope) is Code.WRONG_SENDER
    new, pair.records["bob"] = pair.records["bob"], old
    assert pair.refusal("link", pair.login_frame("bob", pair.visit("link"))) is Code.AUTHENTICATION_FAILED
    pair.records["bob"] = new
    assert isinstance(pair.login("bob")[0], LoggedIn)


def test_the_same_record_again_is_answered_the_same(pair: World) -> None:
    pair.login("bob")
    record = pair.rotate("bob", 2)
    for _ in range(20):
        assert pair.reply("bob", Rotate(record=record)) == Rotated(identity_hash=identity_hash(record))
    assert pair.store._db.execute("SELECT count(*) FROM identity WHERE user_id = 'bob'").fetchone() == (2,)


def resigned(
    record: IdentityRecord, keys: PrivateKeys, old: PrivateKeys, label: Label = Label.ROTATE
) -> IdentityRecord:
    """Sign a record anew after it was changed."""
    signed = without(record, "sigs")
    signatures = msgspec.structs.replace(
        record.sigs, ed25519=sign(keys.ed25519, Label.IDENTITY, signed), rsa=sign(keys.rsa, Label.IDENTITY, signed),
        mldsa65=sign(keys.mldsa65, Label.IDENTITY, signed), prev=sign(old.ed25519, label, signed),
    )  # fmt: skip
    return msgspec.structs.replace(record, sigs=signatures)


Forge = Callable[[World, IdentityRecord], IdentityRecord]
FORGERIES: dict[str, Forge] = {
    "not signed by the old keys": lambda world, record: resigned(record, world.keys[2], world.keys[0]),
    "signed for another purpose": lambda world, record: resigned(record, world.keys[2], world.keys[1], Label.IDENTITY),
    "an epoch left out": lambda world, record: resigned(
        msgspec.structs.replace(record, epoch=3), world.keys[2], world.keys[1]
    ),
    "another one before it": lambda world, record: resigned(
        msgspec.structs.replace(record, prev=bytes(32)), world.keys[2], world.keys[1]
    ),
    "somebody else's": lambda world, record: resigned(
        msgspec.structs.replace(record, user_id="alice"), world.keys[2], world.keys[1]
    ),
    "a first one": lambda world, record: create_record(world.keys[2], "bob", created=START_S, suites=[1]),
    "not signed by itself": lambda world, record: msgspec.structs.replace(
        record, sigs=msgspec.structs.replace(record.sigs, ed25519=bytes(64))
    ),
    "without its old signature": lambda world, record: msgspec.structs.replace(
        record, sigs=msgspec.structs.replace(record.sigs, prev=b"")
    ),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_what_the_present_identity_has_not_signed_is_refused(pair: World, forge: Forge) -> None:
    pair.login("bob")
    record = pair.successor("bob", 2)
    assert pair.refusal("bob", Rotate(record=forge(pair, record))) is Code.INVALID_RECORD
    assert pair.reply("bob", Rotate(record=record)) == Rotated(identity_hash=identity_hash(record))


def test_nobody_rotates_for_another(pair: World) -> None:
    """Not even with a record that is right: only the account itself says when."""
    assert pair.refusal("alice", Rotate(record=pair.successor("bob", 2))) is Code.INVALID_RECORD


def test_rotations_are_rationed(pair: World) -> None:
    pair.login("bob")
    for number in range(Limits().rotations.burst):
        pair.rotate("bob", number % 3)
    assert pair.refusal("bob", Rotate(record=pair.successor("bob", 0))) is Code.RATE_LIMITED
    pair.pass_time(HOUR)
    pair.rotate("bob", 0)


def test_a_long_chain_comes_in_pieces(make_world: Callable[..., World]) -> None:
    world = make_world().with_pair()
    world.login("bob")
    for number in range(MAX_RECORDS + 3):
        world.pass_time(HOUR)
        world.rotate("bob", number % 3)
    pieces = look_up(world, 1).records
    assert len(pieces) == MAX_RECORDS
    pieces += look_up(world, pieces[-1].epoch).records[1:]
    assert [record.epoch for record in pieces] == list(range(1, MAX_RECORDS + 5))


# ---------------------------------------------------------------- revocation


def test_whoever_holds_the_certificate_ends_the_account(pair: World) -> None:
    pair.login("bob")
    pair.send("alice", "bob")
    certificate = pair.certificate("bob")
    pair.visit("thief", "203.0.113.7")
    actions = pair.do("thief", Revoke(certificate=certificate))
    assert frames_to("thief", actions) == [Revoked(identity_hash=certificate.identity_hash)]
    assert [(action.link, action.code) for action in hang_ups(actions)] == [("bob", Code.ACCOUNT_REVOKED)]
    pair.crash()
    pair.login("alice")
    assert pair.refusal("link", pair.login_frame("bob", pair.visit("link"))) is Code.ACCOUNT_REVOKED
    assert pair.rejection("alice", pair.envelope("alice", "bob")) is Code.KEY_CHANGED
    assert answer(pair, 1) == ([pair.records["bob"][0]], [certificate])


def test_a_revoked_number_does_not_come_back(pair: World) -> None:
    pair.visit("link")
    pair.reply("link", Revoke(certificate=pair.certificate("bob")))
    record = pair.identity("bob", 2)
    assert pair.refusal("link", pair.register_frame(record, "123456")) is Code.CODE_EXPIRED


def test_the_same_certificate_again_is_answered_the_same(pair: World) -> None:
    pair.visit("link")
    certificate = pair.certificate("bob")
    for _ in range(2):
        assert pair.reply("link", Revoke(certificate=certificate)) == Revoked(identity_hash=certificate.identity_hash)


def test_another_s_certificate_ends_nothing(pair: World) -> None:
    pair.visit("link")
    alice, bob = (pair.records[name][1] for name in ("alice", "bob"))
    record = pair.records["bob"][0]
    forged = create_ending(Revocation, alice, record, created=START_S)
    other = msgspec.structs.replace(pair.certificate("alice"), user_id="bob")
    for certificate in (forged, other):
        assert pair.refusal("link", Revoke(certificate=certificate)) is Code.INVALID_CERTIFICATE
    nobody = create_ending(Revocation, bob, msgspec.structs.replace(record, user_id="nobody"), created=START_S)
    assert pair.refusal("link", Revoke(certificate=nobody)) is Code.UNKNOWN_USER
    assert isinstance(pair.login("bob")[0], LoggedIn)


def test_the_certificate_of_an_earlier_identity_ends_the_account_too(pair: World) -> None:
    """It was made at registration and lies somewhere safe; a thief of the keys may have made others since."""
    pair.login("bob")
    first, certificate = pair.records["bob"][0], pair.certificate("bob")
    second = pair.rotate("bob", 2)
    third = pair.rotate("bob", 0)
    pair.visit("link")
    assert isinstance(pair.reply("link", Revoke(certificate=certificate)), Revoked)
    for epoch in (0, 1, 3):
        assert answer(pair, epoch) == ([first, second, third], [certificate])
    assert pair.refusal("link", pair.login_frame("bob", pair.visit("link"))) is Code.ACCOUNT_REVOKED


def test_a_chain_too_long_for_one_reply_comes_from_where_the_client_is(pair: World) -> None:
    pair.login("bob")
    certificate = pair.certificate("bob")
    for number in range(MAX_RECORDS):
        pair.pass_time(HOUR)
        pair.rotate("bob", number % 3)
    pair.visit("link")
    pair.reply("link", Revoke(certificate=certificate))
    answer = look_up(pair, MAX_RECORDS)
    assert ([record.epoch for record in answer.records], answer.revocations) == ([16, 17], [certificate])


def test_trying_certificates_is_rationed(pair: World) -> None:
    forged = create_ending(Revocation, pair.records["alice"][1], pair.records["bob"][0], created=START_S)
    pair.visit("link")
    codes = [pair.refusal("link", Revoke(certificate=forged)) for _ in range(30)]
    assert codes.count(Code.INVALID_CERTIFICATE) == Limits().login_failures_per_address.burst
    assert codes[-1] is Code.RATE_LIMITED
