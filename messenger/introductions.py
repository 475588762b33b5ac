"""The key directory's answers, and what they mean for what waits for them (docs/PROTOCOL.md section 4.3)."""

from __future__ import annotations

from errors import Code, CryptoError
from messenger.contacts import Sight
from messenger.identities import Identities
from messenger.inbox import Inbox
from messenger.keyring import Keyring
from messenger.line import Line, Output
from messenger.log_watch import LogWatch
from messenger.sending import Sending
from protocol import Identity, Refusal


class Introductions:
    """Goes on with what waited for a look at somebody's identity. Every change runs inside the caller's transaction."""

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self, line: Line, keyring: Keyring, identities: Identities, watch: LogWatch, inbox: Inbox, sending: Sending
    ) -> None:
        """Join the parts."""
        self._line = line
        self._keyring = keyring
        self._identities = identities
        self._watch = watch
        self._inbox = inbox
        self._sending = sending

    def identity(self, frame: Identity, output: Output, *, now: int) -> None:
        """Check an answer against the key log, take it in, and go on."""
        user_id = frame.records[-1].user_id
        if not self._identities.was_asked_for(user_id):
            return
        try:
            index = self._watch.check_answer(frame, output, now=now)
        except CryptoError:
            self._identities.give_up(user_id)
            self._sending.fail_all(user_id, output, "rejected", Code.UNTRUSTED_LOG)
            self._inbox.put_aside(user_id)
            return
        try:
            if user_id == self._keyring.account.user_id:
                self._watch.learn_own(frame, output)
                return
            answer = self._identities.joined(frame, output)
            if answer is None:
                return
            doubted = self._identities.no_longer_doubted(user_id)
            sight = self._identities.take(answer, index, output, now=now)
        except CryptoError:
            self._identities.give_up(user_id)
            self._give_up(user_id, output, Code.INVALID_RECORD)
            return
        self._go_on(user_id, sight, output, doubted=doubted, now=now)

    def _go_on(self, user_id: str, sight: Sight, output: Output, *, doubted: bool, now: int) -> None:
        """Send and open what waited, as far as it may."""
        if sight is Sight.ROTATED:
            self._sending.seal_anew(user_id)
        elif sight is Sight.CHANGED:
            self._sending.fail_all(user_id, output, "identity-changed", None)
        elif sight is Sight.SAME and doubted:  # the relay refuses the very key that its directory names
            self._give_up(user_id, output, Code.KEY_CHANGED)
        self._line.send_again()
        if not self._identities.awaits(user_id):  # otherwise there are more of its records than came
            self._inbox.identity_seen(user_id, now=now)

    def nobody(self, frame: Refusal, output: Output, *, now: int) -> None:
        """Take note that the directory does not answer a look-up."""
        if not self._identities.was_asked_for(frame.subject):
            return
        if frame.code is Code.RATE_LIMITED:
            self._line.present.retry_at = now + frame.retry_after_s
            return
        self._identities.give_up(frame.subject)
        if frame.subject == self._keyring.account.user_id:
            self._watch.nothing_to_learn(output)
        self._give_up(frame.subject, output, frame.code)

    def _give_up(self, user_id: str, output: Output, reason: Code) -> None:
        """End everything that waited for somebody's identity."""
        self._sending.fail_all(user_id, output, "rejected", reason)
        self._inbox.identity_unknown(user_id)
