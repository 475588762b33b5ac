"""What a suite says when it cannot go on by itself."""

from __future__ import annotations

from errors import CryptoError


class NoSessionError(Exception):
    """There is no session to send in: one must be begun first."""


class UnopenedError(CryptoError):
    """The sender's signature holds, and the two ends of the session have come apart: it must be sent again."""
