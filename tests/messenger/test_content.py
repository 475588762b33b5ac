from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from canonical_json import canonical
from errors import CryptoError
from messenger.content import (
    BUCKETS,
    HEADER_SIZE,
    MAX_INFLATED,
    MAX_LIFETIME_S,
    NO_LOG,
    Content,
    Deletion,
    Edit,
    KnownLog,
    Reaction,
    ReceiptContent,
    Reference,
    Text,
    Timer,
    pack,
    padded_size,
    unpack,
)

logs = st.builds(KnownLog, root=st.binary(min_size=32, max_size=32), size=st.integers(0, 2**53 - 1))
counters, ids = st.integers(1, 2**53 - 1), st.binary(min_size=16, max_size=16)
references = st.builds(Reference, author=st.sampled_from(["alice", "bob"]), id=ids)
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=3000)
texts = st.builds(
    Text,
    answers=st.just(UNSET) | references,
    counter=counters,
    lifetime_s=st.just(UNSET) | st.integers(1, MAX_LIFETIME_S),
    log=logs,
    text=words,
)
changes = (
    st.builds(Edit, counter=counters, id=ids, log=logs, text=words)
    | st.builds(Deletion, counter=counters, id=ids, log=logs)
    | st.builds(
        Reaction,
        about=references,
        counter=counters,
        emoji=st.text(st.characters(codec="utf-8"), max_size=16),
        log=logs,
    )
    | st.builds(
        Timer, counter=counters, lifetime_s=st.integers(0, MAX_LIFETIME_S), log=logs, version=st.integers(1, 2**53 - 1)
    )
)
receipts = st.builds(
    ReceiptContent,
    counter=st.integers(0, 2**53 - 1),
    ids=st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=100),
    log=logs,
    state=st.just("delivered"),
)


@given(texts | changes | receipts)
def test_what_is_packed_comes_back(content: Content) -> None:
    packed = pack(content)
    assert unpack(packed) == content
    assert len(packed) == padded_size(len(packed))


def test_short_texts_and_receipts_have_one_size() -> None:
    """Attack row 10."""
    sizes = {len(pack(Text(counter=number, log=NO_LOG, text="x" * number))) for number in range(1, 257)}
    about = Reference(author="a" * 32, id=bytes(16))
    sizes.add(len(pack(Reaction(about=about, counter=7, emoji="\N{FIRE}" * 16, log=NO_LOG))))
    sizes.add(len(pack(Text(answers=about, counter=7, lifetime_s=3600, log=NO_LOG, text="yes"))))
    sizes.add(len(pack(Deletion(counter=7, id=bytes(16), log=NO_LOG))))
    sizes.add(len(pack(ReceiptContent(counter=7, ids=[bytes(16)], log=NO_LOG, state="delivered"))))
    assert sizes == {512}


@given(st.integers(1, 10**7))
def test_padding_covers_and_costs_at_most_twelve_percent(size: int) -> None:
    padded = padded_size(size)
    assert padded >= size
    assert padded == padded_size(padded)
    if size > BUCKETS[-1]:
        assert padded <= size * 1.12


def framed(form: int, body: bytes, *, size: int | None = None, padding: bytes = b"\0") -> bytes:
    head = bytes([form]) + (len(body) if size is None else size).to_bytes(4, "big") + body
    return head.ljust(padded_size(len(head)), padding)


TEXT = canonical(Text(counter=1, log=NO_LOG, text="hello"))
BAD = {
    "nothing": b"",
    "no header": b"\0" * (HEADER_SIZE - 1),
    "another form": framed(2, TEXT),
    "a length beyond the end": framed(0, TEXT, size=10_000),
    "padding that is not zero": framed(0, TEXT, padding=b"x"),
    "too little padding": framed(0, TEXT)[:-1],
    "too much padding": framed(0, TEXT) + bytes(256),
    "no content": framed(0, b"{}"),
    "another kind": framed(0, b'{"counter":1,"kind":"tixt","text":"hello"}'),
    "white space": framed(0, TEXT + b" "),
    "no zlib": framed(1, TEXT),
    "half a stream": framed(1, zlib.compress(TEXT)[:-4]),
    "more than a stream": framed(1, zlib.compress(TEXT) + b"x"),
    "counter zero": framed(0, TEXT.replace(b"1", b"0")),
    "an empty text": framed(0, TEXT.replace(b"hello", b"")),
    "a lifetime of nothing": framed(0, canonical(Text(counter=1, lifetime_s=0, log=NO_LOG, text="x"))),
    "no author": framed(
        0, canonical(Text(answers=Reference(author="", id=bytes(16)), counter=1, log=NO_LOG, text="x"))
    ),
    "a long reaction": framed(
        0,
        canonical(Reaction(about=Reference(author="bob", id=bytes(16)), counter=1, emoji="\N{FIRE}" * 17, log=NO_LOG)),
    ),
    "a timer of before": framed(0, canonical(Timer(counter=1, lifetime_s=1, log=NO_LOG, version=0))),
    "a read receipt": framed(
        0,
        canonical(ReceiptContent(counter=1, ids=[bytes(16)], log=NO_LOG, state="delivered")).replace(
            b"delivered", b"forgotten"
        ),
    ),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_pack_would_not_write_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        unpack(data)


def test_a_bomb_does_not_go_off() -> None:
    """Attack row 8: 194 kB that would become 200 MB."""
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(b"A" * 1_000_000) for _ in range(200)) + packer.flush()
    assert len(bomb) < 200_000
    with pytest.raises(CryptoError):
        unpack(framed(1, bomb))
    assert MAX_INFLATED == 2**20


def test_compression_shows_nothing_of_a_guess() -> None:
    """Attack row 9: right and wrong guesses beside a secret have one size."""
    secret = "password=h4rdToGuess"
    sizes = {
        len(pack(Text(counter=1, log=NO_LOG, text=f"{secret} {guess}")))
        for guess in ("password=h4rdToGuess", "password=wrongGuess__")
    }
    assert len(sizes) == 1


@given(st.binary(max_size=600))
def test_junk_brings_nothing_but_the_one_error(data: bytes) -> None:
    try:
        unpack(data)
    except CryptoError:
        return
    pytest.fail("junk was taken for content")


def test_long_texts_are_compressed() -> None:
    chance = random.Random(1)
    words = " ".join(chance.choice(["the", "meeting", "is", "moved", "to"]) for _ in range(2000))
    assert len(pack(Text(counter=1, log=NO_LOG, text=words))) < len(words) / 2
