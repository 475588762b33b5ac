"""Row 27: something that does not open leaves the session unable to open what comes after it."""

from __future__ import annotations

import os

import msgspec
import pytest

from canonical_json import without
from crypto_utils import Label, decode_base64, encode_base64, sign
from messenger.events import SentAgain
from messenger.suites import ratchet, suite2
from messenger.suites.sessions import Session
from messenger.suites.suite2 import Suite2
from protocol import Envelope
from tests.attacks.stage import Stage


def hasty(self: Suite2, session: Session, envelope: Envelope, parts: suite2.Parts, *, now: int) -> bytes:
    """Keep the next state before it is known whether anything opens."""
    opened = ratchet.open_with(session.state, parts.header)
    self._sessions.keep_received(session.id, opened.state, opened.skipped, now=now)
    return suite2._open(opened.key, parts, envelope)


def test_a_message_with_another_pair_in_it(stage2: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a contact whose client was changed, or whose Ed25519 key was stolen: the signature holds."""
    if weak:
        monkeypatch.setattr(Suite2, "_go_on", hasty)
    alice, bob = stage2.alice, stage2.bob
    genuine = stage2.recorded(alice, "bob", "genuine")
    header = bytearray(decode_base64(genuine.encrypted_aes_key))
    header[32:64] = os.urandom(32)  # the X25519 half of the pair
    false = msgspec.structs.replace(genuine, encrypted_aes_key=encode_base64(bytes(header)), id=os.urandom(16))
    signature = sign(alice.account.keys.ed25519, Label.ENVELOPE_2, without(false, "signature"))
    stage2.deliver(bob, msgspec.structs.replace(false, signature=encode_base64(signature)))
    stage2.deliver(bob, genuine)
    assert bool(alice.saw(SentAgain)) is weak  # it then comes in another session
    assert bob.read == ["genuine"]
