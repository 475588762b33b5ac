"""Row 7: what fails inside must not show outside, or the recipient becomes an oracle (Bridgefy 2020 and 2022)."""

from __future__ import annotations

import msgspec
import pytest

from canonical_json import without
from crypto_utils import Label, encode_base64, sign
from errors import CryptoError
from messenger.content import NO_LOG, Text, pack
from messenger.inbox import Inbox
from protocol import Acknowledge, Envelope, Frame
from tests.attacks.stage import Stage, sealed, sealed_bytes


def signed(stage: Stage, envelope: Envelope) -> Envelope:
    """Let Alice, who is the attacker, sign what she has made of an envelope."""
    signature = sign(stage.alice.account.keys.rsa, Label.ENVELOPE_1, without(envelope, "signature"))
    return msgspec.structs.replace(envelope, signature=encode_base64(signature))


def probes(stage: Stage) -> list[Envelope]:
    good = sealed(stage.alice, stage.bob, Text(counter=2, log=NO_LOG, text="x"))
    content = pack(Text(counter=2, log=NO_LOG, text="y" * 500))
    assert content[0] == 1
    return [
        msgspec.structs.replace(good, signature=encode_base64(bytes(256)), id=bytes(16)),
        signed(stage, msgspec.structs.replace(good, encrypted_aes_key=encode_base64(bytes(256)), id=b"1" * 16)),
        signed(stage, msgspec.structs.replace(good, suite=9, id=b"2" * 16)),
        sealed_bytes(stage.alice, stage.bob, content[:5] + b"junk" + content[9:]),
        sealed_bytes(stage.alice, stage.bob, bytes(512)),
        sealed_bytes(stage.alice, stage.bob, b""),
    ]


def test_every_failure_looks_the_same_from_outside(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if weak:  # a target that stumbles over what is inside, and does not acknowledge it
        refuse = Inbox._refuse

        def stumble(inbox: Inbox, sender_id: str, sequence: int) -> None:
            refuse(inbox, sender_id, sequence)
            if inbox._weak_inside:  # type: ignore[attr-defined]
                inbox.acknowledged.pop()

        def remember(_data: bytes) -> object:
            stage.bob.messenger._parts.inbox._weak_inside = True  # type: ignore[attr-defined]
            raise CryptoError

        monkeypatch.setattr(Inbox, "_weak_inside", False, raising=False)
        monkeypatch.setattr(Inbox, "_refuse", stumble)
        monkeypatch.setattr("messenger.inbox.unpack", remember)
    answers: list[list[str]] = []
    for probe in probes(stage):
        said: list[Frame] = []

        def listen(frame: Frame, said: list[Frame] = said) -> list[Frame]:
            said.append(frame)
            return [frame]

        stage.town.outward = listen
        stage.deliver(stage.bob, probe)
        answers.append([type(frame).__name__ for frame in said])
    assert all(answer == [Acknowledge.__name__] for answer in answers) is not weak
    assert stage.bob.read == []
