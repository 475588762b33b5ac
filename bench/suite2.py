"""Suite 2: what a message, a turn and a handshake cost beside the sum of their primitives."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from crypto_utils import Label, sign, verify
from key_agreement import PrivatePair, chain, decrypt, derive, encrypt, exchange
from messenger.account import Account, generate
from messenger.suites import handshake, ratchet
from messenger.suites.handshake import Ours, Party, Theirs
from messenger.suites.ratchet import State

ROUNDS: Final = 200
CONTENT: Final = bytes(512)  # the smallest content
Figures = dict[str, float]
Act = Callable[[], object]


def _us(act: Act) -> float:
    """Return the median microseconds of something."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return 1e6 * statistics.median(taken)


def primitives(account: Account) -> Figures:
    """Return the microseconds of each primitive."""
    pair, other, key = PrivatePair.generate(), PrivatePair.generate(), bytes(32)
    _, ciphertext = pair.public.encapsulate()
    sealed, keys, signed = encrypt(key, bytes(12), CONTENT, b""), account.keys, bytes(4096)
    public = keys.public
    short, long = sign(keys.ed25519, Label.ENVELOPE_2, signed), sign(keys.mldsa65, Label.HANDSHAKE_2, signed)
    acts: dict[str, Act] = {
        "pair": PrivatePair.generate,
        "load": lambda: PrivatePair.from_bytes(pair_bytes),
        "exchange": lambda: exchange(pair.x25519, other.public.x25519),
        "ephemeral": X25519PrivateKey.generate,
        "encapsulate": pair.public.encapsulate,
        "decapsulate": lambda: pair.decapsulate(ciphertext),
        "hkdf": lambda: derive(key, info=b"bench", size=64),
        "hmac": lambda: chain(key, b"\1"),
        "encrypt": lambda: encrypt(key, bytes(12), CONTENT, b""),
        "decrypt": lambda: decrypt(key, bytes(12), sealed, b""),
        "sign": lambda: sign(keys.ed25519, Label.ENVELOPE_2, signed),
        "verify": lambda: verify(public.ed25519, Label.ENVELOPE_2, signed, short),
        "mldsa_sign": lambda: sign(keys.mldsa65, Label.HANDSHAKE_2, signed),
        "mldsa_verify": lambda: verify(public.mldsa65, Label.HANDSHAKE_2, signed, long),
    }
    pair_bytes = pair.to_bytes()
    return {name: _us(act) for name, act in acts.items()}


PARTS: Final = {  # of each step: how often each primitive
    "message key out": {"hmac": 2},
    "message key in": {"hmac": 2},
    "turn": {"load": 1, "decapsulate": 1, "exchange": 2, "hkdf": 2, "pair": 1, "encapsulate": 1, "hmac": 2},
    "handshake begun": {"exchange": 4, "ephemeral": 1, "encapsulate": 1, "mldsa_sign": 1, "hkdf": 1},
    "handshake answered": {"exchange": 4, "decapsulate": 1, "mldsa_verify": 1, "hkdf": 1},
}


def steps(alice: Account, bob: Account) -> dict[str, Act]:
    """Return what is measured."""
    prekeys = Ours(PrivatePair.generate(), PrivatePair.generate())
    assert prekeys.one_time is not None
    theirs = Theirs(1, prekeys.signed.public, 2, prekeys.one_time.public)
    agreed, begun = handshake.begin(alice, Party(bob.record, 1), theirs)
    writer, reader = ratchet.begin(agreed.shared, theirs.signed), ratchet.await_first(agreed.shared, prekeys.signed)
    writer, first, _ = ratchet.seal(writer)
    turned: State = ratchet.open_with(reader, first).state
    _, second, _ = ratchet.seal(writer)
    return {
        "message key out": lambda: ratchet.seal(writer),
        "message key in": lambda: ratchet.open_with(turned, second),
        "turn": lambda: ratchet.open_with(reader, first),
        "handshake begun": lambda: handshake.begin(alice, Party(bob.record, 1), theirs),
        "handshake answered": lambda: handshake.answer(bob, Party(alice.record, 1), prekeys, begun),
    }


def figures() -> dict[str, Figures]:
    """Return each step's microseconds, those of its primitives, and their share; and all primitives."""
    alice, bob = (generate(name, suites=[1, 2], now=0) for name in ("alice", "bob"))
    found = primitives(alice)
    measured: dict[str, Figures] = {"primitives": found}
    for step, act in steps(alice, bob).items():
        total, parts = _us(act), sum(count * found[name] for name, count in PARTS[step].items())
        measured[step] = {"us": total, "primitives_us": parts, "share": parts / total}
    return measured


def table(found: dict[str, Figures]) -> str:
    """Return the figures as a table."""
    row = "| {} | {us:,.1f} | {primitives_us:,.1f} | {share:.2f} |"
    head = ["| suite 2 | µs | its primitives | share |", "|---|---|---|---|"]
    return "\n".join(head + [row.format(step, **found[step]) for step in PARTS])


if __name__ == "__main__":
    print(table(figures()))
