"""The buckets, and the figures; that each limit holds is played where it belongs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol import MAX_FRAME
from relay import limits
from relay.limits import DAY, Limits, Rate, RateLimiter
from transport import LinkLimits


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
