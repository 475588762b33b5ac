"""Every limit of the relay, each with its unit and its reason, and what enforces them: the door and the bucket."""

from __future__ import annotations

import ipaddress
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, NamedTuple, TypeVar

from errors import Code, Refused, UsageError

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

    def __str__(self) -> str:
        return f"{self.burst}/{self.every_s:g}"


@dataclass(frozen=True, slots=True)
class Startups:
    """How many connections may be getting in at a time (OpenSSH's MaxStartups, sshd_config(5))."""

    begin: int  # up to here all may
    percent: int  # of those that come then are turned away, rising to all of them
    full: int  # when there are so many

    def __post_init__(self) -> None:
        if self.begin >= self.full or self.percent > 100:  # noqa: PLR2004 - per cent
            raise ValueError

    def __str__(self) -> str:
        return f"{self.begin}:{self.percent}:{self.full}"


@dataclass(frozen=True, slots=True)
class Limits:
    """The relay's limits; docs/PROTOCOL.md section 10 lists them."""

    startups: Startups = field(default=Startups(begin=10, percent=30, full=100))  # not logged in yet: costs TLS
    startups_per_address: int = 5  # of them
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
    log_pages: Rate = field(default=Rate(burst=100, every_s=1))  # of 1,024 entries of the key log, an account
    row_pages: Rate = field(default=Rate(burst=50, every_s=2))  # of 128 rows of one's own: some look through an index
    row_pages_in_all: Rate = field(default=Rate(burst=100, every_s=1))  # of all: up to 0.14 s each with 1,000,000 rows
    acceptances: Rate = field(default=Rate(burst=20, every_s=1))  # words about envelopes, an account: each is signed
    prekey_pages: Rate = field(default=Rate(burst=20, every_s=600))  # of 50 prekeys that an account leaves; 2 are usual
    prekey_fetches: Rate = field(default=Rate(burst=200, every_s=1))  # an account: each is the beginning of a session
    one_time_prekeys_each: Rate = field(
        default=Rate(burst=3, every_s=DAY // 3)
    )  # of one device, an account: one is enough
    one_time_prekeys: int = 200  # kept a device, of some 2 KiB each
    rotations: Rate = field(default=Rate(burst=5, every_s=HOUR))  # an account: each stays in the log for ever


MAX_SETTING: Final = 10**9
L = TypeVar("L")


def changed(limits: L, settings: Mapping[str, str]) -> L:
    """Return limits, the relay's or a link's, with those settings that are about them.

    A rate is written `BURST/SECONDS`, startups `BEGIN:PERCENT:FULL`, everything else as a number.

    Raises:
        UsageError: Not so.
    """
    usual = {each.name: getattr(limits, each.name) for each in fields(limits)}  # type: ignore[arg-type]
    chosen = {name: _setting(name, usual[name], text) for name, text in settings.items() if name in usual}
    return replace(limits, **chosen)  # type: ignore[type-var]


def _setting(name: str, usual: object, text: str) -> object:
    try:
        if isinstance(usual, Rate):
            burst, every_s = text.split("/")
            return Rate(_number(int, burst), _number(float, every_s))
        if isinstance(usual, Startups):
            begin, percent, full = (_number(int, part) for part in text.split(":"))
            return Startups(begin, percent, full)
        return _number(float if isinstance(usual, float) else int, text)
    except ValueError:
        message = f"{text!r} is no value for the limit {name}"
        raise UsageError(message, hint=f"write it as the usual one, {usual}; numbers are above 0") from None


def _number(kind: type[Any], text: str) -> Any:
    number = kind(text)
    if not 0 < number <= MAX_SETTING:  # nor NaN
        raise ValueError
    return number


def origin(address: str) -> str:
    """Return what is counted as one place for limits by address: of IPv6, where anybody has many, its first 64 bits."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # unknown
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip), 64), strict=False))


_RANDOM: Final = secrets.SystemRandom().random


class Door:
    """Turns away connections while too many have not logged in: early, and at random, so that a flood leaves room.

    Any thread may use it.
    """

    def __init__(self, limits: Limits, chance: Callable[[], float] = _RANDOM) -> None:
        """Start with nobody at the door.

        Args:
            limits: The limits.
            chance: Gives a number from 0 up to 1.
        """
        self._limits = limits
        self._chance = chance
        self._waiting: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, address: str) -> Callable[[], None]:
        """Let a connection in.

        Returns:
            What must be called once, when it has logged in or ended.

        Raises:
            Refused: There are too many.
        """
        place = origin(address)
        with self._lock:
            if self._waiting[place] >= self._limits.startups_per_address or self._chance() < self._refused():
                raise Refused(Code.TOO_MANY_CONNECTIONS)
            self._waiting[place] += 1
        return lambda: self._leave(place)

    def _refused(self) -> float:
        """Return the share of connections that are turned away now, 0 to 1."""
        begin, percent, full = self._limits.startups.begin, self._limits.startups.percent, self._limits.startups.full
        waiting = self._waiting.total()
        if waiting >= full:
            return 1
        if waiting < begin:
            return 0
        return (percent + (100 - percent) * (waiting - begin) / (full - begin)) / 100

    def _leave(self, place: str) -> None:
        with self._lock:
            self._waiting[place] -= 1
            if not self._waiting[place]:
                del self._waiting[place]


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

    def charge(self, key: Hashable, steady_s: float) -> None:
        """Take one token.

        Raises:
            Refused: There is none.
        """
        wait_s = self.take(key, steady_s)
        if wait_s:
            raise Refused(Code.RATE_LIMITED, retry_after_s=wait_s)

    def take(self, key: Hashable, steady_s: float) -> int:
        """Take one token if there is one, and return as `wait_s`."""
        wait_s = self.wait_s(key, steady_s)
        if wait_s == 0:
            self._buckets[key] = (self._tokens(key, steady_s) - 1, steady_s)
            self._buckets.move_to_end(key)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        return wait_s
