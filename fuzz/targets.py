"""What is fuzzed: whatever reads bytes from outside. Only the documented errors may escape, whatever they are."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Final, NamedTuple

from Crypto.IO import PEM

from canonical_json import canonical, decode
from connection import Connection, Role, State
from crypto_utils import PrivateKeys, encrypt_private_keys, private_keys_from_pem, private_keys_to_pem
from crypto_utils import _check_protection as check_protection
from errors import CryptoError, KeyFileError, RemoteProtocolError
from identity import create_ending, create_record, verify_chain, verify_ending
from key_log import sign_head
from messenger.account import Account
from messenger.content import NO_LOG, Notice, ReceiptContent, Text, pack, unpack
from messenger.suites.draft import Draft
from messenger.suites.suite1 import Suite1
from protocol import Hello, Log, Message, Ping, decode_envelope, encode_frames
from records import IdentityRecord, Inclusion, LogProof, Revocation
from server_key import ServerKey, certificate_key, create_hop, self_signed_certificate


class Target(NamedTuple):
    """Something that reads bytes."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


@cache
def account() -> Account:
    keys = PrivateKeys.generate()
    return Account("alice", keys, create_record(keys, "alice", created=1, suites=[1]))


@cache
def proof() -> LogProof:
    inclusion = Inclusion(path=[bytes(32)], position=1)
    head = sign_head(account().keys.rsa, (2, bytes(32)), 1)
    return LogProof(consistency=[bytes(32)], head=head, inclusions=[inclusion], index=bytes(256))


@cache
def envelope() -> bytes:
    draft = Draft(Message, bytes(16), 1)
    return canonical(
        Suite1().encrypt(account(), account().record, draft, pack(Text(counter=1, log=NO_LOG, text="hello")))
    )


# ---------------------------------------------------------------- frames


def read_frames(data: bytes) -> None:
    """Read a link in both of its large states; what is read must be what its own writer would have written."""
    for role, state in ((Role.SERVER, State.OPEN), (Role.SERVER, State.READY), (Role.CLIENT, State.READY)):
        connection = Connection(role)
        connection.state = state
        frames = connection.receive(data)
        written = encode_frames(*frames)
        assert data.startswith(written)


def frames() -> list[bytes]:
    sent = [Hello(nonce=bytes(32), versions=[1]), Ping(), Log(entries=[], proof=proof(), start=0)]
    message = len(envelope()).to_bytes(4, "big") + envelope()
    return [*(encode_frames(frame) for frame in sent), message, message * 3, encode_frames(*[Ping()] * 5)]


# ---------------------------------------------------------------- envelopes


def open_envelope(data: bytes) -> None:
    with suppress(RemoteProtocolError, CryptoError):
        read = decode_envelope(data)
        assert canonical(read) == data
        unpack(Suite1().decrypt(account(), account().record, read))


def read_content(data: bytes) -> None:
    with suppress(CryptoError):
        assert pack(unpack(data))


def contents() -> list[bytes]:
    receipt = ReceiptContent(counter=1, ids=[bytes(16)], log=NO_LOG, state="delivered")
    each = (
        Text(counter=1, log=NO_LOG, text="x"),
        Text(counter=1, log=NO_LOG, text="y" * 500),
        receipt,
        Notice(about="identity", counter=1, log=NO_LOG),
    )
    return [pack(content) for content in each]


# ---------------------------------------------------------------- records and keys


def read_record(data: bytes) -> None:
    with suppress(RemoteProtocolError, CryptoError):
        verify_chain([decode(IdentityRecord, data)])
    with suppress(RemoteProtocolError, CryptoError):
        verify_ending(decode(Revocation, data), account().record)


def records() -> list[bytes]:
    mine = account()
    return [canonical(mine.record), canonical(create_ending(Revocation, mine.keys, mine.record, created=1))]


def read_key_file(data: bytes) -> None:
    """Read a key file up to where a password would be tried: that costs a tenth of a second by intent."""
    with suppress(KeyFileError):
        check_protection(data)
    with suppress(KeyFileError):
        private_keys_from_pem(data)


def key_files() -> list[bytes]:
    keys = account().keys
    return [encrypt_private_keys(keys, b"password", iterations=600_000), private_keys_to_pem(keys)]


def read_certificate(data: bytes) -> None:
    with suppress(CryptoError):
        certificate_key(data)


def certificates() -> list[bytes]:
    keys = account().keys
    now, hop = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), create_hop(keys.rsa, keys.public.rsa)
    pems = [self_signed_certificate(ServerKey(keys.rsa, each), now) for each in (None, hop)]
    return [bytes(PEM.decode(pem.decode())[0]) for pem in pems]


TARGETS: Final[dict[str, Target]] = {
    "frames": Target(read_frames, frames),
    "envelope": Target(open_envelope, lambda: [envelope()]),
    "content": Target(read_content, contents),
    "record": Target(read_record, records),
    "key_file": Target(read_key_file, key_files),
    "certificate": Target(read_certificate, certificates),
}


def mutated(seed: bytes, choose: Callable[[int], int]) -> bytes:
    """Change a seed in a few places; `choose` returns a number below the one that it is given."""
    data = bytearray(seed)
    for _ in range(1 + choose(4)):
        at = choose(len(data) + 1)
        match choose(4):
            case 0:
                data[at : at + 1] = bytes([choose(256)])
            case 1:
                del data[at : at + 1 + choose(16)]
            case 2:
                data[at:at] = os.urandom(1 + choose(8))
            case _:
                data[at:at] = data[choose(len(data) + 1) :][:32]
    return bytes(data)
