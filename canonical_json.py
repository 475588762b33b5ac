"""Canonical JSON: the one way in which frames, records and what is signed are written (docs/PROTOCOL.md section 2.2).

RFC 8785, restricted to objects, arrays, strings and integers below 2^53. What must never be here is a structure:
those are in records.py and protocol.py.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.json import Decoder

from errors import Code, RemoteProtocolError

T = TypeVar("T", bound=Struct)

_encode: Final = msgspec.json.Encoder(order="sorted").encode
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError)


@functools.cache
def _decoder(kind: type[T]) -> Decoder[T]:
    return Decoder(kind)


def canonical(value: Struct | Mapping[str, object]) -> bytes:
    """Encode as canonical JSON: sorted keys, no white space, binary as base64 (docs/PROTOCOL.md section 2.2)."""
    return _encode(value)


def without(struct: Struct, *names: str) -> bytes:
    """Encode a structure as canonical JSON less some of its fields: what a signature covers."""
    fields = msgspec.structs.asdict(struct)
    for name in names:
        del fields[name]
    tag = struct.__struct_config__.tag
    if tag is not None:
        fields["type"] = tag
    return _encode(fields)


def decode(kind: type[T], data: bytes) -> T:
    """Parse one structure from its canonical JSON.

    Raises:
        RemoteProtocolError: It is not exactly that (docs/PROTOCOL.md section 2.2).
    """
    decoder: Decoder[T] = _decoder(kind)
    return decode_strictly(decoder, data)


def decode_strictly(decoder: Decoder[T], data: bytes) -> T:
    """Decode, and take nothing that its own writer would not have written.

    Re-encoding must give the same bytes. That one rule refuses duplicate keys, white space, other escapes,
    floats, byte order marks, lone surrogates and base64 with a non-canonical tail.

    Raises:
        RemoteProtocolError: It is not exactly that (docs/PROTOCOL.md section 2.2).
    """
    try:
        value: T = decoder.decode(data)
        exact = _encode(value) == data
    except _UNREADABLE as error:
        raise RemoteProtocolError(Code.MALFORMED) from error
    if not exact:
        raise RemoteProtocolError(Code.MALFORMED, "not canonical JSON")
    return value


def decode_all_strictly(decoder: Decoder[list[T]], texts: list[bytes]) -> list[T]:
    """Decode several in one go, as strictly: each must be exactly what its own writer would have written.

    Raises:
        RemoteProtocolError: One of them is not.
    """
    try:
        values = decoder.decode(b"[%b]" % b",".join(texts))
        exact = list(map(_encode, values)) == texts  # also when two bad ones would be good together
    except _UNREADABLE as error:
        raise RemoteProtocolError(Code.MALFORMED) from error
    if not exact:
        raise RemoteProtocolError(Code.MALFORMED, "not canonical JSON")
    return values
