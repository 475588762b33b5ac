"""How sessions begin: the prekeys of a contact's device are fetched, checked, and used once (docs/PROTOCOL.md 11.5)."""

from __future__ import annotations

from typing import Final

from errors import CryptoError
from messenger.account import FIRST_DEVICE
from messenger.contacts import Contact
from messenger.keyring import Keyring
from messenger.line import Line, Output
from messenger.suites import handshake, ratchet
from messenger.suites.handshake import Party, Theirs
from messenger.suites.own_prekeys import DAY
from messenger.suites.sessions import Session, Sessions
from prekeys import verify_prekey
from protocol import FetchPrekeys, Prekeys

AGAIN_S: Final = 5  # after which a contact without prekeys is asked for them once more
GIVEN_UP_S: Final = 3600  # and after which again, on a link that lasts
TOO_OLD_S: Final = 35 * DAY  # of a signed prekey: a device renews it weekly, its server keeps envelopes for 30 days


class TooOldError(Exception):
    """A device has not been there for too long to begin a session with it."""


class Beginnings:
    """Begins sessions with contacts. Every change runs inside the caller's transaction."""

    def __init__(self, line: Line, keyring: Keyring, sessions: Sessions) -> None:
        """Work for an account."""
        self._line = line
        self._keyring = keyring
        self._sessions = sessions

    def ask(self, peer: str, output: Output, *, now: int) -> None:
        """Ask for what a session with somebody needs, unless that is under way, or they had nothing a moment ago."""
        link = self._line.present
        if peer not in link.asked_prekeys and now >= link.prekeys_after.get(peer, 0):
            link.asked_prekeys.add(peer)
            output.frames.append(FetchPrekeys(device_id=FIRST_DEVICE, user_id=peer))

    def was_asked_for(self, peer: str) -> bool:
        """Note that an answer has come; return whether there was a question."""
        asked = self._line.present.asked_prekeys
        wanted = peer in asked
        asked.discard(peer)
        return wanted

    def failed(self, peer: str, *, now: int) -> bool:
        """Note that no session can begin with somebody; return whether to give up for this time.

        A device that has just made new keys leaves prekeys for them in a moment: it is asked once more.
        """
        link = self._line.present
        final = peer in link.prekeys_after
        pause_s = GIVEN_UP_S if final else AGAIN_S
        link.prekeys_after[peer] = now + pause_s
        if not final:
            link.retry_at = now + pause_s
        return final

    def begin(self, contact: Contact, frame: Prekeys, *, now: int) -> None:
        """Begin a session with a contact's pinned identity.

        Raises:
            CryptoError: The prekeys are not its own.
            TooOldError: They are, and of long ago.
        """
        signed = frame.signed
        theirs = Theirs(signed.id, verify_prekey(signed, contact.record))
        if signed.created > now + DAY:
            raise CryptoError
        if signed.created < now - TOO_OLD_S:
            raise TooOldError
        for one_time in frame.one_time:
            if one_time.device_id != signed.device_id:
                raise CryptoError
            theirs = Theirs(theirs.signed_id, theirs.signed, one_time.id, verify_prekey(one_time, contact.record))
        account = self._keyring.account
        agreed, begun = handshake.begin(account, Party(contact.record, signed.device_id), theirs)
        state = ratchet.begin(agreed.shared, theirs.signed)
        ends = (contact.user_id, signed.device_id, account.key_id, contact.key_id)
        self._sessions.add(Session(agreed.session_id, *ends, state, begun), now=now)
        self._line.present.prekeys_after.pop(contact.user_id, None)
