"""Row 39: how long a comparison takes tells how much of a secret was right; and ciphers of one's own leak."""

from __future__ import annotations

import re

import pytest

from tests.test_architecture import SOURCES, name_of

COMPARED = re.compile(
    r"\b\w*((?<!en)(?<!de)code|proof|mac|tag|password|secret)(\(\w*\))? [!=]= |fingerprint\(\w+\) == "
)
HOME_MADE = re.compile(r"\bsbox\b|\bround_key|\bxtime\b|def (aes|sha256|hmac|pbkdf2)\w*_(block|round)", re.IGNORECASE)
LEAKY = [
    "if code == expected:\n    accept()",
    "return sent_code == stored",
    "if fingerprint(key) == text:",
    "if mac != tag:\n    raise CryptoError",
    "SBOX = [0x63, 0x7C]",
]


def findings(text: str) -> list[str]:
    text = text.replace("refused.code ==", "").replace("frame.code ==", "")  # the reason of a refusal is no secret
    return [match[0] for pattern in (COMPARED, HOME_MADE) for match in pattern.finditer(text)]


@pytest.mark.parametrize("text", LEAKY)
def test_a_program_that_leaks_is_found(text: str) -> None:
    assert findings(text)


def test_nothing_of_it_is_here() -> None:
    found = {name_of(path): findings(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {name: each for name, each in found.items() if each} == {}
