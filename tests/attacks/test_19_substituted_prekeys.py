"""Row 19: the server hands out prekeys of its own, and reads along once it has Bob's identity key, too."""

from __future__ import annotations

import msgspec
import pytest

from crypto_utils import decode_base64
from errors import CryptoError
from key_agreement import PrivatePair, PublicPair
from messenger.suites.handshake import Ours, Party, answer
from messenger.suites.suite2 import _unpack
from prekeys import create_signed_prekey
from protocol import Envelope, Frame, Prekeys
from tests.attacks.stage import Stage


def test_prekeys_that_the_contact_has_not_signed(stage2: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob, pair, sent = stage2.alice, stage2.bob, PrivatePair.generate(), list[Envelope]()
    alice.database.run("DELETE FROM session")
    if weak:
        monkeypatch.setattr("messenger.beginnings.verify_prekey", lambda prekey, _: PublicPair.from_bytes(prekey.key))
    false = create_signed_prekey(
        stage2.town.keys[2], bob.account.record, pair.public, device_id=1, number=1, created=stage2.town.now
    )

    def substitute(frame: Frame) -> list[Frame]:
        return [msgspec.structs.replace(frame, one_time=[], signed=false) if isinstance(frame, Prekeys) else frame]

    def record(frame: Frame) -> list[Frame]:
        if isinstance(frame, Envelope) and frame.sender_id == "alice":
            sent.append(frame)
        return [frame]

    stage2.town.inward, stage2.town.outward = substitute, record
    alice.write("bob", "secret")
    assert any(opens(envelope, pair, stage2) for envelope in sent) is weak


def opens(envelope: Envelope, pair: PrivatePair, stage: Stage) -> bool:
    begun = _unpack(decode_base64(envelope.encrypted_aes_key)).handshake
    try:
        return begun is not None and bool(
            answer(stage.bob.account, Party(stage.alice.account.record, 1), Ours(pair), begun)
        )
    except CryptoError:
        return False
