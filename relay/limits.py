"""Every limit of the relay, each with its unit and its reason, and the bucket that enforces rates."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MINUTE: Final = 60  # seconds
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


class Now(NamedTuple):
    """The time, from outside: this wing has no clock.

    The steady clock measures how long something lasts, so that a jump of the wall clock neither extends a
    code nor revives it.
    """

    wall_s: int  # seconds since 1970, for what is written down
    steady_s: float  # seconds on a clock that only goes forward


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen: a burst, then one every so many seconds."""

    burst: int
    every_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The relay's limits; docs/PROTOCOL.md section 10 lists them."""

    max_users: int | None = None  # accounts; the seed's ten are `--max-users 10`
    stranger_pending: int = 2  # waiting envelopes from a sender whom the recipient never wrote to (the seed's two)
    mailbox_limit: int = 1000  # waiting envelopes a device
    retention_s: int = 30 * DAY  # then an envelope is dropped, fetched or not
    delivery_window: int = 64  # envelopes pushed and not yet acknowledged a link: bounds memory, fills a round trip
    delivery_window_size: int = 1024 * 1024  # bytes of them, and one more: must fit into the outbox of a slow link
    code_lifetime_s: int = 5 * MINUTE  # NIST SP 800-63B section 3.1.3.2 allows 10
    code_guesses: int = 3  # a code; with six digits that is 3 in a million
    code_failures: int = 100  # wrong codes a number in all (NIST SP 800-63B section 3.2.2)
    codes_per_number: Rate = field(default=Rate(burst=3, every_s=200))  # 3 in 10 minutes
    codes_per_address: Rate = field(default=Rate(burst=20, every_s=180))  # 20 an hour
    login_failures: Rate = field(default=Rate(burst=5, every_s=30))  # an account and address
    login_failures_per_address: Rate = field(default=Rate(burst=20, every_s=30))  # slows the search for accounts
    lookups: Rate = field(default=Rate(burst=100, every_s=1))  # key look-ups an account


MAX_BUCKETS: Final = 100_000  # keys a rate remembers, about 20 MB; the one unused for longest is forgotten


class RateLimiter:
    """Token buckets, one for each key."""

    def __init__(self, rate: Rate) -> None:
        """Start with every bucket full."""
        self._rate = rate
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # key: (tokens, at)

    def _tokens(self, key: Hashable, steady_s: float) -> float:
        tokens, at = self._buckets.get(key, (float(self._rate.burst), steady_s))
        return min(self._rate.burst, tokens + (steady_s - at) / self._rate.every_s)

    def wait_s(self, key: Hashable, steady_s: float) -> int:
        """Return the whole seconds until this key may go on; 0 when it may now. Takes nothing."""
        missing = 1 - self._tokens(key, steady_s)
        return 0 if missing <= 0 else int(missing * self._rate.every_s) + 1

    def take(self, key: Hashable, steady_s: float) -> int:
        """Take one token if there is one, and return as `wait_s`."""
        wait_s = self.wait_s(key, steady_s)
        if wait_s == 0:
            self._buckets[key] = (self._tokens(key, steady_s) - 1, steady_s)
            self._buckets.move_to_end(key)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        return wait_s
