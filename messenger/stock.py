"""Our own prekeys at the server: asked for, and topped up (docs/PROTOCOL.md section 4.9)."""

from __future__ import annotations

from typing import Final

from messenger.keyring import Keyring
from messenger.line import Line, Output
from messenger.protection import Protection
from messenger.suites.own_prekeys import OwnPrekeys
from protocol import PrekeysHeld, PublishPrekeys

FIRST_WITH_PREKEYS: Final = 2  # the suite
ASK_EVERY_S: Final = 24 * 3600  # on a link that lasts


class Stock:
    """What this device has left at the server. Every change runs inside the caller's transaction."""

    def __init__(self, line: Line, keyring: Keyring, prekeys: OwnPrekeys, protection: Protection) -> None:
        """Work for an account."""
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
            link.stocking, link.restock_at = True, now + ASK_EVERY_S
            output.frames.append(PublishPrekeys(one_time=[], signed=[]))

    def tick(self, output: Output, *, now: int) -> None:
        """Ask again on a link that lasts."""
        link = self._line.present
        if link.online and link.restock_at is not None and now >= link.restock_at:
            self.ask(output, now=now)

    def held(self, frame: PrekeysHeld, output: Output, *, now: int) -> None:
        """Leave there what it lacks, once for each time that we have asked."""
        link = self._line.present
        if not link.stocking:
            return
        if link.stocked:  # the answer to what was left
            link.stocking = link.stocked = False
            return
        lacking = [] if link.rotating else self._prekeys.lacking(frame, self._keyring.account, now=now)
        link.stocking = link.stocked = bool(lacking)
        output.frames += lacking

    def refused(self) -> None:
        """Let it be: the server does not take them, or not now."""
        self._line.present.stocking = self._line.present.stocked = False
