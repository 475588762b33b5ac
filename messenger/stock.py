"""Our own prekeys at the server: asked for, and topped up (docs/PROTOCOL.md section 4.9)."""

from __future__ import annotations

from typing import Final

from errors import Code
from messenger.keyring import Keyring
from messenger.line import Line, Output, Stocking
from messenger.protection import Protection
from messenger.suites.own_prekeys import OwnPrekeys
from messenger.suites.sessions import Sessions
from protocol import PrekeysHeld, PublishPrekeys, Refusal

FIRST_WITH_PREKEYS: Final = 2  # the suite
ASK_EVERY_S: Final = 24 * 3600  # on a link that lasts


class Stock:
    """What this device has left at the server. Every change runs inside the caller's transaction."""

    def __init__(
        self, line: Line, keyring: Keyring, prekeys: OwnPrekeys, sessions: Sessions, protection: Protection
    ) -> None:
        """Work for an account."""
        self._sessions = sessions
        self._line = line
        self._keyring = keyring
        self._prekeys = prekeys
        self._protection = protection

    def ask(self, output: Output, *, now: int) -> None:
        """Ask the server what it has, once it knows our present identity; and forget what nobody can use any more."""
        link = self._line.link
        best = self._protection.best(self._keyring.account.record)
        if link is not None and not link.rotating and best >= FIRST_WITH_PREKEYS:
            self._prekeys.forget_old(now=now)
            self._sessions.forget_old(self._keyring.key_ids, now=now)
            link.stock, link.restock_at = Stocking.ASKED, now + ASK_EVERY_S
            output.frames.append(PublishPrekeys(one_time=[], signed=[]))

    def tick(self, output: Output, *, now: int) -> None:
        """Ask again on a link that lasts."""
        link = self._line.present
        if link.online and link.restock_at is not None and now >= link.restock_at:
            self.ask(output, now=now)

    def held(self, frame: PrekeysHeld, output: Output, *, now: int) -> None:
        """Leave there what it lacks, once for each time that we have asked."""
        link = self._line.present
        if link.stock is Stocking.ASKED and not link.rotating:
            lacking = self._prekeys.lacking(frame, self._keyring.account, now=now)
            link.stock = Stocking.LEFT if lacking else Stocking.SETTLED
            output.frames += lacking
        else:  # the answer to what was left, or to nothing
            link.stock = Stocking.SETTLED

    def refused(self, frame: Refusal, *, now: int) -> None:
        """Let it be for now: the server does not take them."""
        link = self._line.present
        link.stock = Stocking.SETTLED
        if frame.code is Code.RATE_LIMITED:
            link.restock_at = now + frame.retry_after_s
