"""Row 17: the server exchanges a known contact's keys for its own, and reads along."""

from __future__ import annotations

import pytest

from crypto_utils import PrivateKeys
from errors import Code, UntrustedKeyError
from identity import create_record
from messenger.account import Account
from messenger.contacts import Contacts, Sight, Trust
from messenger.events import IdentityChanged
from messenger.suites.suite1 import Suite1
from protocol import Accepted, Frame, Identity, Message, Rejected
from records import IdentityRecord
from tests.attacks.stage import Stage


def test_the_server_reads_along_under_keys_of_its_own(
    stage: Stage, some_keys: list[PrivateKeys], weak: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    false = create_record(some_keys[2], "bob", created=5, suites=[1])
    eve = Account("bob", some_keys[2], false)
    if weak:

        def trusting(contacts: Contacts, record: IdentityRecord) -> Sight:
            contact = contacts.find(record.user_id)
            assert contact is not None
            return contacts._follow(contact, [contact.record, record], 1)

        monkeypatch.setattr(Contacts, "_offer", trusting)
    stage.alice.messenger.decisions.verify(
        "bob", stage.alice.messenger.decisions.safety_number("bob"), now=stage.town.now
    )
    read: list[bytes] = []

    def outward(frame: Frame) -> list[Frame]:
        if isinstance(frame, Message) and frame.recipient_key == eve.key_id:
            record = stage.alice.account.record
            read.append(Suite1().decrypt(eve, record, frame))
        return [frame]

    def inward(frame: Frame) -> list[Frame]:
        if isinstance(frame, Accepted):
            return [Rejected(code=Code.KEY_CHANGED, id=each) for each in frame.ids]
        return [stage.alice.told([false]) if isinstance(frame, Identity) else frame]

    stage.town.outward, stage.town.inward = outward, inward
    stage.alice.write("bob", "for Bob only")
    assert any(b"for Bob only" in each for each in read) is weak
    contact = stage.alice.messenger.contacts.find("bob")
    assert contact is not None
    if not weak:
        assert contact.trust is Trust.CHANGED
        assert stage.alice.saw(IdentityChanged) == [IdentityChanged("bob")]
        with pytest.raises(UntrustedKeyError):
            stage.alice.messenger.writing.send_text("bob", "more", now=1)
