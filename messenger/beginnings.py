"""How sessions begin: the prekeys of a contact's device are fetched, checked, and used once (docs/PROTOCOL.md 11.5)."""

from __future__ import annotations

from typing import Final

from errors import CryptoError
from messenger.contacts import Contact
from messenger.keyring import Keyring
from messenger.line import Line, Output
from messenger.suites import handshake, ratchet
from messenger.suites.handshake import Party, Theirs
from messenger.suites.sessions import Session, Sessions
from prekeys import verify_prekey
from protocol import FetchPrekeys, Prekeys

FIRST_DEVICE: Final = 1  # the only one there is yet
DAY: Final = 24 * 3600
TOO_OLD_S: Final = (
    35 * 24 * 3600
)  # of a signed prekey: a device renews it weekly, and its server keeps envelopes for 30 days


class Beginnings:
    """Begins sessions with contacts. Every change runs inside the caller's transaction."""

    def __init__(self, line: Line, keyring: Keyring, sessions: Sessions) -> None:
        """Work for an account."""
        self._line = line
        self._keyring = keyring
        self._sessions = sessions

    def ask(self, peer: str, output: Output) -> None:
        """Ask for what a session with somebody needs, if that was not asked for."""
        asked = self._line.present.asked_prekeys
        if peer not in asked:
            asked.add(peer)
            output.frames.append(FetchPrekeys(device_id=FIRST_DEVICE, user_id=peer))

    def was_asked_for(self, peer: str) -> bool:
        """Note that an answer has come; return whether there was a question."""
        asked = self._line.present.asked_prekeys
        wanted = peer in asked
        asked.discard(peer)
        return wanted

    def begin(self, contact: Contact, frame: Prekeys, *, now: int) -> None:
        """Begin a session with a contact's pinned identity.

        Raises:
            CryptoError: The prekeys are not its own, or too old.
        """
        signed = frame.signed
        theirs = Theirs(signed.id, verify_prekey(signed, contact.record))
        if not now - TOO_OLD_S <= signed.created <= now + DAY:
            raise CryptoError
        for one_time in frame.one_time:
            if one_time.device_id != signed.device_id:
                raise CryptoError
            theirs = Theirs(theirs.signed_id, theirs.signed, one_time.id, verify_prekey(one_time, contact.record))
        account = self._keyring.account
        agreed, begun = handshake.begin(account, Party(contact.record, signed.device_id), theirs)
        state = ratchet.begin(agreed.shared, theirs.signed)
        ends = (contact.user_id, signed.device_id, account.key_id, contact.key_id)
        self._sessions.add(Session(agreed.session_id, *ends, state, begun))
