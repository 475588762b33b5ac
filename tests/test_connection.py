"""The rules of a link: two ends and an imaginary wire."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canonical_json import canonical
from connection import TRANSITIONS, Connection, Role, State
from errors import Code, LocalProtocolError, RemoteProtocolError
from protocol import (
    LENGTH_SIZE,
    MAX_ENVELOPE,
    MAX_FRAME,
    MAX_FRAME_BEFORE_LOGIN,
    Deliveries,
    Delivery,
    Frame,
    Goodbye,
    Hello,
    LoggedIn,
    Login,
    Ping,
    Pong,
    Welcome,
    encode_frames,
    frame_type,
)
from tests.strategies import FRAMES, LOG_SPKI, deliveries_of

HELLO = Hello(nonce=bytes(32), versions=[1])


def at(state: State, role: Role) -> Connection:
    connection = Connection(role)
    connection.state = state
    return connection


def wire(*sent: Frame) -> bytes:
    return encode_frames(*sent)


def test_one_byte_at_a_time() -> None:
    server = Connection(Role.SERVER)
    received: list[Frame] = []
    for byte in wire(HELLO):
        assert not received
        received = server.receive(bytes([byte]))
        assert server.mid_frame is not bool(received)
    assert received == [HELLO]


def test_several_frames_in_one_read() -> None:
    """The seed's failure 21: two messages in one read were both lost."""
    server = at(State.READY, Role.SERVER)
    sent = [FRAMES["message"], Ping(), FRAMES["receipt"]]
    assert server.receive(wire(*sent) + wire(Pong())[:3]) == sent
    assert server.mid_frame
    assert server.receive(wire(Pong())[3:]) == [Pong()]


def test_frames_before_a_bad_one_are_returned() -> None:
    server = at(State.READY, Role.SERVER)
    assert server.receive(wire(Ping()) + (2).to_bytes(4, "big") + b"{}" + wire(Ping())) == [Ping()]
    assert server.failure is not None
    assert server.failure.code is Code.MALFORMED
    with pytest.raises(RemoteProtocolError):
        server.receive(b"")


@pytest.mark.parametrize(
    ("state", "size", "code"),
    [
        (State.OPEN, 0, Code.MALFORMED),
        (State.OPEN, MAX_FRAME_BEFORE_LOGIN + 1, Code.TOO_LARGE),
        (State.OPEN, 2**31, Code.TOO_LARGE),
        (State.OPEN, 2**32 - 1, Code.TOO_LARGE),
        (State.READY, MAX_ENVELOPE + 1, Code.TOO_LARGE),
    ],
)
def test_a_bad_length_is_refused_on_the_length(state: State, size: int, code: Code) -> None:
    """R-26."""
    connection = at(state, Role.SERVER)
    assert connection.receive(size.to_bytes(LENGTH_SIZE, "big")) == []
    assert connection.failure is not None
    assert connection.failure.code is code
    assert not connection.mid_frame


@pytest.mark.parametrize(("state", "size"), [(State.OPEN, MAX_FRAME_BEFORE_LOGIN), (State.READY, MAX_ENVELOPE)])
def test_the_largest_length_is_taken(state: State, size: int) -> None:
    connection = at(state, Role.SERVER)
    assert connection.receive(size.to_bytes(LENGTH_SIZE, "big")) == []
    assert connection.failure is None


def test_what_a_server_may_send_is_larger_than_what_a_client_may() -> None:
    """By the delivery around an envelope."""
    connection = at(State.READY, Role.CLIENT)
    assert connection.receive(MAX_FRAME.to_bytes(LENGTH_SIZE, "big")) == []
    assert connection.failure is None


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("frame", FRAMES.values(), ids=frame_type)
def test_what_the_table_does_not_allow_is_refused(state: State, role: Role, frame: Frame) -> None:
    following = TRANSITIONS[state].get((role, type(frame)))
    sender, receiver = at(state, role), at(state, Role.SERVER if role is Role.CLIENT else Role.CLIENT)
    if following is None:
        with pytest.raises(LocalProtocolError):
            sender.send(frame)
        assert receiver.receive(wire(frame)) == []
        if state is not State.CLOSED:
            assert receiver.failure is not None
            assert receiver.failure.code is Code.UNEXPECTED_FRAME
        assert (sender.state, receiver.state) == (state, state)
    else:
        assert receiver.receive(sender.send(frame)) == [frame]
        assert (sender.state, receiver.state) == (following, following)


def test_what_may_not_all_be_sent_changes_nothing() -> None:
    client = Connection(Role.CLIENT)
    with pytest.raises(LocalProtocolError, match="Ping may not be sent in state HELLO_SENT"):
        client.send(HELLO, Ping())
    assert client.state is State.OPEN


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", State)
def test_deliveries_that_go_together_go_where_one_may(state: State, role: Role) -> None:
    together = Deliveries([1, 2], [canonical(FRAMES["message"])] * 2)
    if (role, Delivery) in TRANSITIONS[state]:
        assert at(state, Role.CLIENT).receive(at(state, role).send(together)) == deliveries_of(together)
    else:
        with pytest.raises(LocalProtocolError):
            at(state, role).send(together)


def test_what_comes_before_a_length_that_is_too_large_is_heard() -> None:
    server = at(State.READY, Role.SERVER)
    assert server.receive(wire(Ping(), Ping()) + (2**31).to_bytes(4, "big") + wire(Ping())) == [Ping(), Ping()]
    assert server.failure is not None
    assert server.failure.code is Code.TOO_LARGE


def test_what_comes_together_with_a_login_may_be_as_large_as_after_it() -> None:
    client = at(State.LOGGING_IN, Role.CLIENT)
    large = Delivery(envelope=msgspec.Raw(b'"' + b"x" * MAX_FRAME_BEFORE_LOGIN + b'"'), sequence=1)
    assert client.receive(wire(FRAMES["logged_in"], large, large)) == [FRAMES["logged_in"], large, large]


def test_nothing_is_read_after_goodbye() -> None:
    client = at(State.READY, Role.CLIENT)
    goodbye = Goodbye(code=Code.SHUTTING_DOWN)
    assert client.receive(wire(goodbye, Ping()) + b"\0\0\0") == [goodbye]
    assert client.state is State.CLOSED
    assert client.receive(wire(Ping())) == []
    assert not client.mid_frame


LOGIN = [
    HELLO,
    Welcome(nonce=bytes(32), version=1),
    FRAMES["login"],
    LoggedIn(log_key=LOG_SPKI, pending=0, retention_s=1),
]


@given(st.lists(st.sampled_from([Ping(), FRAMES["message"], FRAMES["acknowledge"]]), max_size=8), st.data())
def test_two_ends_and_an_imaginary_wire(later: list[Frame], data: st.DataObject) -> None:
    client, server = Connection(Role.CLIENT), Connection(Role.SERVER)
    for frame in LOGIN:
        sender, receiver = (client, server) if isinstance(frame, Hello | Login) else (server, client)
        assert receiver.receive(sender.send(frame)) == [frame]
    sent = b"".join(client.send(frame) for frame in later)
    received: list[Frame] = []
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        received += server.receive(sent[:size])
        sent = sent[size:]
    assert received == later
    assert client.state is server.state is State.READY
