"""Suite 2 against hostile servers and contacts, thieves, and the accidents that bring two ends apart."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import msgspec
import pytest

from canonical_json import canonical, without
from crypto_utils import Label, PrivateKeys, encode_base64, sign
from errors import Code
from identity import create_record
from key_agreement import PrivatePair, chain, encrypt, exchange
from messenger.account import Account
from messenger.content import NO_LOG, Content, ReceiptContent, Text, pack
from messenger.database import Database
from messenger.events import EnvelopeRefused, MessageUnopened
from messenger.suites import handshake, own_prekeys, ratchet
from messenger.suites.draft import Draft
from messenger.suites.handshake import Party, Theirs
from messenger.suites.own_prekeys import OwnPrekeys
from messenger.suites.sessions import Session, Sessions
from messenger.suites.suite1 import Suite1
from messenger.suites.suite2 import Suite2, _associated, _message_key, _pack
from protocol import (
    Delivery,
    Envelope,
    Frame,
    Message,
    PrekeysHeld,
    PublishPrekeys,
    Receipt,
    Refusal,
    Rotated,
)
from records import IdentityRecord
from relay.limits import DAY, Limits
from tests.messenger.people import PASSWORD, Person, Town
from tests.messenger.test_rotation import gone_back, rotate, rotate_and_leave
from tests.messenger.test_sessions import envelopes_on_the_wire, lose_database, sessions, state, talked, wait
from tests.relay.world import START_S


def newest(person: Person) -> Session:
    ((session_id,),) = person.database.rows("SELECT id FROM session ORDER BY rank DESC LIMIT 1")
    session = Sessions(person.database).find(session_id)
    assert session is not None
    return session


def crafted(
    sender: Person, recipient: Person, session: Session, header: ratchet.Header, key: bytes, content: Content
) -> Envelope:
    """Seal anything in any session, as a client that was changed would."""
    account, salt = sender.messenger.account, secrets.token_bytes(16)
    routed = Message(
        encrypted_aes_key=encode_base64(_pack(session, salt, header)), encrypted_content="", id=secrets.token_bytes(16),
        recipient_device=1, recipient_id=recipient.user_id, recipient_key=recipient.messenger.account.key_id,
        sender_device=1, sender_id=account.user_id, sender_key=account.key_id, signature="", suite=2, timestamp=START_S,
    )  # fmt: skip
    sealed = msgspec.structs.replace(
        routed, encrypted_content=encode_base64(encrypt(*_message_key(key, salt), pack(content), _associated(routed)))
    )
    signature = sign(account.keys.ed25519, Label.ENVELOPE_2, without(sealed, "signature"))
    return msgspec.structs.replace(sealed, signature=encode_base64(signature))


def delivered(person: Person, envelope: Envelope, sequence: int = 9999) -> list[Frame]:
    delivery = Delivery(envelope=msgspec.Raw(canonical(envelope)), sequence=sequence)
    output = person.messenger.receive([delivery], now=person.town.now)
    person.take(output)
    return output.frames


# ---------------------------------------------------------------- hostile contacts


def test_a_pair_that_comes_back_harms_nothing(town: Town) -> None:
    """A contact turns with one pair, another, and the first again, and leaves messages out in each chain."""
    alice, bob = talked(town)
    session, first, second = newest(bob), PrivatePair.generate(), PrivatePair.generate()
    for number, pair in enumerate((first, second, first)):
        present = newest(alice).state
        theirs = PrivatePair.from_bytes(present.ours).public
        secret, ciphertext = theirs.encapsulate()
        _, sending = ratchet._roots(present.root, exchange(pair.x25519, theirs.x25519), secret)
        for _ in range(5):
            sending = chain(sending, b"\2")
        header = ratchet.Header(pair.public.to_bytes(), ciphertext, 0, 5)
        text = Text(counter=2 + number, log=NO_LOG, text=f"turn {number}")
        delivered(alice, crafted(bob, alice, session, header, chain(sending, b"\1"), text), 900 + number)
    assert alice.read[-3:] == ["turn 0", "turn 1", "turn 2"]


def test_nobody_touches_the_session_of_two_others(town: Town) -> None:
    """Its id is on the wire."""
    alice, bob = talked(town)
    mallory = town.person("mallory")
    mallory.write("bob", "hi")
    header = ratchet.Header(bytes(1216), bytes(1088), 0, 0)
    text = Text(counter=9, log=NO_LOG, text="x")
    delivered(bob, crafted(mallory, bob, newest(alice), header, bytes(32), text))
    assert bob.saw(EnvelopeRefused) == [EnvelopeRefused("mallory")]
    assert not any(row for (row,) in bob.database.rows("SELECT receive_only FROM session"))


def asked_again(town: Town, victim: Person, account: Account, messages: list[bytes]) -> list[Envelope]:
    """Have somebody who has keys of an account, and nothing else, ask for messages; return what goes out."""
    database, record = Database(town.folder / "thief.db", PASSWORD), victim.messenger.account.record
    sessions = Sessions(database)
    number, pair = victim.database.rows("SELECT id, pair FROM own_prekey WHERE NOT one_time ORDER BY id DESC")[0]
    public = PrivatePair.from_bytes(pair).public
    agreed, begun = handshake.begin(account, Party(record, 1), Theirs(number, public))
    ends = (victim.user_id, 1, account.key_id, victim.messenger.account.key_id)
    sessions.add(Session(agreed.session_id, *ends, ratchet.begin(agreed.shared, public), begun), now=1)
    receipt = ReceiptContent(counter=0, ids=messages, log=NO_LOG, state="unopened")
    draft = Draft(Receipt, secrets.token_bytes(16), START_S)
    envelope = Suite2(sessions, OwnPrekeys(database)).encrypt(account, record, draft, pack(receipt))
    frames = delivered(victim, envelope)
    database.close()
    return [frame for frame in frames if isinstance(frame, Message)]


def test_what_was_written_to_a_former_identity_is_not_sealed_for_another(town: Town) -> None:
    """The person has accepted that one for what comes, and not for what was."""
    alice, bob = talked(town)
    bob.go_offline()
    secret = alice.write("bob", "for the old Bob only")
    other = create_record(town.keys[2], "bob", created=START_S + 5, suites=[1, 2])
    with alice.database.transaction():
        alice.messenger.contacts._offer(other)
    alice.accept("bob")
    assert asked_again(town, alice, Account("bob", town.keys[2], other), [secret]) == []


@pytest.mark.parametrize("days", [1, 200])
def test_a_thief_of_keys_does_not_get_last_year_s_messages_again(town: Town, days: int) -> None:
    """With a server that had kept the receipts back. What could still be under way, they get."""
    alice, bob = talked(town)
    town.inward = lambda frame: (
        [] if isinstance(frame, Delivery) and b'"sender_id":"bob"' in bytes(frame.envelope) else [frame]
    )
    messages = [alice.write("bob", f"secret {number}") for number in range(3)]
    assert [state(alice, each)[0] for each in messages] == ["accepted"] * 3
    town.world.pass_time(days * DAY)
    alice.go_offline()
    alice.go_online()
    bob.go_offline()
    assert len(asked_again(town, alice, bob.messenger.account, messages)) == (3 if days == 1 else 0)


def test_asking_again_while_there_is_no_link(town: Town) -> None:
    """What was held is released by a decision of the person, who is offline."""
    alice, bob = talked(town)
    message = alice.write("bob", "x")
    alice.database.run("UPDATE message SET state = 'accepted' WHERE id = ?", message)
    other = create_record(town.keys[2], "bob", created=START_S + 5, suites=[1, 2])
    with alice.database.transaction():
        alice.messenger.contacts._offer(other)
    with bob.database.transaction():
        bob.messenger.outbox.add_receipt(bob.messenger.outbox.new_id(town.now), "alice", [message], "unopened")
    bob.write("alice", "y")
    alice.go_offline()
    alice.messenger.decisions.keep("bob", now=town.now)
    assert state(alice, message) == ("queued", None)


# ---------------------------------------------------------------- hostile servers


def test_a_server_that_always_lacks_prekeys_gets_them_once(town: Town) -> None:
    alice = town.person("alice")
    held = PrekeysHeld(one_time=0, signed=0)
    assert alice.messenger.receive([held] * 20, now=town.now).frames == []
    town.inward = lambda frame: [held if isinstance(frame, PrekeysHeld) else frame]
    wire: list[Frame] = []

    def record(frame: Frame) -> list[Frame]:
        wire.append(frame)
        return [frame]

    town.outward = record
    alice.go_offline()
    alice.go_online()
    assert len([frame for frame in wire if isinstance(frame, PublishPrekeys)]) == 2  # a question, and a page
    assert alice.messenger.settled
    for _ in range(50):
        alice.go_offline()
        alice.go_online()
    assert (
        len(alice.database.rows("SELECT 1 FROM own_prekey WHERE one_time")) <= own_prekeys.MOST + own_prekeys.ONE_TIME
    )


def test_a_server_that_does_not_answer_keeps_no_prekey_alive(town: Town) -> None:
    bob = town.person("bob")
    town.inward = lambda frame: [] if isinstance(frame, PrekeysHeld) else [frame]
    for _ in range(10):
        town.world.pass_time(10 * DAY)
        bob.go_offline()
        bob.go_online()
    assert bob.database.rows("SELECT 1 FROM own_prekey WHERE NOT one_time") == []


# ---------------------------------------------------------------- accidents


def cross(town: Town, count: int) -> None:
    alice, bob = town.people["alice"], town.people["bob"]
    for number in range(count):
        for person, other in ((alice, "bob"), (bob, "alice")):
            _, output = person.messenger.writing.send_text(other, f"cross {number}", now=town.now)
            person.take(output)
        town.run()


def test_two_sessions_and_an_old_copy_of_one_side(town: Town) -> None:
    """Each answers in the session that the other cannot open; in the end there is a third."""
    alice, bob = town.person("alice"), town.person("bob")
    cross(town, 1)
    assert sessions(alice) == 2
    alice.go_offline()
    alice.database.close()
    copy = shutil.copy(alice.path, town.folder / "old.db")
    alice.open()
    alice.go_online()
    cross(town, 4)
    alice.go_offline()
    alice.database.close()
    shutil.copy(copy, alice.path)
    alice.open()
    alice.go_online()
    written = [(person, person.write(other, f"{person.user_id} {number}")) for number in range(3)
               for person, other in ((alice, "bob"), (bob, "alice"))]  # fmt: skip
    assert (alice.read[-1], bob.read[-1]) == ("bob 2", "alice 2")
    assert {state(person, message)[0] for person, message in written} == {"delivered"}
    assert set(bob.read) >= {"alice 0", "alice 1", "alice 2"}
    assert set(alice.read) >= {"bob 0", "bob 1", "bob 2"}


def test_one_loses_their_database_and_later_the_other_does(town: Town) -> None:
    alice, bob = talked(town)
    lose_database(alice)
    alice.go_online()
    alice.write("bob", "I am back")
    assert bob.read[-1] == "I am back"
    lose_database(bob)
    bob.go_online()
    messages = [alice.write("bob", f"message {number}") for number in range(3)]
    assert bob.read[-3:] == [f"message {number}" for number in range(3)]
    assert {state(alice, each)[0] for each in messages} == {"delivered"}


def test_prekeys_of_a_lost_database_are_not_handed_out(town: Town) -> None:
    _, bob = talked(town)
    lose_database(bob)
    bob.go_online()
    carol = town.person("carol")
    carol.write("bob", "hello")
    assert (bob.read[-1], bob.saw(MessageUnopened)) == ("hello", [])


def test_a_link_that_is_lost_between_new_keys_and_their_prekeys(town: Town) -> None:
    alice, bob = talked(town)
    town.outward = lambda frame: (
        [] if isinstance(frame, PublishPrekeys) or b'"sender_id":"bob"' in canonical(frame) else [frame]
    )
    rotate(bob)
    bob.go_offline()
    town.outward = lambda frame: [frame]
    message = alice.write("bob", "meanwhile")
    assert state(alice, message) == ("queued", None)
    bob.go_online()
    wait(alice)
    assert state(alice, message) == ("delivered", None)


def test_a_server_that_was_led_on_gets_prekeys_too(town: Town) -> None:
    alice, bob = talked(town)

    gone_back(town, lambda: rotate_and_leave(bob, 1))
    bob.go_online()
    assert town.world.store.prekeys.count_one_time(("bob", 1)) == own_prekeys.ONE_TIME
    carol = town.person("carol")
    assert state(carol, carol.write("bob", "hello")) == ("delivered", None)
    assert alice.saw(MessageUnopened) == []


# ---------------------------------------------------------------- suites


@pytest.fixture
def old_town(tmp_path: Path, some_keys: list[PrivateKeys]) -> Town:
    """Two who have talked under suite 1, before there was another."""
    town = Town(tmp_path, some_keys, Limits(stranger_pending=9), suites=(1,))
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "as it was")
    bob.write("alice", "as it was")
    town.suites = [1, 2]
    return town


def allow_suite_1(person: Person) -> None:
    person.messenger._parts.protection._minimum = 1


def test_an_old_contact_is_written_to_in_the_lower_suite_if_one_wants_that(old_town: Town) -> None:
    alice, bob = old_town.people["alice"], old_town.people["bob"]
    bob.restart()
    allow_suite_1(bob)
    bob.go_online()
    assert bob.messenger.account.record.suites == [1, 2]  # which moves up all the same
    wire = envelopes_on_the_wire(old_town)
    bob.write("alice", "hello?")
    assert ({envelope.suite for envelope in wire}, alice.read[-1]) == ({1}, "hello?")
    old_town.close()


def test_nothing_goes_out_while_the_server_does_not_take_the_identity_that_moves_up(old_town: Town) -> None:
    alice, bob = old_town.people["alice"], old_town.people["bob"]
    for person in (alice, bob):
        person.restart()
    alice.go_online()
    refusal = Refusal(code=Code.RATE_LIMITED, command="rotate", retry_after_s=9, subject="bob")
    old_town.inward = lambda frame: [refusal if isinstance(frame, Rotated) else frame]
    bob.go_online()
    message = bob.write("alice", "wait for it")
    assert state(bob, message) == ("queued", None)
    old_town.inward = lambda frame: [frame]
    bob.go_offline()
    bob.go_online()
    assert (state(bob, message), alice.read[-1]) == (("delivered", None), "wait for it")
    old_town.close()


def test_what_waits_in_the_lower_suite_when_somebody_moves_up(old_town: Town) -> None:
    alice, bob = old_town.people["alice"], old_town.people["bob"]
    bob.restart()
    bob.go_online()
    allow_suite_1(bob)
    alice.go_offline()
    bob.write("alice", "while she is old and away")
    alice.restart()
    alice.go_online()
    assert (alice.read[-1], alice.saw(EnvelopeRefused)) == ("while she is old and away", [])
    old_town.close()


def test_what_was_written_offline_while_both_move_up(old_town: Town) -> None:
    alice, bob = old_town.people["alice"], old_town.people["bob"]
    alice.go_offline()
    bob.restart()
    bob.go_online()
    alice.restart()
    message = alice.write("bob", "written offline")
    alice.go_online()
    assert (bob.read[-1], state(alice, message)) == ("written offline", ("delivered", None))
    old_town.close()


def test_a_contact_who_moves_up_is_written_to_at_once(old_town: Town) -> None:
    alice, bob = old_town.people["alice"], old_town.people["bob"]
    for person in (alice, bob):
        person.restart()
        person.go_online()
    messages = [(alice, alice.write("bob", "now both are new")), (bob, bob.write("alice", "yes"))]
    assert [state(*each) for each in messages] == [("delivered", None)] * 2
    old_town.close()


def test_the_lower_suite_for_one_contact_opens_no_door_to_others(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob")
    bob.write("alice", "first")
    bob.database.run("UPDATE contact SET suite = 1")  # as before her first answer
    allow_suite_1(bob)
    record: IdentityRecord = bob.messenger.account.record
    draft, text = Draft(Message, secrets.token_bytes(16), START_S), Text(counter=1, log=NO_LOG, text="in suite 1")
    delivered(bob, Suite1().encrypt(alice.messenger.account, record, draft, pack(text)))
    assert (bob.read, bob.saw(EnvelopeRefused)) == ([], [EnvelopeRefused("alice")])


def test_a_contact_who_stays_old_is_said_so(old_town: Town) -> None:
    bob = old_town.people["bob"]
    bob.restart()
    bob.go_online()
    assert state(bob, bob.write("alice", "hello")) == ("rejected", Code.OLD_CLIENT)
    old_town.close()


# ---------------------------------------------------------------- what is forgotten


def test_keys_of_messages_that_never_came_are_forgotten(town: Town) -> None:
    alice, bob = talked(town)
    town.inward = lambda frame: [] if isinstance(frame, Delivery) else [frame]
    alice.write("bob", "never comes")
    bob.go_offline()
    town.inward = lambda frame: [frame]
    alice.write("bob", "comes")
    bob.database.run("INSERT INTO seen SELECT 'alice', id, 0 FROM (SELECT x'00' AS id)")
    with bob.database.transaction():
        session = newest(bob)
        skipped = ratchet.Skipped(bytes(1216), 1, bytes(32))
        Sessions(bob.database).keep_received(session.id, session.state, [skipped], now=town.now)
    bob.go_online()
    assert len(bob.database.rows("SELECT 1 FROM skipped_key")) == 1
    town.world.pass_time(31 * DAY)
    bob.go_offline()
    bob.go_online()
    assert bob.database.rows("SELECT 1 FROM skipped_key") == []


def test_sessions_of_a_forgotten_identity_are_forgotten(town: Town) -> None:
    alice, bob = talked(town)
    bob.take(bob.messenger.rotate(now=town.now))
    town.run()
    alice.write("bob", "in another session")
    assert sessions(bob) == 2
    town.world.pass_time(36 * DAY)
    bob.go_offline()
    bob.go_online()
    assert sessions(bob) == 1


def test_a_receipt_is_sent_again_once(town: Town) -> None:
    alice, _ = talked(town)
    receipts: list[Envelope] = []

    def lose_the_session(frame: Frame) -> list[Frame]:
        if isinstance(frame, Receipt) and frame.sender_id == "bob":
            receipts.append(frame)
            alice.database.run("DELETE FROM session")
            alice.database.run("DELETE FROM own_prekey")
        return [frame]

    town.outward = lose_the_session
    alice.write("bob", "its receipt never opens")
    assert 2 <= len(receipts) <= 6
    assert alice.messenger.settled


def test_contacts_who_are_gone_do_not_hold_up_new_keys(town: Town) -> None:
    alice, bob = talked(town)
    carol = town.person("carol")
    alice.write("carol", "hello")
    carol.take(carol.messenger.erase_account("carol", now=town.now))
    town.run()
    alice.take(alice.messenger.rotate(now=town.now))
    town.run()
    assert alice.messenger.told
    assert bob.saw(MessageUnopened) == []
