"""Our own next identity: how the server and the contacts hear of it (docs/PROTOCOL.md section 4.3)."""

from __future__ import annotations

from errors import Code
from identity import identity_hash
from messenger.account import Account
from messenger.contacts import Contacts, Trust
from messenger.door import Door, Standing
from messenger.events import OwnIdentityRotated, OwnRotationRefused, ServerWentBack
from messenger.keyring import Keyring
from messenger.line import Line, Output
from messenger.outbox import Outbox
from protocol import Refusal, Rotate, Rotated


class Rotation:
    """The change from the present identity to the next. Every change runs inside the caller's transaction."""

    def __init__(self, line: Line, keyring: Keyring, contacts: Contacts, door: Door, outbox: Outbox) -> None:
        """Work for an account."""
        self._line = line
        self._keyring = keyring
        self._contacts = contacts
        self._door = door
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
        if following is not None and self._line.online and not self._line.present.rotating:
            self._line.present.rotating = True
            output.frames.append(Rotate(record=following.record))

    def logged_in(self, output: Output, *, now: int) -> None:
        """Go on with a rotation that an earlier link has left half done."""
        if self._keyring.following is None and self._keyring.is_restored:  # the restore was cut short
            self._keyring.prepare(now=now)
        link, following = self._line.present, self._keyring.following
        if following is not None and link.identity_hash == following.identity_hash:
            self._take_over(following, output, now)
        elif link.identity_hash != self._keyring.account.identity_hash:
            link.behind = link.rotating = True
            output.events.append(ServerWentBack())
            self.lead_on(output)
        else:
            self._keyring.forget_old(now=now)
            self.tell(output)

    def lead_on(self, output: Output) -> None:
        """Tell a server that is behind, because its database is an older one, what came after what it knows."""
        link = self._line.present
        if link.behind:
            output.frames.append(Rotate(record=self._keyring.after(link.identity_hash)))

    def rotated(self, frame: Rotated, output: Output, *, now: int) -> None:
        """Go on with the next identity: the server has it."""
        link, following = self._line.present, self._keyring.following
        if link.behind and frame.identity_hash == identity_hash(self._keyring.after(link.identity_hash)):
            link.identity_hash = frame.identity_hash
            link.behind = link.rotating = frame.identity_hash != self._keyring.account.identity_hash
            self.lead_on(output)
            self.tell(output)
        elif following is not None and frame.identity_hash == following.identity_hash:
            self._take_over(following, output, now)

    def refused(self, frame: Refusal, output: Output, *, now: int) -> None:
        """Go on with the present identity; the next link tries again. A server that is behind is asked again."""
        link = self._line.present
        link.rotating = link.behind
        if link.behind and frame.code is Code.RATE_LIMITED:
            link.retry_at = now + frame.retry_after_s
        output.events.append(OwnRotationRefused(frame.code, frame.retry_after_s))

    def _take_over(self, following: Account, output: Output, now: int) -> None:
        """Have sealed anew what was not answered, and tell everybody, as soon as this is on disk."""
        self._line.present.rotating = True
        self._keyring.retire(now=now)
        self._done = True
        self._outbox.unseal()
        self._line.send_again()
        news = self._keyring.take_news()
        known = {peer for peer, standing in self._door.all().items() if standing is Standing.KNOWN}
        for peer, trust in self._contacts.all():  # to others it would say that somebody is here
            if trust not in {Trust.CHANGED, Trust.REVOKED} and peer in known:
                self._outbox.add_notice(self._outbox.new_id(now), peer, news)
        output.events.append(OwnIdentityRotated(following.record.epoch))

    def forget_step(self) -> None:
        """Stay with the present identity, after a step that has failed: the next link goes on."""
        self._done = False

    def finish(self) -> bool:
        """Take the next identity for the present one, once that is on disk; return whether it was time to."""
        done, self._done = self._done, False
        if done:
            self._keyring.advance()
            if self._line.link is not None:
                self._line.link.rotating = False
        return done
