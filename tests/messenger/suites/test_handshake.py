"""The handshake: both sides agree, nobody else does, and everything that was said counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from crypto_utils import PrivateKeys
from errors import CryptoError
from identity import create_record
from key_agreement import PrivatePair, exchange
from messenger.account import Account
from messenger.suites.handshake import Handshake, Ours, Party, Theirs, answer, begin, shared_secret

VECTORS = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "libsignal.json"


class People:
    def __init__(self, keys: list[PrivateKeys], *, one_time: bool = True) -> None:
        self.alice, self.bob, self.mallory = (
            Account(name, own, create_record(own, name, created=1, suites=[1, 2]))
            for name, own in zip(("alice", "bob", "mallory"), keys, strict=True)
        )
        self.ours = Ours(PrivatePair.generate(), PrivatePair.generate() if one_time else None)
        pair = self.ours.one_time
        self.theirs = Theirs(7, self.ours.signed.public, 9 if pair else 0, pair.public if pair else None)

    def begin(self) -> tuple[bytes, Handshake]:
        agreed, handshake = begin(self.alice, Party(self.bob.record, 1), self.theirs)
        return agreed.shared, handshake


@pytest.fixture
def people(some_keys: list[PrivateKeys]) -> People:
    return People(some_keys)


@pytest.mark.parametrize("one_time", [True, False])
def test_both_agree(some_keys: list[PrivateKeys], one_time: bool) -> None:
    people = People(some_keys, one_time=one_time)
    agreed, handshake = begin(people.alice, Party(people.bob.record, 1), people.theirs)
    assert answer(people.bob, Party(people.alice.record, 1), people.ours, handshake) == agreed
    assert (len(agreed.session_id), len(agreed.shared)) == (16, 32)
    assert begin(people.alice, Party(people.bob.record, 1), people.theirs)[0] != agreed


@pytest.mark.parametrize("field", ["ephemeral", "ciphertext", "signature"])
def test_any_change_of_a_handshake_is_refused(people: People, field: str) -> None:
    """Also of the ciphertext, which alone would only lead to another secret (attack 21)."""
    _, handshake = people.begin()
    value = bytearray(getattr(handshake, field))
    value[-1] ^= 1
    changed = msgspec.structs.replace(handshake, **{field: bytes(value)})
    with pytest.raises(CryptoError):
        answer(people.bob, Party(people.alice.record, 1), people.ours, changed)


def test_who_somebody_is_goes_into_the_secret(people: People, some_keys: list[PrivateKeys]) -> None:
    """Attack 22: Mallory registers Bob's keys as hers; what Alice means for Mallory is nothing that Bob can open."""
    record = create_record(some_keys[1], "mallory", created=1, suites=[1, 2])
    _, handshake = begin(people.alice, Party(record, 1), people.theirs)
    with pytest.raises(CryptoError):
        answer(people.bob, Party(people.alice.record, 1), people.ours, handshake)


@pytest.mark.parametrize(
    "whose", ["device of the sender", "device of the recipient", "sender", "prekeys", "one-time prekey"]
)
def test_everything_that_was_said_counts(people: People, whose: str) -> None:
    _, handshake = people.begin()
    sender, recipient, ours = Party(people.alice.record, 1), people.bob, people.ours
    if whose == "device of the sender":
        sender = replace(sender, device_id=2)
    elif whose == "device of the recipient":
        recipient = replace(recipient, device_id=2)
    elif whose == "sender":
        sender = Party(people.mallory.record, 1)
    elif whose == "prekeys":
        ours = replace(ours, signed=PrivatePair.generate())
    else:
        ours = replace(ours, one_time=None)
    with pytest.raises(CryptoError):
        answer(recipient, sender, ours, handshake)


def test_all_of_bob_s_secrets_do_not_make_an_alice(people: People) -> None:
    """Attack 23, key compromise impersonation: without her ML-DSA key nobody begins in her name."""
    as_alice = Account("alice", people.mallory.keys, people.alice.record)
    _, forged = begin(as_alice, Party(people.bob.record, 1), people.theirs)
    with pytest.raises(CryptoError):
        answer(people.bob, Party(people.alice.record, 1), people.ours, forged)


def test_a_point_of_low_order_is_refused(people: People) -> None:
    low = X25519PublicKey.from_public_bytes(bytes(32))
    theirs = replace(people.theirs, signed=replace(people.theirs.signed, x25519=low))
    with pytest.raises(CryptoError):
        begin(people.alice, Party(people.bob.record, 1), theirs)
    for size in (0, 31, 33):
        with pytest.raises(CryptoError):
            answer(
                people.bob, Party(people.alice.record, 1), people.ours,
                msgspec.structs.replace(people.begin()[1], ephemeral=bytes(size)),
            )  # fmt: skip


@pytest.mark.skipif(not VECTORS.is_file(), reason="no ../shared/vectors beside this clone")
@pytest.mark.parametrize("side", ["alice", "bob"])
def test_the_classical_half_is_signal_s(side: str) -> None:
    """X3DH without a one-time prekey: the root key, and after it the first chain."""
    vector = json.loads(VECTORS.read_text())[f"x3dh_{side}"]

    def private(name: str) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(bytes.fromhex(vector[name]))

    def public(name: str) -> X25519PublicKey:
        return X25519PublicKey.from_public_bytes(bytes.fromhex(vector[name]))

    if side == "alice":
        identity, base, prekey = (
            private("identity_private"),
            private("base_private"),
            public("their_signed_prekey_public"),
        )
        secrets = [exchange(identity, prekey), exchange(base, public("their_identity_public")), exchange(base, prekey)]
    else:
        identity, signed = private("identity_private"), private("signed_prekey_private")
        their_base = public("their_base_public")
        first = exchange(signed, public("their_identity_public"))
        secrets = [first, exchange(identity, their_base), exchange(signed, their_base)]
    both = shared_secret(secrets, vector["info"].encode(), size=64)
    assert both[32:].hex() == vector["receiver_chain" if side == "alice" else "sender_chain"]
