"""The client's side of the line: registers an account, and keeps an engine connected to its server.

The loop here runs in one thread, which owns the engine; the transport's thread and the person's hand it work.
"""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from crypto_utils import RSAPublicKey, fingerprint, sha256, spki
from errors import (
    Code,
    NetworkError,
    Refused,
    RemoteProtocolError,
    SecureChatError,
    TimeoutExpiredError,
    UntrustedKeyError,
)
from identity import seal_code
from link import Link
from messenger.account import Account
from messenger.engine import Messenger
from messenger.events import LoginRefused, ServerKeyRotated
from messenger.line import Output
from messenger.server_address import ServerAddress, remember
from protocol import (
    NONCE_SIZE,
    VERSIONS,
    CodeSent,
    Frame,
    Goodbye,
    Hello,
    Refusal,
    Register,
    Registered,
    RequestCode,
    Revoke,
    Revoked,
    Welcome,
)
from records import Revocation
from transport import Loop

TICK_S: Final = 1.0
MAX_TASKS: Final = 256  # reads of the link and entries of the person that wait; beyond that the link is not read
ANSWER_TIMEOUT_S: Final = 20  # for one reply while registering; a command that sends codes may take 10
FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 30.0
_FINAL: Final = {
    Code.REPLACED,
    Code.UNSUPPORTED_VERSION,
    Code.ACCOUNT_REVOKED,
    Code.ACCOUNT_ERASED,
}  # connecting again would end the same way

F = TypeVar("F", bound=Frame)


# ---------------------------------------------------------------- registration (docs/PROTOCOL.md section 5.1)


class _Exchange:
    """A short link on which each command waits for its reply."""

    def __init__(self, address: ServerAddress, keys: Path) -> None:
        self._inbox: queue.Queue[Link | Frame | SecureChatError | None] = queue.Queue()
        self._loop = Loop(self, name="exchange")
        self._loop.start()
        self._keys = keys
        self._link = self._loop.connect(address.host, address.port, pin=address.fingerprint)

    def greet(self) -> None:
        self._next()  # the link itself
        remember(self.server_key, self._keys)
        self.ask(Hello(nonce=bytes(NONCE_SIZE), versions=list(VERSIONS)), Welcome)  # no challenge is answered here

    @property
    def server_key(self) -> RSAPublicKey:
        assert self._link.peer_key is not None  # noqa: S101 - the pin has held
        return self._link.peer_key

    def close(self) -> None:
        self._link.close()
        self._loop.stop(1, None)

    def opened(self, link: Link) -> None:
        self._inbox.put(link)

    def received(self, link: Link, frames: list[Frame]) -> None:
        del link
        for frame in frames:
            self._inbox.put(frame)

    def closed(self, link: Link, reason: SecureChatError | None) -> None:
        del link
        self._inbox.put(reason)

    def rest(self) -> None:
        pass

    def _next(self) -> Link | Frame:
        try:
            item = self._inbox.get(timeout=ANSWER_TIMEOUT_S)
        except queue.Empty:
            message = "the server does not answer"
            raise TimeoutExpiredError(message, hint="try again later") from None
        if item is None:
            message = "the connection was closed"
            raise NetworkError(message)
        if isinstance(item, SecureChatError):
            raise item
        return item

    def ask(self, command: Frame, reply: type[F]) -> F:
        self._link.send(command)
        answer = self._next()
        if isinstance(answer, Refusal):
            raise Refused(answer.code, retry_after_s=answer.retry_after_s)
        if not isinstance(answer, reply):
            raise RemoteProtocolError(Code.UNEXPECTED_FRAME)
        return answer


def request_code(address: ServerAddress, keys: Path, account: Account) -> None:
    """Ask the server to send the person a verification code for this account.

    Raises:
        Refused: The number is taken, or there is no room, or too many codes were asked for.
        SecureChatError: The server cannot be reached or trusted.
    """
    with closing(_Exchange(address, keys)) as exchange:
        exchange.greet()
        exchange.ask(RequestCode(identity_hash=account.identity_hash, user_id=account.user_id), CodeSent)


def register(address: ServerAddress, keys: Path, account: Account, code: str) -> None:
    """Create the account at the server.

    Raises:
        Refused: The code is wrong or has expired.
        SecureChatError: The server cannot be reached or trusted.
    """
    with closing(_Exchange(address, keys)) as exchange:
        exchange.greet()
        encrypted = seal_code(exchange.server_key, code, account.identity_hash)
        exchange.ask(Register(encrypted_code=encrypted, record=account.record), Registered)


def revoke(address: ServerAddress, keys: Path, certificate: Revocation) -> None:
    """End the account whose certificate this is; nobody needs to be logged in for that.

    Raises:
        Refused: The server does not take the certificate.
        SecureChatError: The server cannot be reached or trusted.
    """
    with closing(_Exchange(address, keys)) as exchange:
        exchange.greet()
        exchange.ask(Revoke(certificate=certificate), Revoked)


# ---------------------------------------------------------------- a session


class Session:
    """Keeps an engine connected, and gives it frames, entries and the time, all in one thread."""

    def __init__(self, messenger: Messenger, address: ServerAddress, keys: Path, *, persistent: bool) -> None:
        """Prepare; `run` begins.

        Args:
            messenger: The engine.
            address: Its server.
            keys: Where the server's key is remembered.
            persistent: Whether to connect again and again; otherwise the first failure is raised.
        """
        self._messenger = messenger
        self._address = address
        self._keys = keys
        self._persistent = persistent
        self._tasks: queue.Queue[Callable[[], None]] = queue.Queue(MAX_TASKS)
        self._ended = False
        self._loop: Loop  # from `run` on
        self._link: Link | None = None
        self._dial_at_s: float | None = 0.0
        self._retry_s = FIRST_RETRY_S
        self._tick_at_s = 0.0
        self._perform: Callable[[Output], None] = lambda _output: None
        self._offline: Callable[[SecureChatError | None], None] = lambda _reason: None

    # ------------------------------------------------------------ any thread

    def submit(self, task: Callable[[], None]) -> None:
        """Have something done in the session's thread; waits while there is much to do, and is idle after its end."""
        if not self._ended:
            self._tasks.put(task)

    def offer(self, task: Callable[[], None]) -> None:
        """Have something done in the session's thread unless there is much to do: for what may be left out."""
        if not self._ended:
            with suppress(queue.Full):
                self._tasks.put_nowait(task)

    def opened(self, link: Link) -> None:
        """Called by the transport."""
        self.submit(partial(self._opened, link))

    def received(self, link: Link, frames: list[Frame]) -> None:
        """Called by the transport."""
        self.submit(partial(self._received, link, frames))

    def closed(self, link: Link, reason: SecureChatError | None) -> None:
        """Called by the transport."""
        self.submit(partial(self._closed, link, reason))

    def rest(self) -> None:
        """Called by the transport; the session's thread has it all already."""

    # ------------------------------------------------------------ the session's thread

    def send(self, frames: list[Frame]) -> None:
        """Send frames; without a link they are dropped, and the engine repeats over the next what matters."""
        if self._link is not None:
            self._link.send(*frames)

    def run(
        self,
        done: Callable[[], bool],
        *,
        perform: Callable[[Output], None],
        offline: Callable[[SecureChatError | None], None] = lambda _reason: None,
        timeout_s: float | None = None,
    ) -> None:
        """Work until something is true.

        Args:
            done: Asked after every piece of work.
            perform: Takes what each step of the engine brought.
            offline: Told when the link was lost, or could not be made, and will be tried again.
            timeout_s: When to give up.

        Raises:
            TimeoutExpiredError: It did not become true in time.
            Refused: The server does not let this account in.
            SecureChatError: The link failed and there is no point in trying again.
        """
        self._perform, self._offline = perform, offline
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._loop = Loop(self, name="link")
        self._loop.start()
        try:
            while not done():
                self._work()
                if deadline_s is not None and time.monotonic() > deadline_s:
                    message = "the server did not answer in time"
                    raise TimeoutExpiredError(
                        message, hint="try again; messages stay in the outbox and go out at the next start"
                    )
        finally:
            self._ended = True
            with suppress(queue.Empty):  # whoever waits for room in it is let go
                while True:
                    self._tasks.get_nowait()
            if self._link is not None:
                self._link.close()
            self._loop.stop(1, None)

    def _work(self) -> None:
        now_s = time.monotonic()
        if self._dial_at_s is not None and now_s >= self._dial_at_s:
            self._dial_at_s = None
            self._link = self._loop.connect(self._address.host, self._address.port, pin=self._address.fingerprint)
        wait_s = TICK_S if self._dial_at_s is None else min(TICK_S, self._dial_at_s - now_s)
        with suppress(queue.Empty):
            self._tasks.get(timeout=max(0.0, wait_s))()
        if time.monotonic() >= self._tick_at_s:  # also while there is much to do
            self._tick_at_s = time.monotonic() + TICK_S
            self._perform(self._messenger.tick(now=wall_time()))

    def _opened(self, link: Link) -> None:
        if link is self._link and link.peer_key is not None:
            if remember(link.peer_key, self._keys):
                self._address = replace(self._address, fingerprint=fingerprint(link.peer_key))
                self._perform(Output(events=[ServerKeyRotated(fingerprint(link.peer_key))]))
            self._perform(self._messenger.connected(sha256(spki(link.peer_key))))

    def _received(self, link: Link, frames: list[Frame]) -> None:
        if link is not self._link:
            return
        frames = [frame for frame in frames if not isinstance(frame, Goodbye)]  # its reason comes with the end
        if not frames:
            return
        output = self._messenger.receive(frames, now=wall_time())
        refusals = [event for event in output.events if isinstance(event, LoginRefused)]
        for refusal in refusals:
            if refusal.code is not Code.RATE_LIMITED or not self._persistent:
                raise Refused(refusal.code, retry_after_s=refusal.retry_after_s)
        self._perform(output)
        if self._messenger.online:
            self._retry_s = FIRST_RETRY_S
        for refusal in refusals:
            self._wait_outside(refusal)

    def _wait_outside(self, refusal: LoginRefused) -> None:
        self._retry_s = max(self._retry_s, refusal.retry_after_s)
        if self._link is not None:
            self._link.close()

    def _closed(self, link: Link, reason: SecureChatError | None) -> None:
        if link is not self._link:
            return
        self._link = None
        self._messenger.disconnected()
        final = isinstance(reason, UntrustedKeyError) or (
            isinstance(reason, RemoteProtocolError) and reason.code in _FINAL
        )
        if final or not self._persistent:
            raise reason or NetworkError("the connection was closed")
        self._offline(reason)
        self._dial_at_s = time.monotonic() + self._retry_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads reconnects
        self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)


def wall_time() -> int:
    """Return seconds since 1970."""
    return int(time.time())
