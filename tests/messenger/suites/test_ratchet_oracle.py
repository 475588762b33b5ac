"""The ratchet beside another implementation of its specification: DoubleRatchet, by Syndace.

Both get the same key pairs, and what each exchange gives; the chains, the order of their steps, the numbers in the
headers and what is set aside are the other's own. Its keys must be ours, whatever is lost and in whatever order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

import doubleratchet
import pytest
from doubleratchet import EncryptedMessage
from hypothesis import given
from hypothesis import strategies as st

from crypto_utils import Label
from errors import CryptoError
from key_agreement import PrivatePair, PublicPair, chain, derive, exchange
from messenger.suites.ratchet import MAX_SKIP, Header, State, await_first, begin, open_with, seal

SHARED = bytes(range(32))
T = TypeVar("T")


def done(work: Coroutine[Any, Any, T]) -> T:
    """What the other implementation returns; it is written for an event loop."""
    return asyncio.run(work)


class Root(doubleratchet.KDF):
    @staticmethod
    async def derive(key: bytes, data: bytes, length: int) -> bytes:
        return derive(data, salt=key, info=Label.ROOT_2.value, size=length)


class Chain(doubleratchet.KDF):
    @staticmethod
    async def derive(key: bytes, data: bytes, length: int) -> bytes:
        assert (data, length) == (b"", 64)
        return chain(key, b"\2") + chain(key, b"\1")


class Seal(doubleratchet.AEAD):
    """What is `encrypted` is the key itself, so that whoever has another cannot open it."""

    @staticmethod
    async def encrypt(plaintext: bytes, key: bytes, associated_data: bytes) -> bytes:
        return key

    @staticmethod
    async def decrypt(ciphertext: bytes, key: bytes, associated_data: bytes) -> bytes:
        if ciphertext != key:
            raise doubleratchet.AuthenticationFailedException
        return key


class Ratchet(doubleratchet.DoubleRatchet):
    @staticmethod
    def _build_associated_data(associated_data: bytes, header: doubleratchet.Header) -> bytes:
        return b""


class Side:
    """One of two, in both implementations."""

    def __init__(self, state: State, pairs: dict[bytes, PrivatePair], secrets: dict[frozenset[bytes], bytes]) -> None:
        self.state, self.pairs, self.secrets = state, pairs, secrets
        self.skipped: dict[tuple[bytes, int], bytes] = {}
        self.other: Ratchet | None = None
        self.note()

        class Pairs(doubleratchet.DiffieHellmanRatchet):
            @staticmethod
            def _generate_priv() -> bytes:
                return self.state.ours

            @staticmethod
            def _derive_pub(priv: bytes) -> bytes:
                return PrivatePair.from_bytes(priv).public.to_bytes()

            @staticmethod
            def _perform_diffie_hellman(own_priv: bytes, other_pub: bytes) -> bytes:
                own, other = PrivatePair.from_bytes(own_priv), PublicPair.from_bytes(other_pub)
                return exchange(own.x25519, other.x25519) + secrets[frozenset({own.public.to_bytes(), other_pub})]

        self.settings: dict[str, Any] = {
            "diffie_hellman_ratchet_class": Pairs, "root_chain_kdf": Root, "message_chain_kdf": Chain,
            "message_chain_constant": b"", "dos_protection_threshold": MAX_SKIP,
            "max_num_skipped_message_keys": 2 * MAX_SKIP, "aead": Seal, "shared_secret": SHARED,
            "associated_data": b"",
        }  # fmt: skip

    def note(self) -> None:
        """Note the pair that is shown now, and the secret that was made for the pair that was seen last."""
        if self.state.shown:
            self.pairs[self.state.shown] = PrivatePair.from_bytes(self.state.ours)
            opened = self.pairs[self.state.theirs].decapsulate(self.state.ciphertext)
            self.secrets[frozenset({self.state.shown, self.state.theirs})] = opened

    def seal(self) -> tuple[Header, bytes]:
        theirs = self.state.theirs
        self.state, header, key = seal(self.state)
        if self.other is None:
            first = Ratchet.encrypt_initial_message(**self.settings, recipient_ratchet_pub=theirs, message=b"")
            self.other, sealed = done(first)
        else:
            sealed = done(self.other.encrypt_message(b"", b""))
        assert sealed == EncryptedMessage(said(header), key)
        return header, key

    def open(self, header: Header) -> bytes:
        """Open with ours; the one beside it must come to the same key, and to the same end."""
        key, before = self.skipped.pop((header.ratchet_key, header.number), None), self.state
        if key is None:
            opened = open_with(self.state, header)
            self.state, key = opened.state, opened.key
            self.skipped |= {(each.ratchet_key, each.number): each.key for each in opened.skipped}
            self.note()
        message = EncryptedMessage(said(header), key)
        if self.other is None:
            first = Ratchet.decrypt_initial_message(**self.settings, own_ratchet_priv=before.ours, message=message)
            self.other, found = done(first)
        else:
            found = done(self.other.decrypt_message(message, b""))
        assert found == key
        assert self.other.receiving_chain_length == self.state.received
        aside = {(each.ratchet_pub, each.index): each.message_key for each in self.other.model.skipped_message_keys}
        assert aside == self.skipped
        return key


def said(header: Header) -> doubleratchet.Header:
    return doubleratchet.Header(header.ratchet_key, header.previous, header.number)


def pair() -> tuple[Side, Side]:
    prekey = PrivatePair.generate()
    pairs, secrets = {prekey.public.to_bytes(): prekey}, dict[frozenset[bytes], bytes]()
    return Side(begin(SHARED, prekey.public), pairs, secrets), Side(await_first(SHARED, prekey), pairs, secrets)


@given(seed=st.integers(0, 2**32))
def test_another_implementation_comes_to_the_same_keys(seed: int) -> None:
    chance, sides = random.Random(seed), pair()
    under_way: list[list[tuple[Header, bytes]]] = [[], [sides[0].seal()]]
    for _ in range(40):
        who = chance.randrange(2)
        if chance.random() < 0.6 and sides[who].state.sending:
            under_way[1 - who].append(sides[who].seal())
        elif under_way[who]:
            header, key = under_way[who].pop(chance.randrange(len(under_way[who])))
            if chance.random() < 0.8:
                assert sides[who].open(header) == key


def test_both_refuse_what_came_before_and_what_is_too_far_ahead() -> None:
    alice, bob = pair()
    sealed = [alice.seal() for _ in range(MAX_SKIP + 3)]
    bob.open(sealed[0][0])
    assert bob.other is not None
    for (header, key), error in (
        (sealed[0], doubleratchet.DuplicateMessageException),
        (sealed[-1], doubleratchet.DoSProtectionException),
    ):
        with pytest.raises(CryptoError):
            open_with(bob.state, header)
        with pytest.raises(error):
            done(bob.other.decrypt_message(EncryptedMessage(said(header), key), b""))
    assert bob.open(sealed[-2][0]) == sealed[-2][1]
