"""What senders ask about envelopes that were accepted: proven by a signature, when they ask and not before."""

from __future__ import annotations

from acceptance import sign_acceptance
from crypto_utils import RSA_SIZE, RSAPrivateKey
from errors import Code, Refused
from records import Acceptance
from relay.limits import Limits, Now, RateLimiter
from relay.mailboxes import Mailboxes
from relay.storage import Store


class Acceptances:
    """Signs what is known of envelopes."""

    def __init__(self, store: Store, mailboxes: Mailboxes, key: RSAPrivateKey, limits: Limits) -> None:
        """Work on a store, with the key of the log."""
        self._store = store
        self._mailboxes = mailboxes
        self._key = key
        self._asked = RateLimiter(limits.acceptances)

    def prove(self, sender_id: str, envelope_id: bytes, *, now: Now) -> Acceptance:
        """Say of an envelope since when it is here, and whether it was fetched, and sign that.

        Raises:
            Refused: There is none of this sender, it is older than the retention, or its own reply still waits; or
                there were too many questions.
        """
        self._asked.charge(sender_id, now.steady_s)
        stored = self._store.accepted(sender_id, [envelope_id]).get(envelope_id)
        if stored is None or self._mailboxes.awaits(sender_id, envelope_id):
            raise Refused(Code.NOT_HELD)
        draft = Acceptance(
            fetched=not self._store.is_waiting(sender_id, envelope_id),
            id=envelope_id,
            mark=stored.mark,
            received_at=stored.received_at,
            sender_id=sender_id,
            signature=bytes(RSA_SIZE),
            timestamp=now.wall_s,
        )
        return sign_acceptance(self._key, draft)
