"""The double ratchet, with an ML-KEM-768 exchange beside X25519 at every turn (docs/PROTOCOL.md section 11.3).

Sources: "The Double Ratchet Algorithm" (Signal, revision 4, section 3), whose names stand here; for the KEM at every
turn SimpleX's "Post-quantum resistant augmented double ratchet". A state never changes: each step returns the next one,
so that what fails has changed nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from crypto_utils import Label
from errors import CryptoError
from key_agreement import PrivatePair, PublicPair, chain, derive, exchange

MAX_SKIP: Final = 1000  # messages that may be missing before one that is opened
_MESSAGE_KEY, _NEXT_KEY = b"\1", b"\2"  # steps of a chain


class Header(msgspec.Struct, frozen=True):
    """What a message says about the key it is under.

    Attributes:
        ratchet_key: The sender's present pair of public keys, 1,216 bytes.
        ciphertext: A secret for the pair that the recipient has shown last, 1,088 bytes.
        previous: How many messages the sender's chain before this one had.
        number: Of this message in its chain, from 0.
    """

    ratchet_key: bytes
    ciphertext: bytes
    previous: int
    number: int


class State(msgspec.Struct, frozen=True):
    """One side's half of a conversation; everything in it is secret.

    Attributes:
        root: The root key, 32 bytes.
        ours: Our present pair of private keys, 96 bytes.
        shown: Its public halves, 1,216 bytes; empty before the first turn. Computing them takes longer than all else.
        theirs: The pair of public keys that we have seen last, 1,216 bytes; empty before the first message.
        ciphertext: Our secret for that pair, which stands in every header until the next turn.
        sending: Our chain key; empty before the first turn.
        sent: How many messages it has given keys to.
        previous: How many the chain before it had.
        receiving: Their chain key; empty before their first message.
        received: The number of their next message.
    """

    root: bytes
    ours: bytes
    shown: bytes = b""
    theirs: bytes = b""
    ciphertext: bytes = b""
    sending: bytes = b""
    sent: int = 0
    previous: int = 0
    receiving: bytes = b""
    received: int = 0


class Skipped(NamedTuple):
    """The key of a message that has not come."""

    ratchet_key: bytes
    number: int
    key: bytes


class Opened(NamedTuple):
    """What a header leads to."""

    state: State
    key: bytes
    skipped: list[Skipped]


def begin(shared: bytes, theirs: PublicPair) -> State:
    """Start as the one who writes first.

    Args:
        shared: What the handshake has agreed on, 32 bytes.
        theirs: The signed prekey of the other.
    """
    return _turn(State(root=shared, ours=b"", theirs=theirs.to_bytes()))


def await_first(shared: bytes, ours: PrivatePair) -> State:
    """Start as the one who is written to; `ours` is the signed prekey."""
    return State(root=shared, ours=ours.to_bytes())


def _roots(root: bytes, exchanged: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Return the next root key and a chain key."""
    both = derive(exchanged + secret, salt=root, info=Label.ROOT_2.value, size=64)
    return both[:32], both[32:]


def _turn(state: State) -> State:
    """Show a fresh pair of keys, and begin a sending chain with it."""
    theirs, ours = PublicPair.from_bytes(state.theirs), PrivatePair.generate()
    secret, ciphertext = theirs.encapsulate()
    root, sending = _roots(state.root, exchange(ours.x25519, theirs.x25519), secret)
    return State(
        root=root, ours=ours.to_bytes(), shown=ours.public.to_bytes(), theirs=state.theirs, ciphertext=ciphertext,
        sending=sending, sent=0, previous=state.sent, receiving=state.receiving, received=state.received,
    )  # fmt: skip


def seal(state: State) -> tuple[State, Header, bytes]:
    """Return the next state, and header and key (32 bytes) of a message.

    The next state must be on disk before the message goes out: no key is used for two.
    """
    header = Header(state.shown, state.ciphertext, state.previous, state.sent)
    key, sending = chain(state.sending, _MESSAGE_KEY), chain(state.sending, _NEXT_KEY)
    return msgspec.structs.replace(state, sending=sending, sent=state.sent + 1), header, key


def open_with(state: State, header: Header) -> Opened:
    """Return the next state, the key of a message, and those of the ones before it that have not come.

    The caller keeps none of it unless the message opens.

    Raises:
        CryptoError: It came before, or too many are missing, or its keys are none.
    """
    skipped: list[Skipped] = []
    if header.ratchet_key != state.theirs or not state.receiving:
        state = _skip(state, header.previous, skipped) if state.receiving else state
        state = _follow(state, header)
    if header.number < state.received:
        raise CryptoError
    state = _skip(state, header.number, skipped)
    key, receiving = chain(state.receiving, _MESSAGE_KEY), chain(state.receiving, _NEXT_KEY)
    return Opened(msgspec.structs.replace(state, receiving=receiving, received=state.received + 1), key, skipped)


def _skip(state: State, until: int, skipped: list[Skipped]) -> State:
    """Set aside the keys of their messages up to a number."""
    if until - state.received > MAX_SKIP - len(skipped):
        raise CryptoError
    receiving = state.receiving
    for number in range(state.received, until):
        skipped.append(Skipped(state.theirs, number, chain(receiving, _MESSAGE_KEY)))
        receiving = chain(receiving, _NEXT_KEY)
    return msgspec.structs.replace(state, receiving=receiving, received=max(state.received, until))


def _follow(state: State, header: Header) -> State:
    """Take in the pair that they show, which begins their chain, and answer with one of ours, which begins ours."""
    ours, theirs = PrivatePair.from_bytes(state.ours), PublicPair.from_bytes(header.ratchet_key)
    secret = ours.decapsulate(header.ciphertext)
    root, receiving = _roots(state.root, exchange(ours.x25519, theirs.x25519), secret)
    return _turn(msgspec.structs.replace(state, root=root, theirs=header.ratchet_key, receiving=receiving, received=0))
