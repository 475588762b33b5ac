"""Whole conversations without a socket: two engines, a relay, and a wire that loses, doubles and reorders."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import pytest

from canonical_json import canonical, without
from crypto_utils import Label, PrivateKeys, encode_base64, sign
from errors import Code, ExitCode, UntrustedKeyError, UsageError
from identity import create_record, identity_hash, key_id
from messenger.contacts import Trust
from messenger.content import MAX_TEXT, NO_LOG, ReceiptContent, Text, pack
from messenger.events import (
    ContactPinned,
    EnvelopeRefused,
    IdentityChanged,
    LogAlarm,
    LoginRefused,
    MessageReceived,
    MessagesMissing,
    Online,
    StateChanged,
)
from messenger.log_watch import NOT_GROWN
from messenger.suites.draft import Draft
from messenger.suites.suite1 import Suite1
from protocol import (
    Accepted,
    Acknowledge,
    Delivery,
    Envelope,
    Frame,
    Identity,
    Message,
    Receipt,
    Rejected,
    decode_envelope,
)
from records import IdentityRecord
from relay.limits import DAY, Limits, Rate
from tests.messenger.people import Person, Town
from tests.oracle import figures, judge
from tests.trial import Trial


@pytest.fixture
def pair(town: Town) -> tuple[Person, Person]:
    return town.person("alice"), town.person("bob")


def forged(
    sender: Person, recipient: Person, content: Text | ReceiptContent, kind: type[Message | Receipt] = Message
) -> Envelope:
    """Seal any content, as a client that was changed would."""
    return Suite1().encrypt(
        sender.account, recipient.account.record, Draft(kind, os.urandom(16), 1_700_000_000), pack(content)
    )


def push(recipient: Person, *envelopes: Envelope) -> None:
    """Deliver envelopes as a server that was changed would."""
    for number, envelope in enumerate(envelopes):
        delivery = Delivery(envelope=msgspec.Raw(canonical(envelope)), sequence=1000 + number)
        recipient.take(recipient.messenger.receive([delivery], now=recipient.town.now))
    recipient.town.run()


# ---------------------------------------------------------------- talking


def test_a_message_an_answer_and_their_receipts(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    first = alice.write("bob", "hello")
    second = bob.write("alice", "hi")
    assert (bob.read, alice.read) == (["hello"], ["hi"])
    assert (alice.state(first), bob.state(second)) == ("delivered", "delivered")
    assert [event.state for event in alice.saw(StateChanged) if isinstance(event, StateChanged)] == [
        "accepted", "delivered",
    ]  # fmt: skip
    assert alice.messenger.settled
    assert bob.messenger.settled


def test_a_receipt_names_the_one_who_received(pair: tuple[Person, Person]) -> None:
    """The seed's failure 34."""
    alice, _ = pair
    alice.write("bob", "hello")
    assert {event.peer for event in alice.saw(StateChanged) if isinstance(event, StateChanged)} == {"bob"}


@pytest.mark.parametrize("size", [1, 255, 1450, 1700, MAX_TEXT])
def test_texts_of_all_sizes_arrive(pair: tuple[Person, Person], size: int) -> None:
    """The seed's failure 22: above 1,450 bytes nothing arrived."""
    alice, bob = pair
    text = "x" + "".join(random.Random(size).choices("abcdefgh ijklm\n", k=size - 1))
    alice.write("bob", text)
    assert bob.read == [text]


def test_offline_messages_wait_in_order(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob", away=True)
    sent = [f"number {number}" for number in range(200)]
    for text in sent:
        alice.write("bob", text)
    bob.go_online()
    assert bob.read == sent
    assert bob.saw(MessagesMissing) == []
    assert bob.messenger.settled


def test_what_is_written_offline_goes_out_later_and_survives_a_restart(town: Town) -> None:
    alice, bob = town.person("alice", away=True), town.person("bob")
    ids = [alice.write("bob", text) for text in ("one", "two", "three")]
    assert {alice.state(message_id) for message_id in ids} == {"queued"}
    alice.restart()
    alice.go_online()
    assert bob.read == ["one", "two", "three"]
    assert {alice.state(message_id) for message_id in ids} == {"delivered"}
    assert alice.messenger.outbox.count_messages() == 0


def test_a_receipt_finds_a_sender_who_was_away(town: Town) -> None:
    """The seed's failure 30."""
    alice, bob = town.person("alice"), town.person("bob", away=True)
    message = alice.write("bob", "hello")
    alice.go_offline()
    bob.go_online()
    assert alice.state(message) == "accepted"
    alice.go_online()
    assert alice.state(message) == "delivered"


def test_a_message_is_not_acknowledged_before_it_was_shown(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    bob.looks = False
    message = alice.write("bob", "hello")
    assert not bob.messenger.settled
    bob.restart()  # killed between storing and showing
    assert bob.read == ["hello", "hello"]  # told again, because it was never shown
    assert alice.state(message) == "accepted"
    bob.looks = True
    bob.restart()
    bob.go_online()
    assert alice.state(message) == "delivered"
    before = len(bob.read)
    bob.restart()
    bob.go_online()
    assert len(bob.read) == before


def test_a_redelivery_while_the_first_is_on_its_way_to_the_screen_is_one_message(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    bob.looks = False
    alice.write("bob", "hello")
    bob.go_offline()
    bob.go_online()
    assert bob.read == ["hello"]
    (event,) = bob.saw(MessageReceived)
    assert isinstance(event, MessageReceived)
    bob.take(bob.messenger.shown([(event.peer, event.id)], now=bob.town.now))
    bob.town.run()
    assert bob.messenger.settled
    bob.restart()
    bob.go_online()
    assert bob.read == ["hello"]


# ---------------------------------------------------------------- refusals


def test_unknown_recipients_are_told_to_the_sender(pair: tuple[Person, Person]) -> None:
    alice, _ = pair
    ids = [alice.write("nobody", "hello"), alice.write("nobody", "hello?")]
    assert [alice.messenger.history.state(one) for one in ids] == [("rejected", Code.UNKNOWN_USER)] * 2
    assert alice.messenger.settled


def test_the_third_pending_message_of_a_stranger_is_told_to_the_sender(
    tmp_path: Path, some_keys: list[PrivateKeys]
) -> None:
    """The seed's failure 23; and the gap that it leaves is closed by the next message."""
    town = Town(tmp_path, some_keys, Limits())
    alice, bob = town.person("alice"), town.person("bob", away=True)
    states = [alice.state(alice.write("bob", text)) for text in ("one", "two", "three", "four")]
    assert states == ["accepted", "accepted", "rejected", "rejected"]
    bob.go_online()
    bob.write("alice", "now I know you")
    alice.write("bob", "five")
    assert bob.read == ["one", "two", "five"]
    assert bob.saw(MessagesMissing) == []
    town.close()


def test_a_receipt_that_finds_a_full_mailbox_is_kept_for_later(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    town = Town(tmp_path, some_keys, Limits(mailbox_limit=1, stranger_pending=9))
    alice, bob, carol = town.person("alice"), town.person("bob", away=True), town.person("carol")
    message = alice.write("bob", "hello")
    alice.go_offline()
    carol.write("alice", "in the way")
    bob.go_online()
    alice.go_online()
    assert alice.state(message) == "accepted"
    bob.go_offline()
    bob.go_online()
    assert alice.state(message) == "delivered"
    town.close()


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (MAX_TEXT + 1), "é" * (MAX_TEXT // 2 + 1), "a\ud800"])
def test_texts_that_cannot_be_sent_are_refused_before_anything_happens(pair: tuple[Person, Person], text: str) -> None:
    alice, _ = pair
    with pytest.raises(UsageError):
        alice.messenger.writing.send_text("bob", text, now=1)
    assert alice.messenger.outbox.count_messages() == 0


def test_nobody_writes_to_themselves(pair: tuple[Person, Person]) -> None:
    with pytest.raises(UsageError, match="your own"):
        pair[0].write("alice", "hello")


def test_a_login_that_is_refused_is_told(town: Town) -> None:
    town.person("bob")
    stranger = Person(town, "stranger", 2)
    town.people["stranger"] = stranger
    stranger.go_online()
    assert stranger.events == [LoginRefused(Code.UNKNOWN_ACCOUNT, 0)]
    assert not stranger.messenger.online


def test_a_message_that_was_never_fetched_expires(town: Town) -> None:
    alice, _ = town.person("alice"), town.person("bob", away=True)
    message = alice.write("bob", "hello")
    town.world.pass_time(31 * DAY)
    alice.go_offline()
    alice.go_online()
    assert alice.state(message) == "expired"


def test_what_the_relay_puts_off_is_repeated(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob")
    answered: list[int] = []

    def refuse_once(frame: Frame) -> list[Frame]:
        if isinstance(frame, Accepted) and not answered:
            answered.append(1)
            return [Rejected(code=Code.RATE_LIMITED, id=frame.ids[0])]
        return [frame]

    town.inward = refuse_once
    message = alice.write("bob", "hello")
    assert alice.state(message) in {"queued", "delivered"}
    alice.tick()
    assert len(bob.read) == 1
    town.world.pass_time(6)
    alice.tick()
    assert alice.state(message) == "delivered"
    assert bob.read == ["hello"]


def test_look_ups_that_were_put_off_are_repeated(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    town = Town(tmp_path, some_keys, Limits(lookups=Rate(burst=1, every_s=10)))
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("nobody", "this takes the only token")
    message = alice.write("bob", "hello")
    assert alice.state(message) == "queued"
    bob.write("alice", "bob's own token")
    assert alice.read == []
    town.world.pass_time(12)
    alice.tick()
    assert alice.state(message) == "delivered"
    assert alice.read == ["bob's own token"]
    town.close()


# ---------------------------------------------------------------- a wire with faults


def break_something(town: Town, chance: random.Random) -> None:
    """Lose what is on its way: after some frames have arrived, the relay or somebody crashes, or a link ends."""
    for _ in range(min(chance.randrange(20), len(town.to_relay))):
        town._relay(*town.to_relay.popleft())
    victim = chance.choice(list(town.people.values()))
    chance.choice([town.crash, victim.restart, victim.restart, victim.go_offline])()
    for person in town.people.values():
        if person.link is None:
            person.go_online()


def test_frames_that_are_doubled_delayed_or_lost_with_their_link(town: Town, trial: Trial) -> None:
    """R-05: also sent again after a lost reply, across crashes of each of the three."""
    chance, count = trial.random, trial.size(2_000, 20_000)
    alice, bob = town.person("alice"), town.person("bob")
    late: list[Frame] = []

    def double(frame: Frame) -> list[Frame]:
        """Let some come twice at once, and some of earlier come again, over whatever link there is now."""
        frames = [frame] * (2 if isinstance(frame, Envelope | Delivery | Acknowledge) and chance.random() < 0.1 else 1)
        if isinstance(frame, Envelope | Delivery | Acknowledge) and chance.random() < 0.1:
            late.append(frame)
        if late and type(late[0]) is type(frame) and chance.random() < 0.2:
            frames.append(late.pop(0))
        return frames

    town.outward = town.inward = double
    sent = []
    for number in range(count):
        sent.append(f"number {number}")
        _, output = alice.messenger.writing.send_text("bob", sent[-1], now=town.now)
        alice.take(output)
        if chance.random() < 0.02:
            break_something(town, chance)
        elif chance.random() < 0.3:
            town.run()
    town.run()
    for person in (alice, bob):
        person.go_offline()
        person.go_online()
    verdict = judge(sent=sent, accepted=sent, shown=bob.read)
    trial.note(**figures(verdict))
    assert verdict.kept, verdict
    assert alice.messenger.settled
    assert bob.messenger.settled
    assert bob.saw(MessagesMissing) == []


@pytest.mark.suite_1
def test_a_gap_shows_with_the_next_message(pair: tuple[Person, Person]) -> None:
    """G4: the server withholds a message."""
    alice, bob = pair
    alice.write("bob", "one")
    envelopes = [forged(alice, bob, Text(counter=counter, log=NO_LOG, text=str(counter))) for counter in (2, 3, 4)]
    push(bob, envelopes[2])
    assert bob.events[-2:] == [MessagesMissing("alice", 2), bob.saw(MessageReceived)[-1]]
    push(bob, envelopes[0], envelopes[1])  # late, and shown all the same, without another alarm
    assert bob.read == ["one", "4", "2", "3"]
    assert len(bob.saw(MessagesMissing)) == 1


@pytest.mark.suite_1
def test_a_withheld_tail_shows_with_the_next_receipt(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    alice.write("bob", "one")
    message = bob.write("alice", "answer")
    receipt = ReceiptContent(counter=3, ids=[message], log=NO_LOG, state="delivered")
    push(bob, forged(alice, bob, receipt, Receipt))
    assert bob.saw(MessagesMissing) == [MessagesMissing("alice", 2)]


# ---------------------------------------------------------------- a hostile server


def test_a_replay_is_shown_once(town: Town, trial: Trial) -> None:
    """R-06, attack row 3: same link, new link, other account, after a restart of each; by the server and by others."""
    alice, bob, carol = town.person("alice"), town.person("bob"), town.person("carol")
    recorded: list[Delivery] = []

    def record(frame: Frame) -> list[Frame]:
        if isinstance(frame, Delivery) and b'"type":"message"' in bytes(frame.envelope):
            recorded.append(frame)
        return [frame]

    town.inward = record
    sent = [f"number {number}" for number in range(10)]
    for text in sent:
        alice.write("bob", text)
    town.inward = lambda frame: [frame]
    for replay in range(trial.size(10_000, 50_000)):
        delivery = trial.random.choice(recorded)
        if replay % 500 == 0:
            trial.random.choice([bob.restart, carol.restart, town.crash])()
            for person in town.people.values():
                if person.link is None:
                    person.go_online()
        if replay % 2:
            later = town.now + trial.random.randrange(400 * DAY)
            bob.take(bob.messenger.receive([delivery], now=later))  # the server's doing
        else:
            link = trial.random.choice([alice.link, carol.link])
            assert link is not None
            town.to_relay.append((link, decode_envelope(delivery.envelope)))  # somebody else's
        town.run()
    verdict = judge(sent=sent, accepted=sent, shown=bob.read)
    trial.note(**figures(verdict))
    assert verdict.kept, verdict
    assert carol.read == []


def test_an_envelope_for_somebody_else_is_refused(town: Town) -> None:
    """Attack row 1: the server hands A's message for B to C; also with the address changed."""
    alice, bob, carol = town.person("alice"), town.person("bob"), town.person("carol")
    carol.write("alice", "so that alice is known")
    alice.write("carol", "and answered")
    envelope = forged(alice, bob, Text(counter=1, log=NO_LOG, text="for bob"))
    readdressed = msgspec.structs.replace(envelope, recipient_id="carol", recipient_key=key_id(carol.account.record))
    push(carol, envelope, readdressed)
    assert carol.read == ["and answered"]
    assert carol.saw(EnvelopeRefused) == [EnvelopeRefused("alice")] * 2


def test_a_signature_cannot_be_replaced(town: Town) -> None:
    """Attack row 2: Mallory signs Alice's ciphertext as her own; the wrapped key does not open."""
    alice, bob, mallory = town.person("alice"), town.person("bob"), town.person("mallory")
    mallory.write("bob", "hello, I am Mallory")
    envelope = forged(alice, bob, Text(counter=1, log=NO_LOG, text="my idea"))
    stolen = msgspec.structs.replace(envelope, sender_id="mallory", sender_key=mallory.account.key_id)
    signature = sign(mallory.account.keys.rsa, Label.ENVELOPE_1, without(stolen, "signature"))
    push(bob, msgspec.structs.replace(stolen, signature=encode_base64(signature)))
    assert bob.read == ["hello, I am Mallory"]
    assert bob.saw(EnvelopeRefused) == [EnvelopeRefused("mallory")]


def test_an_own_envelope_sent_back_is_refused(pair: tuple[Person, Person]) -> None:
    """Attack row 5."""
    alice, bob = pair
    push(alice, forged(alice, bob, Text(counter=1, log=NO_LOG, text="back to you")))
    assert alice.read == []
    assert alice.saw(EnvelopeRefused) == [EnvelopeRefused("alice")]


def test_every_flipped_bit_of_an_envelope_is_refused(
    pair: tuple[Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R-19, attack row 6: refused before anything is decrypted, and all alike."""
    alice, bob = pair
    alice.write("bob", "so that alice is known")
    data = canonical(forged(alice, bob, Text(counter=2, log=NO_LOG, text="x")))
    opened: list[int] = []
    monkeypatch.setattr("messenger.suites.suite1.open_sealed", lambda *_: opened.append(1))
    for place in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        delivery = Delivery(envelope=msgspec.Raw(bytes(flipped)), sequence=place + 1)
        bob.take(bob.messenger.receive([delivery], now=bob.town.now))
        bob.messenger._parts.line.present.asked.clear()  # look-ups of names that the flip made up
        for name in bob.messenger._parts.inbox.unknown_senders:
            bob.messenger._parts.inbox.identity_unknown(name)
    assert not opened
    assert len(bob.saw(EnvelopeRefused)) + len(bob.messenger._parts.inbox.events) == len(data) * 8
    assert bob.read == ["so that alice is known"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (Text(counter=1, log=NO_LOG, text="x"), Receipt),
        (ReceiptContent(counter=0, ids=[bytes(16)], log=NO_LOG, state="delivered"), Message),
    ],
    ids=["a text as a receipt", "a receipt as a text"],
)
def test_inside_and_outside_must_agree(
    pair: tuple[Person, Person], content: Text | ReceiptContent, kind: type[Message | Receipt]
) -> None:
    alice, bob = pair
    alice.write("bob", "hello")
    push(bob, forged(alice, bob, content, kind))
    assert bob.read == ["hello"]
    assert bob.saw(EnvelopeRefused) == [EnvelopeRefused("alice")]


def test_a_receipt_for_somebody_elses_message_changes_nothing(town: Town) -> None:
    """Attack row 37."""
    alice, bob, carol = town.person("alice"), town.person("bob", away=True), town.person("carol")
    carol.write("alice", "hello")
    message = alice.write("bob", "hello")
    push(
        alice,
        forged(
            carol,
            alice,
            ReceiptContent(counter=1, ids=[message, os.urandom(16)], log=NO_LOG, state="delivered"),
            Receipt,
        ),
    )
    assert alice.state(message) == "accepted"
    assert bob.read == []


def test_no_receipt_for_what_could_not_be_verified(pair: tuple[Person, Person]) -> None:
    """Attack rows 7 and 36."""
    alice, bob = pair
    alice.write("bob", "hello")
    sent: list[Frame] = []
    bob.town.outward = lambda frame: [sent.append(frame) or frame]  # type: ignore[func-returns-value]
    broken = msgspec.structs.replace(
        forged(alice, bob, Text(counter=2, log=NO_LOG, text="x")), signature=encode_base64(bytes(256))
    )
    push(bob, broken)
    assert [type(frame) for frame in sent] == [Acknowledge]


def test_an_envelope_that_is_none_is_passed_over(pair: tuple[Person, Person]) -> None:
    _, bob = pair
    delivery = Delivery(envelope=msgspec.Raw(b'{"type":"ping"}'), sequence=5)
    output = bob.messenger.receive([delivery], now=1)
    assert output.frames == [Acknowledge(sequences=[5])]
    assert output.events == [EnvelopeRefused("?")]


def test_a_sender_whom_the_directory_does_not_know_is_refused(town: Town) -> None:
    bob = town.person("bob")
    ghost = Person(town, "ghost", 2)
    push(
        bob,
        forged(ghost, bob, Text(counter=1, log=NO_LOG, text="boo")),
        forged(ghost, bob, Text(counter=2, log=NO_LOG, text="boo")),
    )
    assert bob.saw(EnvelopeRefused) == [EnvelopeRefused("ghost")] * 2
    assert bob.messenger.settled
    ghost.database.close()


# ---------------------------------------------------------------- a changed identity


def another(person: Person, keys: PrivateKeys) -> IdentityRecord:
    return create_record(keys, person.user_id, created=1_700_000_001, suites=[1])


def substitute(victim: Person, record: IdentityRecord) -> None:
    """Have the server hand out another record."""
    victim.town.inward = lambda frame: [
        victim.told([record])
        if isinstance(frame, Identity) and frame.records[0].user_id == record.user_id
        else Rejected(code=Code.KEY_CHANGED, id=frame.ids[0])
        if isinstance(frame, Accepted)
        else frame
    ]


def test_a_key_that_changes_stops_everything_until_the_person_decides(pair: tuple[Person, Person]) -> None:
    """R-34, attack row 17."""
    alice, bob = pair
    alice.write("bob", "hello")
    bob.write("alice", "hi")
    new = another(bob, alice.town.keys[2])
    substitute(alice, new)
    message = alice.write("bob", "secret")
    assert alice.state(message) == "identity-changed"
    assert alice.saw(IdentityChanged) == [IdentityChanged("bob")]
    contact = alice.messenger.contacts.find("bob")
    assert contact is not None
    assert contact.trust is Trust.CHANGED
    with pytest.raises(UntrustedKeyError) as raised:
        alice.write("bob", "secret")
    assert raised.value.exit_code is ExitCode.UNTRUSTED
    assert alice.messenger.outbox.count_messages() == 0
    alice.restart()
    with pytest.raises(UntrustedKeyError):
        alice.write("bob", "secret")


@pytest.mark.suite_1
def test_what_comes_from_a_changed_key_waits_for_the_decision(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    bob.write("alice", "hi")
    impostor = Person(alice.town, "bob", 1)
    object.__setattr__(impostor.account, "keys", alice.town.keys[2])
    object.__setattr__(impostor.account, "record", another(bob, alice.town.keys[2]))
    alice.town.inward = lambda frame: [alice.told([impostor.account.record]) if isinstance(frame, Identity) else frame]
    push(
        alice,
        forged(impostor, alice, Text(counter=2, log=NO_LOG, text="new phone")),
        forged(bob, alice, Text(counter=2, log=NO_LOG, text="old")),
    )
    assert alice.read == ["hi"]
    assert alice.saw(IdentityChanged) == [IdentityChanged("bob")]
    alice.restart()
    alice.go_online()
    alice.accept("bob")
    assert alice.read[-1] == "new phone"
    assert EnvelopeRefused("bob") in alice.events  # the one by the key that was given up
    assert "old" not in alice.read
    with pytest.raises(UsageError, match="nothing to decide"):
        alice.accept("bob")
    impostor.database.close()


def test_a_new_identity_is_counted_with_anew(town: Town) -> None:
    """Bob lost everything and the server its accounts: nothing is missing between Alice and the new Bob."""
    alice, old = town.person("alice"), town.person("bob")
    for text in ("one", "two", "three"):
        alice.write("bob", text)
        old.write("alice", text)
    town.crash()
    town.world.close()
    old.database.close()
    for path in [*town.folder.glob("relay.db*"), *town.folder.glob("bob.db*")]:
        path.unlink()
    town.world.open()
    town.world.register("alice", 0)
    bob = town.person("bob")
    alice.go_online()
    assert alice.saw(LogAlarm) == [LogAlarm(NOT_GROWN)]  # to the key log it looks like a lie
    alice.take(alice.messenger.forget_log(now=alice.town.now))  # the operator has said why
    alice.town.run()
    assert alice.saw(IdentityChanged) == [IdentityChanged("bob")]  # before anything is sent
    alice.accept("bob")
    assert alice.state(alice.write("bob", "hello again")) == "delivered"
    bob.write("alice", "I lost my phone")
    assert not alice.saw(MessagesMissing)
    assert not bob.saw(MessagesMissing)
    town.outward = lambda frame: [] if isinstance(frame, Message) else [frame]
    bob.write("alice", "withheld")
    town.outward = lambda frame: [frame]
    bob.messenger.outbox.remove(bob.messenger.outbox.waiting(after=0, limit=1)[0].id)
    bob.write("alice", "and this is not")
    assert alice.saw(MessagesMissing) == [MessagesMissing("bob", 1)]


@pytest.mark.suite_1
def test_the_remembered_key_can_be_kept(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    bob.write("alice", "hi")
    bob.looks = False
    alice.write("bob", "hello")
    substitute(alice, another(bob, alice.town.keys[2]))
    alice.write("bob", "secret")
    alice.town.inward = lambda frame: [frame]
    push(alice, forged(bob, alice, Text(counter=2, log=NO_LOG, text="it is still me")))
    assert alice.read == ["hi"]
    alice.take(alice.messenger.decisions.keep("bob", now=alice.town.now))
    alice.town.run()
    assert alice.read == ["hi", "it is still me"]
    bob.looks = True
    assert alice.state(alice.write("bob", "good")) == "delivered"
    alice.go_offline()
    alice.go_online()  # and reads the log again, in which the other key is the latest
    assert alice.saw(IdentityChanged) == [IdentityChanged("bob")]
    assert alice.state(alice.write("bob", "still good")) == "delivered"
    declined = identity_hash(another(bob, alice.town.keys[2]))
    assert alice.messenger.contacts.was_declined("bob", declined)
    substitute(alice, another(bob, alice.town.keys[2]))
    alice.write("bob", "once more")
    alice.accept("bob")  # the person has thought better of it
    assert not alice.messenger.contacts.was_declined("bob", declined)


def test_not_even_a_receipt_goes_to_a_changed_key(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    alice.write("bob", "hello")
    alice.looks = False
    message = bob.write("alice", "hi")
    substitute(alice, another(bob, alice.town.keys[2]))
    alice.write("bob", "secret")
    alice.town.inward = lambda frame: [frame]
    alice.take(alice.messenger.shown([("bob", alice.saw(MessageReceived)[0].id)], now=1))
    alice.town.run()
    assert bob.state(message) == "accepted"
    alice.take(alice.messenger.decisions.keep("bob", now=alice.town.now))
    alice.town.run()
    assert bob.state(message) == "delivered"


def test_an_envelope_that_names_a_key_nobody_published_is_refused(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    bob.write("alice", "hi")
    envelope = msgspec.structs.replace(forged(bob, alice, Text(counter=2, log=NO_LOG, text="x")), sender_key=bytes(16))
    push(alice, envelope)
    assert alice.read == ["hi"]
    assert alice.saw(EnvelopeRefused) == [EnvelopeRefused("bob")]
    assert alice.saw(IdentityChanged) == []


def test_a_server_that_only_claims_a_change_gets_nothing_sealed_anew(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    alice.write("bob", "hello")
    alice.town.inward = lambda frame: [
        Rejected(code=Code.KEY_CHANGED, id=frame.ids[0]) if isinstance(frame, Accepted) else frame
    ]
    message = alice.write("bob", "secret")
    assert alice.messenger.history.state(message) in {("rejected", Code.KEY_CHANGED), ("delivered", None)}
    assert alice.saw(IdentityChanged) == []
    assert alice.messenger.settled
    assert bob.read[0] == "hello"


def test_a_record_that_is_not_signed_is_not_pinned(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    bad = msgspec.structs.replace(bob.account.record, created=5)
    alice.town.inward = lambda frame: [alice.told([bad]) if isinstance(frame, Identity) else frame]
    message = alice.write("bob", "hello")
    assert alice.messenger.history.state(message) == ("rejected", Code.INVALID_RECORD)
    assert alice.messenger.contacts.find("bob") is None


def test_a_record_that_nobody_asked_for_is_passed_over(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    alice.take(alice.messenger.receive([alice.told([bob.account.record])], now=1))
    assert alice.messenger.contacts.find("bob") is None
    assert alice.saw(ContactPinned) == []


def test_a_suite_only_rises(pair: tuple[Person, Person]) -> None:
    """Attack row 18: neither what comes nor what goes out is ever under a lower one again."""
    alice, bob = pair
    alice.write("bob", "hello")
    bob.write("alice", "hi")
    push(bob, forged(alice, bob, Text(counter=2, log=NO_LOG, text="by the lower suite")))
    assert bob.read == ["hello"]
    contact = bob.messenger.contacts.find("alice")
    assert contact is not None
    assert contact.suite == 2
    with bob.database.transaction():
        bob.messenger.contacts.note_opened("alice", suite=3, counter=0)  # as a later program would
    message = bob.write("alice", "to the lower suite")
    assert bob.messenger.history.state(message) == ("rejected", Code.OLD_CLIENT)


def test_the_events_of_a_first_day(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    alice.write("bob", "hello")
    assert [type(event) for event in alice.events] == [Online, ContactPinned, StateChanged, StateChanged]
    assert [type(event) for event in bob.events] == [Online, ContactPinned, MessageReceived]
