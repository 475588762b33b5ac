"""The wire: exactly this and nothing else."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canonical_json import canonical, decode_all_strictly
from errors import Code, RemoteProtocolError
from protocol import (
    LENGTH_SIZE,
    Acknowledge,
    Deliveries,
    Delivery,
    FetchIdentity,
    Frame,
    Ping,
    Welcome,
    decode_envelope,
    decode_frame,
    decode_frames,
    encode_frames,
)
from records import is_user_id
from tests.strategies import FRAMES, deliveries_of, frames
from tests.trial import Trial

# ---------------------------------------------------------------- codec


@given(frames)
def test_every_frame_comes_back(frame: Frame) -> None:
    body = canonical(frame)
    again = decode_frame(body)
    assert canonical(again) == body
    assert type(again) is type(frame)


FETCH = canonical(FetchIdentity(epoch=0, log_size=0, user_id="bob"))
ACKNOWLEDGE = canonical(Acknowledge(sequences=[1, 2]))
WELCOME = canonical(Welcome(nonce=b"\xff" * 31 + b"\x01", version=1))
NOT_CANONICAL = {
    "nothing": b"",
    "white space": b'{"type": "ping"}',
    "a byte before": b" " + canonical(Ping()),
    "a byte after": canonical(Ping()) + b"\n",
    "another order": b'{"user_id":"bob","type":"fetch_identity"}',
    "a key twice": b'{"type":"fetch_identity","user_id":"bob","user_id":"bob"}',
    "an unknown key": b'{"type":"ping","x":1}',
    "an unknown type": b'{"type":"pink"}',
    "no type": b"{}",
    "null": b'{"type":"fetch_identity","user_id":null}',
    "a number for a text": b'{"type":"fetch_identity","user_id":12345}',
    "an escaped letter": b'{"type":"fetch_identity","user_id":"b\\u006fb"}',
    "a byte order mark": b"\xef\xbb\xbf" + FETCH,
    "UTF-16": FETCH.decode().encode("utf-16"),
    "broken UTF-8": FETCH.replace(b"bob", b"b\xffb"),
    "a lone surrogate": FETCH.replace(b"bob", b"\\ud800ob"),
    "a float": ACKNOWLEDGE.replace(b"1", b"1.0"),
    "an exponent": ACKNOWLEDGE.replace(b"1", b"1e2"),
    "NaN": ACKNOWLEDGE.replace(b"1", b"NaN"),
    "infinity": ACKNOWLEDGE.replace(b"1", b"Infinity"),
    "minus zero": ACKNOWLEDGE.replace(b"1", b"-0"),
    "a negative number": ACKNOWLEDGE.replace(b"1", b"-1"),
    "2 to the 53rd": ACKNOWLEDGE.replace(b"1", str(2**53).encode()),
    "5,000 digits": ACKNOWLEDGE.replace(b"1", b"1" * 5000),
    "deep nesting": b'{"sequences":' + b"[" * 100_000 + b"]" * 100_000 + b',"type":"acknowledge"}',
    "deep nesting of objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "too many": canonical({"sequences": list(range(257)), "type": "acknowledge"}),
    "none": canonical({"sequences": [], "type": "acknowledge"}),
    "base64 without its end": WELCOME.replace(b"AQ==", b"AQ").replace(b"=", b""),
    "base64 with junk": WELCOME.replace(b"////", b"//\\n//", 1),
    "base64 for the web": WELCOME.replace(b"/", b"_"),
    "31 bytes": canonical({"nonce": bytes(31), "type": "welcome", "version": 1}),
    "an array": b"[]",
    "a text": b'"ping"',
}


def repr_short(data: bytes) -> str:
    return repr(data[:30])


@pytest.mark.parametrize("data", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_what_is_not_canonical_is_refused(data: bytes) -> None:
    """Attack row 41, R-17."""
    with pytest.raises(RemoteProtocolError) as raised:
        decode_frame(data)
    assert raised.value.code is Code.MALFORMED


def test_base64_whose_unused_bits_are_set_is_refused() -> None:
    good = canonical(Welcome(nonce=bytes(32), version=1))
    bad = good.replace(b'A="', b'B="')
    assert good != bad
    assert base64.b64decode(json.loads(bad)["nonce"], validate=True) == bytes(32)
    with pytest.raises(RemoteProtocolError):
        decode_frame(bad)


@pytest.mark.parametrize(
    "user_id",
    [
        "../x",
        "a/b",
        "..",
        ".ab",
        "-ab",
        "ab",
        "a" * 33,
        "Bob",
        "b\u00f6b",
        "١٢٣٤٥",
        "bob\n",
        " bob",
        "bob\0",
        "b b",
        "",
        "server",  # keys/server_public_key.pem
        "relay",  # data/relay.db
    ],
)
def test_a_user_id_cannot_be_a_path_or_a_trick(user_id: str) -> None:
    """The seed's failure 16."""
    assert not is_user_id(user_id)
    with pytest.raises(RemoteProtocolError):
        decode_frame(canonical({"type": "fetch_identity", "user_id": user_id}))


@pytest.mark.parametrize("user_id", ["bob", "123456789", "a.b-c_d", "0" * 32, "server2", "quit"])
def test_a_user_id_is_a_number_or_a_handle(user_id: str) -> None:
    assert is_user_id(user_id)


def test_an_envelope_is_carried_byte_for_byte() -> None:
    envelope = FRAMES["message"]
    delivery = decode_frame(canonical(Delivery(envelope=msgspec.Raw(canonical(envelope)), sequence=7)))
    assert isinstance(delivery, Delivery)
    assert decode_envelope(delivery.envelope) == envelope
    with pytest.raises(RemoteProtocolError, match="not an envelope"):
        decode_envelope(canonical(Ping()))


@pytest.mark.parametrize("field", ["sender_id", "recipient_id"])
def test_an_envelope_names_people_as_user_ids(field: str) -> None:
    """The relay knows whom it lets in; what it hands out is looked at anew."""
    with pytest.raises(RemoteProtocolError, match="not a user id"):
        decode_envelope(canonical(msgspec.structs.replace(FRAMES["message"], **{field: "../x"})))


@given(st.lists(frames, max_size=6))
def test_frames_that_come_together_are_read_as_one_by_one(sent: list[Frame]) -> None:
    """Those of one type are read in one go, others are not."""
    bodies = [canonical(frame) for frame in sent]
    for together in (bodies, bodies[:1] * 3):
        assert list(map(canonical, decode_frames(together))) == together
        assert [type(frame) for frame in decode_frames(together)] == [type(decode_frame(body)) for body in together]


def test_envelopes_that_come_together_keep_their_bytes() -> None:
    bodies = [canonical(FRAMES["message"]), canonical(msgspec.structs.replace(FRAMES["message"], timestamp=7))]
    read = list(decode_frames(bodies))
    assert all(given_bytes is frame.__dict__["encoded"] for given_bytes, frame in zip(bodies, read, strict=True))


@pytest.mark.parametrize("bad", [*NOT_CANONICAL.values(), b'{"type":"ping"},{"type":"ping"}'], ids=repr_short)
def test_what_is_bad_is_refused_among_good_ones_and_after_them(bad: bytes) -> None:
    """Attack row 41: also when it ends as they do."""
    for good in (canonical(Ping()), ACKNOWLEDGE, FETCH, WELCOME):
        read = iter(decode_frames([good, good, bad, good]))
        assert [canonical(next(read)), canonical(next(read))] == [good, good]
        with pytest.raises(RemoteProtocolError):
            next(read)


GOOD, BEGIN, REST = (  # the rest ends as a delivery does, and so does the beginning
    canonical(Delivery(envelope=msgspec.Raw(b'{"x":"delivery"}'), sequence=1)),
    b'{"envelope":{"x":"delivery"}',
    b'"sequence":1,"type":"delivery"}',
)


@pytest.mark.parametrize(
    "bodies",
    [
        [GOOD + b"," + GOOD, GOOD],
        [GOOD, GOOD + b"," + GOOD],
        [BEGIN, REST],
        [BEGIN, REST + b"," + GOOD],
        [GOOD + b"," + BEGIN, REST],
    ],
    ids=repr,
)
def test_bad_ones_that_would_be_good_together_are_refused(bodies: list[bytes]) -> None:
    """Attack row 41: a list of frames has the same bytes wherever it is cut."""
    assert BEGIN + b"," + REST == GOOD
    with pytest.raises(RemoteProtocolError):
        decode_all_strictly(msgspec.json.Decoder(list[Delivery]), bodies)
    with pytest.raises(RemoteProtocolError):
        list(decode_frames(bodies))


@given(st.lists(st.tuples(st.integers(0, 2**53 - 1), st.binary(max_size=50)), max_size=5))
def test_deliveries_are_written_as_the_frames_that_they_are(pushed: list[tuple[int, bytes]]) -> None:
    together = Deliveries([sequence for sequence, _ in pushed], [envelope for _, envelope in pushed])
    frames = deliveries_of(together)
    assert encode_frames(together) == encode_frames(*frames)
    assert encode_frames(together) == b"".join(
        len(canonical(frame)).to_bytes(LENGTH_SIZE, "big") + canonical(frame) for frame in frames
    )


def test_mutated_frames_bring_nothing_but_the_documented_error(trial: Trial) -> None:
    """R-17."""
    chance = trial.random
    bodies = [canonical(frame) for frame in FRAMES.values()]
    parts = [
        b"{",
        b"}",
        b"[",
        b'"',
        b",",
        b":",
        b"\\ud800",
        b"\\u0000",
        b"1e9",
        b"NaN",
        b"null",
        b"\xff",
        b"\xef\xbb\xbf",
        b"9" * 400,
    ]
    accepted, count = 0, trial.size(50_000, 1_000_000)
    for _ in range(count):
        data = bytearray(chance.choice(bodies))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data) + 1)
            match chance.randrange(4):
                case 0:
                    data[place : place + 1] = bytes([chance.randrange(256)])
                case 1:
                    del data[place : place + chance.randint(1, 20)]
                case 2:
                    data[place:place] = chance.choice(parts)
                case 3:
                    data[place:place] = data[chance.randrange(len(data) + 1) :][:30]
        try:
            frame = decode_frame(bytes(data))
        except RemoteProtocolError:
            continue
        accepted += 1
        assert canonical(frame) == bytes(data)
    trial.note(still_valid=accepted)
    assert accepted < count / 10
