"""The buckets, and the figures; that each limit holds is played where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import Code, Refused, UsageError
from link import LinkLimits
from protocol import MAX_FRAME
from relay import limits
from relay.limits import DAY, Door, Limits, Rate, RateLimiter, Startups, changed, origin


def test_the_figures_that_were_promised() -> None:
    """docs/PROTOCOL.md section 10."""
    usual = Limits()
    assert (usual.max_users, usual.stranger_pending, usual.mailbox_limit) == (None, 2, 1000)
    assert (usual.retention_s, usual.delivery_window) == (30 * DAY, 64)
    assert (usual.code_lifetime_s, usual.code_guesses, usual.code_failures) == (300, 3, 100)


def test_a_full_window_fits_into_the_outbox_of_a_link_that_does_not_read() -> None:
    assert Limits().delivery_window_size + MAX_FRAME < LinkLimits().outbox_size / 2


def test_a_burst_then_one_every_so_often() -> None:
    limiter = RateLimiter(Rate(burst=3, every_s=10))
    assert [limiter.take("key", 0.0) for _ in range(4)] == [0, 0, 0, 11]
    assert limiter.wait_s("key", 9.9) > 0
    assert limiter.take("key", 10.0) == 0
    assert limiter.take("key", 10.0) > 0


def test_a_long_rest_gives_no_more_than_the_burst() -> None:
    limiter = RateLimiter(Rate(burst=3, every_s=10))
    limiter.take("key", 0.0)
    assert [limiter.take("key", 1e6) for _ in range(4)] == [0, 0, 0, 11]


def test_being_told_to_wait_costs_nothing() -> None:
    limiter = RateLimiter(Rate(burst=1, every_s=10))
    assert limiter.take("key", 0.0) == 0
    assert all(limiter.take("key", second) > 0 for second in range(1, 10))
    assert limiter.take("key", 10.0) == 0


def test_keys_do_not_share() -> None:
    limiter = RateLimiter(Rate(burst=1, every_s=10))
    assert [limiter.take(key, 0.0) for key in ("a", "b", "a")] == [0, 0, 11]


def test_looking_takes_nothing() -> None:
    limiter = RateLimiter(Rate(burst=1, every_s=10))
    assert [limiter.wait_s("key", 0.0) for _ in range(5)] == [0] * 5


def test_forgets_the_key_unused_for_longest() -> None:
    limiter = RateLimiter(Rate(burst=2, every_s=1e6))
    for number in range(limits.MAX_BUCKETS):
        limiter.take(number, 0.0)
    limiter.take(0, 0.0)  # used again: now 1 is the oldest
    limiter.take("one more", 0.0)
    assert len(limiter._buckets) == limits.MAX_BUCKETS
    assert limiter.wait_s(0, 0.0) > 0
    assert [limiter.take(1, 0.0) for _ in range(3)][:2] == [0, 0]


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 5), st.integers(1, 5))
def test_never_more_than_burst_and_rate_allow(pauses: list[float], burst: int, every_s: int) -> None:
    limiter, now, taken = RateLimiter(Rate(burst, every_s)), 0.0, 0
    for pause in pauses:
        now += pause
        taken += limiter.take("key", now) == 0
    assert taken <= burst + now / every_s + 1e-6


@given(st.lists(st.floats(0, 5), min_size=1, max_size=50), st.integers(1, 5), st.floats(0.5, 60))
def test_who_waits_as_told_is_let_in(pauses: list[float], burst: int, every_s: float) -> None:
    limiter, now = RateLimiter(Rate(burst, every_s)), 0.0
    for pause in pauses:
        now += pause
        wait_s = limiter.take("key", now)
        if wait_s:
            now += wait_s
            assert limiter.take("key", now) == 0


# ---------------------------------------------------------------- the door


def addresses(count: int) -> list[str]:
    return [f"192.0.2.{number}" for number in range(count)]


def crowd(door: Door, count: int) -> list[Callable[[], None]]:
    return [door.enter(address) for address in addresses(count)]


def is_refused(door: Door, address: str = "198.51.100.1") -> bool:
    try:
        door.enter(address)()
    except Refused as refusal:
        return refusal.code is Code.TOO_MANY_CONNECTIONS
    return False


@pytest.mark.parametrize(
    ("waiting", "chance", "refused"),
    [(9, 0.0, False), (10, 0.29, True), (10, 0.31, False), (55, 0.64, True), (55, 0.66, False), (99, 0.99, True)],
)
def test_some_are_turned_away_and_more_the_more_there_are(waiting: int, chance: float, refused: bool) -> None:
    door = Door(Limits(), lambda: chance if arrived else 1.0)
    arrived: list[object] = []
    arrived += crowd(door, waiting)
    assert is_refused(door) is refused


def test_all_are_turned_away_from_a_hundred_on() -> None:
    door = Door(Limits(), lambda: 0.999999)
    leave = crowd(door, 100)
    assert is_refused(door)
    leave[0]()
    assert not is_refused(door)


def test_five_connections_of_an_address_may_be_getting_in() -> None:
    door = Door(Limits())
    leave = [door.enter("192.0.2.1") for _ in range(5)]
    assert is_refused(door, "192.0.2.1")
    assert not is_refused(door, "192.0.2.2")
    leave[3]()
    assert not is_refused(door, "192.0.2.1")


def test_who_comes_one_after_another_is_never_turned_away() -> None:
    door = Door(Limits())
    for _ in range(1000):
        door.enter("192.0.2.1")()


@given(st.lists(st.tuples(st.sampled_from(addresses(30)), st.booleans()), max_size=300))
def test_the_door_counts_right_whoever_comes_and_goes(steps: list[tuple[str, bool]]) -> None:
    door, inside = Door(Limits(), lambda: 0.5), {address: list[Callable[[], None]]() for address in addresses(30)}
    for address, comes in steps:
        if comes:
            with suppress(Refused):
                inside[address].append(door.enter(address))
        elif inside[address]:
            inside[address].pop()()
        assert door._waiting == {place: len(here) for place, here in inside.items() if here}


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:bbbb::2", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("::1", "::/64"),
        ("?", "?"),
    ],
)
def test_a_network_of_ipv6_is_one_place(address: str, place: str) -> None:
    assert origin(address) == place


# ---------------------------------------------------------------- settings


def test_limits_are_set_by_name() -> None:
    settings = {"startups": "1:50:3", "lookups": "7/0.5", "code_guesses": "9", "frame_s": "0.25"}
    assert changed(Limits(), settings) == Limits(
        startups=Startups(begin=1, percent=50, full=3), lookups=Rate(burst=7, every_s=0.5), code_guesses=9
    )
    assert changed(LinkLimits(), settings) == LinkLimits(frame_s=0.25)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code_guesses", "0"),
        ("code_guesses", "-1"),
        ("code_guesses", "1.5"),
        ("code_guesses", "many"),
        ("code_guesses", ""),
        ("code_guesses", "1000000001"),
        ("lookups", "5"),
        ("lookups", "5/0"),
        ("lookups", "5/nan"),
        ("lookups", "5/1/1"),
        ("startups", "10:30"),
        ("startups", "10:101:100"),
        ("startups", "100:30:100"),
    ],
)
def test_a_value_that_cannot_be_is_said(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name) as error:
        changed(Limits(), {name: value})
    assert str(getattr(Limits(), name)) in error.value.hint
