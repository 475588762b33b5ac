from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay import limits
from relay.limits import Rate, RateLimiter


def test_a_burst_then_one_every_so_often() -> None:
    limiter = RateLimiter(Rate(burst=3, every_s=10))
    assert [limiter.take("key", 0.0) for _ in range(4)] == [0, 0, 0, 11]
    assert limiter.wait_s("key", 9.9) > 0
    assert limiter.take("key", 10.0) == 0
    assert limiter.take("key", 10.0) > 0


def test_keys_do_not_share() -> None:
    limiter = RateLimiter(Rate(burst=1, every_s=10))
    assert [limiter.take(key, 0.0) for key in ("a", "b", "a")] == [0, 0, 11]


def test_looking_takes_nothing() -> None:
    limiter = RateLimiter(Rate(burst=1, every_s=10))
    assert [limiter.wait_s("key", 0.0) for _ in range(5)] == [0] * 5


def test_forgets_the_key_unused_for_longest(monkeypatch: object) -> None:
    limiter = RateLimiter(Rate(burst=1, every_s=1000))
    for number in range(limits.MAX_BUCKETS + 1):
        limiter.take(number, 0.0)
    assert limiter.wait_s(0, 0.0) == 0
    assert limiter.wait_s(1, 0.0) > 0


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 5), st.integers(1, 5))
def test_never_more_than_burst_and_rate_allow(pauses: list[float], burst: int, every_s: int) -> None:
    limiter, now, taken = RateLimiter(Rate(burst, every_s)), 0.0, 0
    for pause in pauses:
        now += pause
        taken += limiter.take("key", now) == 0
    assert taken <= burst + now / every_s + 1e-6
