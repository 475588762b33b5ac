"""What every suite is given to make an envelope of."""

from __future__ import annotations

from dataclasses import dataclass

from identity import key_id
from messenger.account import Account
from protocol import Message, Receipt
from records import IdentityRecord


@dataclass(frozen=True, slots=True)
class Draft:
    """What an envelope will say outside, apart from who and to whom."""

    kind: type[Message | Receipt]
    id: bytes  # 16 bytes, fresh
    timestamp: int  # seconds since 1970

    def routed(self, sender: Account, recipient: IdentityRecord, *, suite: int, device_id: int) -> Message | Receipt:
        """Return the envelope with who and to whom, and nothing sealed yet."""
        return self.kind(
            encrypted_aes_key="",
            encrypted_content="",
            id=self.id,
            recipient_device=device_id,
            recipient_id=recipient.user_id,
            recipient_key=key_id(recipient),
            sender_device=sender.device_id,
            sender_id=sender.user_id,
            sender_key=sender.key_id,
            signature="",
            suite=suite,
            timestamp=self.timestamp,
        )
