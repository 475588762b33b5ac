"""Our own next identity: how the server and the contacts hear of it (docs/PROTOCOL.md section 4.3)."""

from __future__ import annotations

from messenger.account import Account
from messenger.contacts import Contacts, Trust
from messenger.events import OwnIdentityRotated, OwnRotationRefused, ServerWentBack
from messenger.keyring import Keyring
from messenger.line import Line, Output
from messenger.outbox import Outbox
from protocol import Refusal, Rotate, Rotated


class Rotation:
    """The change from the present identity to the next. Every change runs inside the caller's transaction."""

    def __init__(self, line: Line, keyring: Keyring, contacts: Contacts, outbox: Outbox) -> None:
        """Work for an account."""
        self._line = line
        self._keyring = keyring
        self._contacts = contacts
        self._outbox = outbox
        self._done = False  # in this step, which is not on disk yet

    def begin(self, *, now: int) -> None:
        """Make this account's next identity.

        Raises:
            UsageError: A rotation is under way.
            StorageError: It cannot be written.
        """
        self._keyring.refuse_while_rotating()
        self._keyring.prepare(now=now)

    def tell(self, output: Output) -> None:
        """Let the server know of the next identity, if there is one; nothing is sealed until it has answered."""
        following = self._keyring.following
        if following is not None and self._line.online:
            self._line.present.rotating = True
            output.frames.append(Rotate(record=following.record))

    def logged_in(self, output: Output, *, now: int) -> None:
        """Go on with a rotation that an earlier link has left half done."""
        self._keyring.forget_old(now=now)
        if self._keyring.following is None and self._keyring.is_restored:  # the restore was cut short
            self._keyring.prepare(now=now)
        link, following = self._line.present, self._keyring.following
        if following is not None and link.identity_hash == following.identity_hash:
            self._take_over(following, output, now)
        elif link.identity_hash != self._keyring.account.identity_hash:
            output.events.append(ServerWentBack())
            self._lead_on(link.identity_hash, output)
        else:
            self.tell(output)

    def _lead_on(self, identity_hash: bytes, output: Output) -> None:
        """Tell a server whose database is an older one what came after an identity; nothing is sealed meanwhile."""
        self._line.present.rotating = True
        output.frames.append(Rotate(record=self._keyring.after(identity_hash)))

    def rotated(self, frame: Rotated, output: Output, *, now: int) -> None:
        """Go on with the next identity: the server has it."""
        account, following = self._keyring.account, self._keyring.following
        if following is not None and frame.identity_hash == following.identity_hash:
            self._take_over(following, output, now)
        elif frame.identity_hash != account.identity_hash:
            self._lead_on(frame.identity_hash, output)
        else:
            self._line.present.rotating = False
            self.tell(output)

    def refused(self, frame: Refusal, output: Output) -> None:
        """Go on with the present identity; the next link tries again."""
        self._line.present.rotating = False
        output.events.append(OwnRotationRefused(frame.code, frame.retry_after_s))

    def _take_over(self, following: Account, output: Output, now: int) -> None:
        """Have sealed anew what was not answered, and tell everybody, as soon as this is on disk."""
        self._line.present.rotating = True
        self._keyring.retire(now=now)
        self._done = True
        self._outbox.unseal()
        self._line.send_again()
        news = self._keyring.take_news()
        for peer, trust in self._contacts.all():
            if trust not in {Trust.CHANGED, Trust.REVOKED}:
                self._outbox.add_notice(self._outbox.new_id(now), peer, news)
        output.events.append(OwnIdentityRotated(following.record.epoch))

    def finish(self) -> bool:
        """Take the next identity for the present one, once that is on disk; return whether it was time to."""
        done, self._done = self._done, False
        if done:
            self._keyring.advance()
            if self._line.link is not None:
                self._line.link.rotating = False
        return done
