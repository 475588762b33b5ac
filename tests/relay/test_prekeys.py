"""Prekeys at the relay: whose they are is checked, each one-time prekey goes to one, and nobody empties the shelf."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from errors import Code
from identity import create_ending
from key_agreement import PrivatePair
from prekeys import create_one_time_prekey, create_signed_prekey
from protocol import MAX_PREKEYS, FetchIdentity, FetchPrekeys, Prekeys, PrekeysHeld, PublishPrekeys, Revoke
from records import OneTimePrekey, Revocation, SignedPrekey
from relay.limits import DAY, Limits
from tests.relay.world import START_S, World

PAIR = PrivatePair.generate().public  # the relay never sees the private half, and does not mind


def signed(world: World, user_id: str, number: int = 1, device_id: int = 1) -> SignedPrekey:
    record, keys = world.records[user_id]
    return create_signed_prekey(keys, record, PAIR, device_id=device_id, number=number, created=START_S)


def one_time(world: World, user_id: str, *numbers: int, device_id: int = 1) -> list[OneTimePrekey]:
    record, keys = world.records[user_id]
    return [create_one_time_prekey(keys, record, PAIR, device_id=device_id, number=number) for number in numbers]


def leave(world: World, user_id: str, *numbers: int) -> PrekeysHeld:
    command = PublishPrekeys(one_time=one_time(world, user_id, *numbers), signed=[signed(world, user_id)])
    held = world.reply(user_id, command)
    assert isinstance(held, PrekeysHeld)
    return held


def fetch(world: World, asked_by: str, user_id: str = "bob") -> Prekeys:
    reply = world.reply(asked_by, FetchPrekeys(device_id=1, user_id=user_id))
    assert isinstance(reply, Prekeys)
    return reply


def everybody(world: World, *names: str) -> None:
    for name in names:
        if name not in world.records:
            world.register(name, 0)
        world.login(name)


def test_what_is_left_is_handed_out_oldest_first_and_once(pair: World) -> None:
    pair.login("bob")
    assert leave(pair, "bob", 3, 2) == PrekeysHeld(one_time=2, signed=1)
    pair.crash()
    everybody(pair, "alice", "bob", "carol")
    assert fetch(pair, "alice") == Prekeys(one_time=one_time(pair, "bob", 2), signed=fetch(pair, "carol").signed)
    assert fetch(pair, "alice").one_time == []  # carol had the last
    assert pair.reply("bob", PublishPrekeys(one_time=[], signed=[])) == PrekeysHeld(one_time=0, signed=1)


def test_another_signed_prekey_takes_the_place_of_all_that_was_left(pair: World) -> None:
    pair.login("bob")
    leave(pair, "bob", 5, 6)
    assert pair.reply("bob", PublishPrekeys(one_time=[], signed=[signed(pair, "bob", 2)])) == PrekeysHeld(
        one_time=0, signed=2
    )
    assert fetch(pair, "alice").signed.id == 2


def test_the_same_prekey_again_changes_nothing(pair: World) -> None:
    """The answer was lost, and the client says it again."""
    pair.login("bob")
    leave(pair, "bob", 1, 2)
    assert leave(pair, "bob", 1, 2).one_time == 2


def test_the_shelf_holds_so_many(pair: World) -> None:
    pair.login("bob")
    for first in range(1, 1 + 5 * MAX_PREKEYS, MAX_PREKEYS):
        more = PublishPrekeys(one_time=one_time(pair, "bob", *range(first, first + MAX_PREKEYS)), signed=[])
        held = pair.reply("bob", more)
    assert isinstance(held, PrekeysHeld)
    assert held.one_time == Limits().one_time_prekeys == 200


def test_nobody_empties_the_shelf(pair: World) -> None:
    """Attack 20: a thousand questions by one account take three; others still get theirs."""
    pair.login("bob")
    leave(pair, "bob", *range(1, 21))
    taken = [key for _ in range(150) for key in fetch(pair, "alice").one_time]
    for _ in range(50):
        pair.reply("alice", FetchPrekeys(device_id=1, user_id="bob"))
    assert pair.refusal("alice", FetchPrekeys(device_id=1, user_id="bob")) is Code.RATE_LIMITED
    assert len(taken) == 3
    everybody(pair, "carol")
    assert len(fetch(pair, "carol").one_time) == 1
    pair.pass_time(DAY // 3)
    assert len(fetch(pair, "alice").one_time) == 1


def test_a_session_with_each_of_many_contacts_is_no_flood(pair: World) -> None:
    for number in range(15):
        name = f"contact{number}"
        pair.register(name, 0)
        pair.login(name)
        leave(pair, name, 1)
        assert len(fetch(pair, "alice", name).one_time) == 1


Flaw = Callable[[World], PublishPrekeys]
FLAWS: dict[str, Flaw] = {
    "somebody else's": lambda world: PublishPrekeys(one_time=one_time(world, "alice", 1), signed=[]),
    "somebody else's signed": lambda world: PublishPrekeys(one_time=[], signed=[signed(world, "alice")]),
    "another device's": lambda world: PublishPrekeys(one_time=one_time(world, "bob", 1, device_id=2), signed=[]),
    "a changed key": lambda world: PublishPrekeys(
        one_time=[msgspec.structs.replace(one_time(world, "bob", 1)[0], key=bytes(1216))], signed=[]
    ),
    "a changed time": lambda world: PublishPrekeys(
        one_time=[], signed=[msgspec.structs.replace(signed(world, "bob"), created=START_S + 1)]
    ),
    "half of the signatures": lambda world: PublishPrekeys(
        one_time=[],
        signed=[
            msgspec.structs.replace(
                signed(world, "bob"), sigs=msgspec.structs.replace(signed(world, "bob").sigs, mldsa65=bytes(3309))
            )
        ],
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_the_account_has_not_signed_is_refused_whole(pair: World, flaw: str) -> None:
    pair.login("bob")
    leave(pair, "bob", 7)
    command = FLAWS[flaw](pair)
    command = msgspec.structs.replace(command, one_time=[*one_time(pair, "bob", 8), *command.one_time])
    assert pair.refusal("bob", command) is Code.INVALID_RECORD
    assert pair.reply("bob", PublishPrekeys(one_time=[], signed=[])) == PrekeysHeld(one_time=1, signed=1)


def test_there_is_nothing_to_be_had_of_nobody_or_of_who_left_nothing(pair: World) -> None:
    assert pair.refusal("alice", FetchPrekeys(device_id=1, user_id="nobody")) is Code.UNKNOWN_USER
    assert pair.refusal("alice", FetchPrekeys(device_id=2, user_id="bob")) is Code.UNKNOWN_USER
    assert pair.refusal("alice", FetchPrekeys(device_id=1, user_id="bob")) is Code.NO_PREKEYS


def test_asking_for_nobody_s_prekeys_counts_as_a_look_up(pair: World) -> None:
    for number in range(100):
        ask = FetchPrekeys(device_id=1, user_id=f"nobody{number}")
        assert pair.refusal("alice", ask) is Code.UNKNOWN_USER
    assert pair.refusal("alice", FetchPrekeys(device_id=1, user_id="nobody")) is Code.RATE_LIMITED
    assert pair.refusal("alice", FetchIdentity(epoch=0, log_size=0, user_id="bob")) is Code.RATE_LIMITED


def test_prekeys_of_a_former_identity_are_gone(pair: World) -> None:
    pair.login("bob")
    leave(pair, "bob", 1)
    pair.rotate("bob", 2)
    assert pair.refusal("alice", FetchPrekeys(device_id=1, user_id="bob")) is Code.NO_PREKEYS
    assert leave(pair, "bob", 1) == PrekeysHeld(one_time=1, signed=1)


def test_prekeys_of_an_account_that_has_ended_are_gone(pair: World) -> None:
    pair.login("bob")
    leave(pair, "bob", 1)
    record, keys = pair.records["bob"]
    pair.visit("anybody")
    pair.do("anybody", Revoke(certificate=create_ending(Revocation, keys, record, created=START_S)))
    assert pair.refusal("alice", FetchPrekeys(device_id=1, user_id="bob")) is Code.NO_PREKEYS


def test_prekeys_are_left_at_a_bounded_rate(pair: World) -> None:
    pair.login("bob")
    for _ in range(20):
        leave(pair, "bob")
    assert pair.refusal("bob", PublishPrekeys(one_time=[], signed=[signed(pair, "bob")])) is Code.RATE_LIMITED
    assert pair.reply("bob", PublishPrekeys(one_time=[], signed=[])) == PrekeysHeld(one_time=0, signed=1)
