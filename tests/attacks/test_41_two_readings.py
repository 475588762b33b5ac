"""Row 41: what one parser reads in one way and the next in another (duplicate keys, floats, other base64)."""

from __future__ import annotations

import msgspec
import pytest

import protocol
from errors import RemoteProtocolError
from protocol import decode_frame, decode_frames

TWO_READINGS = [
    b'{"type":"ping","type":"ping"}', b'{ "type":"ping"}', b'{"code":"malformed","type":"\\u0067oodbye"}',
    b'{"epoch":0,"log_size":0,"type":"fetch_identity","user_id":"bob","user_id":"eve"}',
    b'{"identity_hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=","type":"rotated"}',
    b'{"user_id":"bob","epoch":0,"log_size":0,"type":"fetch_identity"}',
]  # fmt: skip


@pytest.mark.parametrize("data", TWO_READINGS, ids=repr)
def test_what_can_be_read_in_two_ways_is_not_read(weak: bool, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    def lax(decoder: msgspec.json.Decoder[protocol.Frame], text: bytes) -> protocol.Frame:
        return decoder.decode(text)

    if weak:
        monkeypatch.setattr(protocol, "decode_strictly", lax)
    try:
        decode_frame(data)
    except RemoteProtocolError:
        assert not weak
    else:
        assert weak


TOGETHER = [data for data in TWO_READINGS if protocol._end(data) in protocol._lists_by_end]


@pytest.mark.parametrize("data", TOGETHER, ids=repr)
def test_nor_when_several_are_read_in_one_go(weak: bool, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    def lax(decoder: msgspec.json.Decoder[list[protocol.Frame]], texts: list[bytes]) -> list[protocol.Frame]:
        return decoder.decode(b"[" + b",".join(texts) + b"]")

    if weak:
        monkeypatch.setattr(protocol, "decode_all_strictly", lax)
    try:
        list(decode_frames([data, data]))
    except RemoteProtocolError:
        assert not weak
    else:
        assert weak
