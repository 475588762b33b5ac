"""The server's signed word about envelopes, in every state that they can be in."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from acceptance import verify_acceptance
from crypto_utils import PrivateKeys
from errors import Code, CryptoError
from protocol import AcceptanceProof, FetchAcceptance, Receipt, Refusal
from records import Acceptance
from relay.actions import SendCode
from relay.limits import Limits
from tests.relay.world import LOG_KEY, SERVER_KEY, START_S, World, deliveries, frames_to


@pytest.fixture
def world(tmp_path: Path, some_keys: list[PrivateKeys]) -> World:
    return World(tmp_path / "relay.db", some_keys).with_pair()


def prove(world: World, link: str, envelope_id: bytes) -> Acceptance:
    reply = world.reply(link, FetchAcceptance(id=envelope_id))
    assert isinstance(reply, AcceptanceProof), reply
    return reply.acceptance


def test_an_envelope_is_proven_to_its_sender(world: World) -> None:
    envelope = world.send("alice", "bob")
    world.pass_time(60)
    acceptance = prove(world, "alice", envelope.id)
    assert (acceptance.id, acceptance.sender_id, acceptance.fetched) == (envelope.id, "alice", False)
    assert (acceptance.received_at, acceptance.timestamp) == (START_S, START_S + 60)
    assert acceptance.mark.decode("ascii") == envelope.signature[:32]
    verify_acceptance(LOG_KEY.public_key(), acceptance)
    with pytest.raises(CryptoError):
        verify_acceptance(SERVER_KEY.public_key(), acceptance)
    for changed in ({"fetched": True}, {"id": bytes(16)}, {"received_at": 0}, {"sender_id": "bob"}):
        with pytest.raises(CryptoError):
            verify_acceptance(LOG_KEY.public_key(), replace(acceptance, **changed))


def test_what_was_fetched_is_said_to_be(world: World) -> None:
    envelope = world.send("alice", "bob")
    (delivery,) = deliveries(world.login("bob"))
    assert not prove(world, "alice", envelope.id).fetched
    world.acknowledge("bob", delivery.sequence)
    assert prove(world, "alice", envelope.id).fetched


def test_with_two_devices_both_must_have_it(world: World) -> None:
    world.add_device("bob", 2)
    envelope = world.send("alice", "bob")
    for device_id, fetched in ((1, False), (2, True)):
        (delivery,) = deliveries(world.login("bob", f"bob{device_id}", device_id=device_id))
        world.acknowledge(f"bob{device_id}", delivery.sequence)
        assert prove(world, "alice", envelope.id).fetched is fetched


def test_what_is_not_safe_yet_is_not_proven(world: World) -> None:
    """It was handed to its device and is answered when that has it, or when it is on disk."""
    world.login("bob")
    world.relay.begin()
    envelope = world.envelope("alice", "bob")
    list(world.relay.receive("alice", [envelope], now=world.now))
    (refusal,) = frames_to("alice", world.relay.receive("alice", [FetchAcceptance(id=envelope.id)], now=world.now))
    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.NOT_HELD


def test_nobody_learns_of_what_is_not_theirs_or_was_never_there(world: World) -> None:
    world.login("bob")
    envelope = world.send("alice", "bob", id=bytes(15) + b"\1")
    assert world.refusal("bob", FetchAcceptance(id=envelope.id)) is Code.NOT_HELD
    assert world.refusal("alice", FetchAcceptance(id=bytes(16))) is Code.NOT_HELD


def test_receipts_are_proven_as_well(world: World) -> None:
    envelope = world.envelope("alice", "bob", Receipt)
    world.replies("alice", envelope)
    assert prove(world, "alice", envelope.id).id == envelope.id


def test_questions_are_rationed(world: World) -> None:
    envelope = world.send("alice", "bob")
    for _ in range(Limits().acceptances.burst):
        prove(world, "alice", envelope.id)
    assert world.refusal("alice", FetchAcceptance(id=envelope.id)) is Code.RATE_LIMITED
    world.pass_time(2)
    prove(world, "alice", envelope.id)


def test_what_is_committed_with_the_question_is_proven(world: World) -> None:
    """Its reply goes out after the commit, as that to the envelope does."""
    world.relay.begin()
    envelope = world.envelope("alice", "bob")
    actions = list(world.relay.receive("alice", [envelope, FetchAcceptance(id=envelope.id)], now=world.now))
    (proof,) = [frame for frame in frames_to("alice", actions) if isinstance(frame, AcceptanceProof)]
    assert not proof.acceptance.fetched
    assert not any(action.early for action in actions if not isinstance(action, SendCode))
