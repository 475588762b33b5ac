"""Row 6: CFB lets whoever guesses a plaintext change it (EFAIL, USENIX 2018); so it is verified first."""

from __future__ import annotations

import msgspec
import pytest

from canonical_json import canonical, decode_strictly
from crypto_utils import RSAPrivateKey, decode_base64, encode_base64, open_sealed
from messenger.content import HEADER_SIZE, KnownLog, Text
from messenger.content import _contents as contents
from messenger.suites import suite1
from tests.attacks.stage import Stage

IV_SIZE = 16


def lenient(data: bytes) -> object:
    """Read content as a program would that does not look at its padding."""
    return decode_strictly(contents, data[HEADER_SIZE : HEADER_SIZE + int.from_bytes(data[1:HEADER_SIZE], "big")])


def test_a_guessed_word_is_changed(stage: Stage, weak: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[bytes] = []

    def watched(key: RSAPrivateKey, wrapped: bytes, ciphertext: bytes, label: bytes) -> bytes:
        opened.append(ciphertext)
        return open_sealed(key, wrapped, ciphertext, label)

    monkeypatch.setattr(suite1, "open_sealed", watched)
    if weak:
        monkeypatch.setattr(suite1, "verify", lambda *_: None)
        monkeypatch.setattr("messenger.inbox.unpack", lenient)
    size, root = stage.alice.messenger.log.known
    before = canonical(Text(counter=2, log=KnownLog(root=root, size=size), text="meet at 9")).rindex(b"9")
    filling = -(HEADER_SIZE + before) % 16  # so that a block begins with the digit, and has all that follows
    text = "x" * filling + "meet at 9"
    envelope = stage.recorded(stage.alice, "bob", text)
    ciphertext = bytearray(decode_base64(envelope.encrypted_content))
    ciphertext[IV_SIZE + HEADER_SIZE + filling + before] ^= ord("9") ^ ord("7")
    forged = msgspec.structs.replace(envelope, encrypted_content=encode_base64(bytes(ciphertext)))
    opened.clear()
    stage.deliver(stage.bob, forged)
    assert stage.bob.read == ([text[:-1] + "7"] if weak else [])
    assert bool(opened) is weak
