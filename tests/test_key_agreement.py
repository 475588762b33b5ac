"""X25519 and ML-KEM-768 in pairs, and what is derived from them; the second implementation is pycryptodome's."""

from __future__ import annotations

import pytest
from Crypto.PublicKey import MLKEM
from hypothesis import given
from hypothesis import strategies as st

from errors import CryptoError
from key_agreement import (
    CIPHERTEXT_SIZE,
    PRIVATE_SIZE,
    PUBLIC_SIZE,
    PrivatePair,
    PublicPair,
    chain,
    decrypt,
    derive,
    encrypt,
    exchange,
)
from records import PREKEY_SIZE

LOW_ORDER = [  # RFC 7748 section 6.1 wants these noticed; the list is that of cr.yp.to/ecdh.html
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def test_pairs_are_written_and_read() -> None:
    pair = PrivatePair.generate()
    data = pair.to_bytes()
    assert len(data) == PRIVATE_SIZE
    assert PrivatePair.from_bytes(data).to_bytes() == data
    public = pair.public.to_bytes()
    assert len(public) == PUBLIC_SIZE
    assert PublicPair.from_bytes(public).to_bytes() == public
    assert repr(pair).startswith("<")  # and shows nothing


def test_both_sides_have_the_same_secrets() -> None:
    alice, bob = PrivatePair.generate(), PrivatePair.generate()
    assert exchange(alice.x25519, bob.public.x25519) == exchange(bob.x25519, alice.public.x25519)
    secret, ciphertext = bob.public.encapsulate()
    assert (len(secret), len(ciphertext)) == (32, CIPHERTEXT_SIZE)
    assert bob.decapsulate(ciphertext) == secret
    assert alice.decapsulate(ciphertext) != secret  # implicit rejection: another secret, and no error


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_point_of_low_order_is_refused(point: str) -> None:
    low = PublicPair.from_bytes(bytes.fromhex(point) + PrivatePair.generate().public.to_bytes()[32:])
    with pytest.raises(CryptoError):
        exchange(PrivatePair.generate().x25519, low.x25519)


def test_a_pair_has_the_size_that_the_wire_has_for_it() -> None:
    assert len(PrivatePair.generate().public.to_bytes()) == PUBLIC_SIZE == PREKEY_SIZE


@pytest.mark.parametrize("data", [b"", bytes(PUBLIC_SIZE - 1), bytes(PUBLIC_SIZE + 1), bytes(32) + b"\xff" * 1184])
def test_what_is_no_pair_is_refused(data: bytes) -> None:
    """The last one is of the right size and has coefficients that are too large (FIPS 203 section 7.2)."""
    with pytest.raises(CryptoError):
        PublicPair.from_bytes(data).encapsulate()


@pytest.mark.parametrize("size", [0, CIPHERTEXT_SIZE - 1, CIPHERTEXT_SIZE + 1])
def test_what_is_no_ciphertext_is_refused(size: int) -> None:
    with pytest.raises(CryptoError):
        PrivatePair.generate().decapsulate(bytes(size))


def test_another_implementation_agrees() -> None:
    """Both ways: it opens what we encapsulate, and makes the same public key of the same seed."""
    pair = PrivatePair.generate()
    theirs = MLKEM.construct(param_set=MLKEM.ML_KEM_768, seed=pair.mlkem.private_bytes_raw())
    assert theirs.ek == pair.public.to_bytes()[32:]
    secret, ciphertext = pair.public.encapsulate()
    assert theirs._decaps(ciphertext) == secret
    made = dict(zip((True, False), sorted(theirs._encaps(), key=len), strict=True))
    assert pair.decapsulate(made[False]) == made[True]


@given(plaintext=st.binary(max_size=2000), associated=st.binary(max_size=200), at=st.integers(0, 10**6))
def test_any_change_is_noticed(plaintext: bytes, associated: bytes, at: int) -> None:
    key, nonce = bytes(range(32)), bytes(12)
    ciphertext = encrypt(key, nonce, plaintext, associated)
    assert decrypt(key, nonce, ciphertext, associated) == plaintext
    changed = bytearray(ciphertext)
    changed[at % len(changed)] ^= 1 << at % 8
    for wrong in (
        (key, bytes(changed), associated),
        (key, ciphertext, associated + b"x"),
        (key[::-1], ciphertext, associated),
    ):
        with pytest.raises(CryptoError):
            decrypt(wrong[0], nonce, wrong[1], wrong[2])


def test_what_is_too_short_to_have_a_tag_is_refused() -> None:
    with pytest.raises(CryptoError):
        decrypt(bytes(32), bytes(12), bytes(15), b"")


def test_derived_keys_depend_on_everything() -> None:
    found = {
        derive(secret, salt=salt, info=info, size=32)
        for secret in (b"a" * 32, b"b" * 32)
        for salt in (b"", b"salt")
        for info in (b"one", b"two")
    }
    assert len(found) == 8
    assert chain(bytes(32), b"\1") != chain(bytes(32), b"\2")
