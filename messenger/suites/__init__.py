"""The ways to protect content. A suite is a number, `encrypt`, `decrypt`, and nothing else.

One file a suite, frozen once it is released; what is not in the table is refused.
"""

from __future__ import annotations

from typing import Final, Protocol

from messenger.account import Account
from messenger.suites.draft import Draft
from messenger.suites.own_prekeys import OwnPrekeys
from messenger.suites.sessions import Sessions
from messenger.suites.suite1 import Suite1
from messenger.suites.suite2 import Suite2
from protocol import Envelope
from records import IdentityRecord


class Suite(Protocol):
    """A way to protect content."""

    number: int

    def encrypt(self, sender: Account, recipient: IdentityRecord, draft: Draft, content: bytes) -> Envelope:
        """Seal packed content for the devices of a verified recipient, signed by the sender.

        Raises:
            NoSessionError: The suite wants a session, and there is none.
        """

    def decrypt(self, recipient: Account, sender: IdentityRecord, envelope: Envelope, *, now: int) -> bytes:
        """Verify an envelope against its sender's verified identity, and open it.

        Raises:
            UnopenedError: It is signed, and for a session whose ends have come apart.
            CryptoError: Whatever else is wrong with it; nothing was decrypted before the signature held.
        """


SPOKEN: Final = (1, 2)  # what an account says that it can open


def suites(sessions: Sessions, prekeys: OwnPrekeys) -> dict[int, Suite]:
    """Return all suites by their number, over a device's sessions and prekeys."""
    return {suite.number: suite for suite in (Suite1(), Suite2(sessions, prekeys))}
