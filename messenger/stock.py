"""Our own prekeys at the server: asked for, and topped up (docs/PROTOCOL.md section 4.9)."""

from __future__ import annotations

from messenger.keyring import Keyring
from messenger.line import Line, Output
from messenger.protection import Protection
from messenger.suites.own_prekeys import OwnPrekeys
from protocol import PrekeysHeld, PublishPrekeys

FIRST_WITH_PREKEYS = 2  # the suite


class Stock:
    """What this device has left at the server. Every change runs inside the caller's transaction."""

    def __init__(self, line: Line, keyring: Keyring, prekeys: OwnPrekeys, protection: Protection) -> None:
        """Work for an account."""
        self._line = line
        self._keyring = keyring
        self._prekeys = prekeys
        self._protection = protection

    def ask(self, output: Output) -> None:
        """Ask the server what it has, once it knows our present identity."""
        link = self._line.link
        best = self._protection.best(self._keyring.account.record)
        if link is not None and not link.rotating and best >= FIRST_WITH_PREKEYS:
            link.stocking = True
            output.frames.append(PublishPrekeys(one_time=[], signed=[]))

    def held(self, frame: PrekeysHeld, output: Output, *, now: int) -> None:
        """Leave there what it lacks."""
        link = self._line.present
        lacking = [] if link.rotating else self._prekeys.lacking(frame, self._keyring.account, now=now)
        link.stocking = bool(lacking)
        output.frames += lacking

    def refused(self) -> None:
        """Let it be for this link: the server does not take them."""
        self._line.present.stocking = False
