"""Suite 2 between engines: sessions that begin, cross, break and heal, without a person repairing anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from crypto_utils import PrivateKeys
from errors import Code, CryptoError
from key_agreement import PrivatePair
from messenger.beginnings import AGAIN_S, TOO_OLD_S
from messenger.contacts import Trust
from messenger.database import Database
from messenger.events import EnvelopeRefused, IdentityRotated, MessagesMissing, MessageUnopened, SentAgain
from messenger.suites import own_prekeys
from messenger.suites.own_prekeys import RENEWED_S, OwnPrekeys
from messenger.suites.sessions import Sessions
from messenger.suites.suite2 import Suite2
from prekeys import create_one_time_prekey, create_signed_prekey
from protocol import Delivery, Envelope, FetchPrekeys, Frame, Message, Prekeys, Refusal, decode_envelope
from relay.limits import Limits, Rate
from tests.messenger.people import PASSWORD, Person, Town


def calm(*people: Person) -> None:
    """Nothing went wrong, and nothing is under way."""
    for person in people:
        assert [*person.saw(EnvelopeRefused), *person.saw(MessageUnopened), *person.saw(MessagesMissing)] == []
        assert person.messenger.settled


def wait(person: Person) -> None:
    """Let the time pass after which somebody without prekeys is asked for them again."""
    person.town.world.pass_time(AGAIN_S)
    person.tick()


def state(person: Person, message: bytes) -> tuple[str, Code | None]:
    return person.messenger.history.state(message)


def sessions(person: Person) -> int:
    return len(person.database.rows("SELECT 1 FROM session"))


def envelopes_on_the_wire(town: Town) -> list[Envelope]:
    """Record what goes to the relay from now on."""
    recorded: list[Envelope] = []

    def record(frame: Frame) -> list[Frame]:
        if isinstance(frame, Envelope):
            recorded.append(frame)
        return [frame]

    town.outward = record
    return recorded


# ---------------------------------------------------------------- sessions begin


def test_two_talk(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob")
    wire = envelopes_on_the_wire(town)
    messages = [alice.write("bob", "one"), alice.write("bob", "two")]
    bob.write("alice", "three")
    messages.append(alice.write("bob", "four"))
    assert bob.read == ["one", "two", "four"]
    assert alice.read == ["three"]
    assert [state(alice, each) for each in messages] == [("delivered", None)] * 3
    assert {envelope.suite for envelope in wire} == {2}
    assert (sessions(alice), sessions(bob)) == (1, 1)
    calm(alice, bob)


def test_somebody_who_is_away_is_written_to(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob", away=True)
    for text in ("one", "two", "three"):
        alice.write("bob", text)
    alice.restart()
    bob.go_online()
    assert bob.read == ["one", "two", "three"]
    alice.go_online()
    calm(alice, bob)


def test_the_handshake_goes_along_until_there_is_an_answer(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob", away=True)
    wire = envelopes_on_the_wire(town)
    alice.write("bob", "one")
    alice.write("bob", "two")
    bob.go_online()
    alice.write("bob", "three")
    sizes = [len(envelope.encrypted_aes_key) for envelope in wire if envelope.sender_id == "alice"]
    assert sizes[0] == sizes[1] > 2 * sizes[-1]


def test_texts_of_up_to_256_bytes_have_one_size(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "so that there is a session, and an answer")
    wire = envelopes_on_the_wire(town)
    for text in ("x", "y" * 100, "z" * 256):
        alice.write("bob", text)
    assert len({len(each.encoded) for each in wire if isinstance(each, Message)}) == 1
    assert len(bob.read) == 4


def test_both_begin_at_the_same_moment(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob")
    for person, other in ((alice, "bob"), (bob, "alice")):
        _, output = person.messenger.writing.send_text(other, f"{person.user_id} first", now=town.now)
        person.take(output)
    town.run()
    assert (alice.read, bob.read) == (["bob first"], ["alice first"])
    for _ in range(3):
        alice.write("bob", "and on")
        bob.write("alice", "and on")
    assert (sessions(alice), sessions(bob)) == (2, 2)
    assert len(alice.read) == len(bob.read) == 4
    calm(alice, bob)


def test_one_time_prekeys_run_out_and_are_replaced(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob")
    count = town.world.store.prekeys.count_one_time
    assert count(("bob", 1)) == own_prekeys.ONE_TIME
    with town.world.store.transaction():
        while town.world.store.prekeys.take_one_time(("bob", 1)):
            pass
    alice.write("bob", "with the signed one alone")
    assert bob.read == ["with the signed one alone"]
    bob.go_offline()
    bob.go_online()
    assert count(("bob", 1)) == own_prekeys.ONE_TIME
    with town.world.store.transaction():
        for _ in range(own_prekeys.ONE_TIME - own_prekeys.FEW):
            town.world.store.prekeys.take_one_time(("bob", 1))
    bob.go_offline()
    bob.go_online()
    assert count(("bob", 1)) == own_prekeys.FEW  # enough
    calm(alice, bob)


def test_a_signed_prekey_is_renewed_weekly_and_the_former_still_opens(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob", away=True)
    alice.write("bob", "with the first")  # begun, and waiting
    town.world.pass_time(RENEWED_S + 1)
    bob.go_online()
    assert bob.read == ["with the first"]
    carol = town.person("carol")
    carol.write("bob", "with the second")
    assert bob.read[-1] == "with the second"
    signed = bob.database.rows("SELECT id FROM own_prekey WHERE NOT one_time")
    assert len(signed) == 2
    first = signed[0]
    for _ in range(6):  # by itself on a link that lasts
        town.world.pass_time(RENEWED_S)
        bob.tick()
    assert first not in bob.database.rows("SELECT id FROM own_prekey WHERE NOT one_time")
    assert len(bob.database.rows("SELECT id FROM own_prekey WHERE NOT one_time")) == 4  # a month of them
    calm(alice, bob, carol)


def test_a_one_time_prekey_is_forgotten_with_its_use(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob")
    before = len(bob.database.rows("SELECT 1 FROM own_prekey WHERE one_time"))
    alice.write("bob", "hello")
    assert len(bob.database.rows("SELECT 1 FROM own_prekey WHERE one_time")) == before - 1


# ---------------------------------------------------------------- what the server hands out


def handed_out(town: Town, change: Callable[[Prekeys], Frame]) -> None:
    """Have the server answer with other prekeys."""
    town.inward = lambda frame: [change(frame) if isinstance(frame, Prekeys) else frame]


def of_another(town: Town, person: Person, keys: PrivateKeys) -> Prekeys:
    record = person.messenger.account.record
    pair = PrivatePair.generate().public
    return Prekeys(
        one_time=[create_one_time_prekey(keys, record, pair, device_id=1, number=1)],
        signed=create_signed_prekey(keys, record, pair, device_id=1, number=1, created=town.now),
    )


@pytest.mark.parametrize(
    "lie", ["signed by another", "one-time signed by another", "changed", "too old", "of another device", "hidden"]
)
def test_prekeys_that_are_not_the_contact_s_own_and_fresh_are_refused(town: Town, lie: str) -> None:
    """Attacks 18 and 19: nothing goes out, and nothing goes out in a lower suite."""
    alice, bob, carol = town.person("alice"), town.person("bob"), town.person("carol")
    alice.write("carol", "not touched by it")
    wire = envelopes_on_the_wire(town)
    bob_keys, other = bob.messenger.account.keys, carol.messenger.account.keys

    def change(frame: Prekeys) -> Frame:
        match lie:
            case "signed by another":
                return msgspec.structs.replace(frame, signed=of_another(town, bob, other).signed)
            case "one-time signed by another":
                return msgspec.structs.replace(frame, one_time=of_another(town, bob, other).one_time)
            case "changed":
                key = frame.signed.key[:-1] + bytes([frame.signed.key[-1] ^ 1])
                return msgspec.structs.replace(frame, signed=msgspec.structs.replace(frame.signed, key=key))
            case "too old":
                pair, record = PrivatePair.generate().public, bob.messenger.account.record
                signed = create_signed_prekey(
                    bob_keys, record, pair, device_id=1, number=1, created=town.now - TOO_OLD_S - 1
                )
                return msgspec.structs.replace(frame, signed=signed)
            case "of another device":
                pair, record = PrivatePair.generate().public, bob.messenger.account.record
                one_time = create_one_time_prekey(bob_keys, record, pair, device_id=2, number=1)
                return msgspec.structs.replace(frame, one_time=[one_time])
            case _:
                return Refusal(code=Code.NO_PREKEYS, command="fetch_prekeys", retry_after_s=0, subject="bob")

    handed_out(town, change)
    message = alice.write("bob", "secret")
    wait(alice)
    false = Code.NO_PREKEYS if lie in {"too old", "hidden"} else Code.FALSE_PREKEYS
    assert state(alice, message) == ("rejected", false)
    assert (wire, bob.read, sessions(alice)) == ([], [], 1)
    town.inward = lambda frame: [frame]
    town.world.pass_time(3600)
    assert state(alice, alice.write("bob", "again")) == ("delivered", None)


def test_prekeys_of_an_identity_that_is_not_pinned_are_a_reason_to_look(town: Town) -> None:
    """Bob rotates while Alice asks: she follows, and then asks again."""
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "hello")
    alice.database.run("DELETE FROM session")
    late: list[Frame] = []

    def hold(frame: Frame) -> list[Frame]:
        if isinstance(frame, FetchPrekeys) and not late:
            late.append(frame)
            return []
        return [frame]

    town.outward = hold
    alice.write("bob", "across a rotation")
    town.outward = lambda frame: [frame] if not isinstance(frame, Envelope) or frame.sender_id == "alice" else []
    bob.take(bob.messenger.rotate(now=town.now))
    town.run()  # his notice does not come
    town.outward = lambda frame: [frame]
    assert alice.link is not None
    town.to_relay.append((alice.link, late[0]))
    town.run()
    assert alice.saw(IdentityRotated) == [IdentityRotated("bob", was_verified=False)]
    assert bob.read[-1] == "across a rotation"


def test_questions_for_prekeys_that_are_put_off_are_asked_again(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    town = Town(tmp_path, some_keys, Limits(stranger_pending=9, prekey_fetches=Rate(burst=1, every_s=10)))
    alice = town.person("alice")
    for name in ("bob", "carol"):
        town.person(name)
        alice.write(name, "hello")
    assert (town.people["bob"].read, town.people["carol"].read) == (["hello"], [])
    town.world.pass_time(11)
    alice.tick()
    assert town.people["carol"].read == ["hello"]
    town.close()


def test_a_contact_without_prekeys_is_said_so(town: Town) -> None:
    alice, _ = town.person("alice"), town.person("bob", online=False)
    message = alice.write("bob", "hello")
    assert state(alice, message) == ("queued", None)
    wait(alice)
    assert state(alice, message) == ("rejected", Code.NO_PREKEYS)


def test_prekeys_that_nobody_asked_for_change_nothing(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob")
    frames = [
        of_another(town, bob, bob.messenger.account.keys),
        Refusal(code=Code.NO_PREKEYS, command="fetch_prekeys", retry_after_s=0, subject="bob"),
        Refusal(code=Code.INVALID_RECORD, command="publish_prekeys", retry_after_s=0, subject=""),
    ]
    for frame in frames:
        assert alice.messenger.receive([frame], now=town.now).frames == []
    assert sessions(alice) == 0


# ---------------------------------------------------------------- what breaks


def talked(town: Town) -> tuple[Person, Person]:
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "hello")
    bob.write("alice", "hello yourself")
    alice.write("bob", "fine")
    return alice, bob


def lose_database(person: Person) -> None:
    person.go_offline()
    person.database.close()
    person.path.unlink()
    person.open()


def test_one_loses_their_database_and_gets_what_was_written_meanwhile(town: Town) -> None:
    alice, bob = talked(town)
    lose_database(bob)
    messages = [alice.write("bob", text) for text in ("one", "two")]
    bob.go_online()
    assert bob.read[-2:] == ["one", "two"]
    assert len(alice.saw(SentAgain)) == 2
    assert [state(alice, each) for each in messages] == [("delivered", None)] * 2
    bob.write("alice", "I am back")
    assert alice.read[-1] == "I am back"
    assert alice.messenger.settled
    assert bob.messenger.settled


def test_the_one_who_lost_their_database_writes_first(town: Town) -> None:
    alice, bob = talked(town)
    lose_database(bob)
    bob.go_online()
    bob.write("alice", "I am back")
    alice.write("bob", "good to hear")
    assert (alice.read[-1], bob.read[-1]) == ("I am back", "good to hear")
    assert alice.saw(EnvelopeRefused) == bob.saw(EnvelopeRefused) == []


@pytest.mark.parametrize("first", ["alice", "bob"])
def test_an_old_copy_of_a_database_uses_nothing_twice_and_goes_on(town: Town, first: str) -> None:
    """Attack 28: the positions that it knows are used; nothing of it opens there, and both begin anew."""
    alice, bob = talked(town)
    bob.go_offline()
    bob.database.close()
    copy = shutil.copy(bob.path, town.folder / "old.db")
    bob.open()
    bob.go_online()
    for number in range(3):
        bob.write("alice", f"known {number}")
        alice.write("bob", f"known {number}")
    bob.go_offline()
    bob.database.close()
    shutil.copy(copy, bob.path)
    bob.open()
    bob.go_online()
    wire = envelopes_on_the_wire(town)
    one, other = (alice, bob) if first == "alice" else (bob, alice)
    one.write(other.user_id, "after that")
    other.write(one.user_id, "and an answer")
    one.write(other.user_id, "and another")
    assert [text for text in other.read if text.startswith(("after", "and"))] == ["after that", "and another"]
    assert one.read[-1] == "and an answer"
    assert len({envelope.encrypted_content for envelope in wire}) == len(wire)


def test_a_message_is_sent_again_a_few_times_and_no_more(town: Town) -> None:
    """A contact whose client opens nothing cannot make us write for ever."""
    alice, bob = talked(town)
    sent: list[Frame] = []

    def break_it(frame: Frame) -> list[Frame]:
        if isinstance(frame, Delivery):
            envelope = decode_envelope(frame.envelope)
            if envelope.sender_id == "alice" and isinstance(envelope, Message):
                sent.append(frame)
                bob.database.run("DELETE FROM session")
                bob.database.run("DELETE FROM own_prekey")
        return [frame]

    town.inward = break_it
    message = alice.write("bob", "hello?")
    assert len(sent) == 4
    assert state(alice, message) == ("rejected", Code.NOT_OPENED)  # and both of them know


def test_what_was_under_way_before_a_rotation_opens_in_its_session(town: Town) -> None:
    alice, bob = talked(town)
    bob.looks = False
    alice.write("bob", "for the former keys")
    bob.restart()
    bob.looks = True
    bob.go_online()
    bob.take(bob.messenger.rotate(now=town.now))
    town.run()
    assert bob.read[-1] == "for the former keys"
    alice.write("bob", "for the new ones")
    assert bob.read[-1] == "for the new ones"
    assert bob.saw(EnvelopeRefused) == []


def test_the_oldest_of_many_sessions_makes_room_and_does_not_come_back(town: Town) -> None:
    alice, bob = talked(town)
    recorded: list[Delivery] = []

    def record(frame: Frame) -> list[Frame]:
        if isinstance(frame, Delivery) and decode_envelope(frame.envelope).recipient_id == "bob":
            recorded.append(frame)
        return [frame]

    town.inward = record
    for _ in range(12):
        alice.database.run("DELETE FROM session")
        alice.write("bob", "with another session")
    assert sessions(bob) == 8
    town.inward = lambda frame: [frame]
    bob.database.run("DELETE FROM seen")
    before = bob.read
    bob.take(bob.messenger.receive([recorded[0]], now=town.now))  # the same handshake again (attack 24)
    assert bob.read == before
    assert sessions(bob) == 8


# ---------------------------------------------------------------- thieves


class Thief:
    """Somebody who has a person's keys and a copy of their database, and all that went over the wire."""

    def __init__(self, victim: Person) -> None:
        victim.tick()  # a minute is long enough
        self._path = victim.town.folder / f"stolen {victim.user_id}.db"
        shutil.copy(victim.path, self._path)
        self._account = victim.messenger.account

    def opens(self, envelope: Envelope, sender: Person) -> bool:
        """Tell whether they can read an envelope, whichever way the program knows."""
        copy = shutil.copy(self._path, self._path.with_suffix(".try"))
        database = Database(Path(copy), PASSWORD)
        suite = Suite2(Sessions(database), OwnPrekeys(database))
        try:
            suite.decrypt(self._account, sender.messenger.account.record, envelope, now=0)
        except CryptoError:
            return False
        else:
            return True
        finally:
            database.close()


def test_all_files_and_all_traffic_open_nothing_of_the_past(town: Town) -> None:
    """Attack 29: after ten turns. What has not been opened yet is another matter, or nobody could open it."""
    alice, bob = town.person("alice"), town.person("bob")
    wire = envelopes_on_the_wire(town)
    for number in range(5):
        alice.write("bob", f"secret {number}")
        bob.write("alice", f"secret {number}")
    bob.go_offline()
    past = [envelope for envelope in wire if isinstance(envelope, Message)]
    alice.write("bob", "not opened yet")
    thieves = {"bob": Thief(bob), "alice": Thief(alice)}
    people = {"bob": bob, "alice": alice}
    assert len(past) == 10
    for envelope in past:
        assert not thieves[envelope.recipient_id].opens(envelope, people[envelope.sender_id])
        assert not thieves[envelope.sender_id].opens(envelope, people[envelope.sender_id])
    assert thieves["bob"].opens(wire[-1], alice)


def test_a_stolen_database_is_useless_after_a_round_trip(town: Town) -> None:
    """Attack 30: a thief who only listens is out as soon as both have turned with pairs that they did not have."""
    alice, bob = talked(town)
    thief = Thief(bob)
    wire = envelopes_on_the_wire(town)
    opened = []
    for number in range(4):
        wire.clear()
        alice.write("bob", f"message {number}")
        opened += [thief.opens(each, alice) for each in wire if each.sender_id == "alice" and isinstance(each, Message)]
        bob.write("alice", f"answer {number}")
    assert opened == [True, False, False, False]  # his receipt for the first showed a pair that is not in the copy
    assert bob.read[-1] == "message 3"


# ---------------------------------------------------------------- moving up


def test_an_account_of_before_moves_up_by_itself(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    town = Town(tmp_path, some_keys, Limits(stranger_pending=9), suites=(1,))
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "as it was")
    bob.write("alice", "as it was")
    town.suites = [1, 2]  # both are updated, Bob first
    bob.restart()
    bob.go_online()
    assert bob.messenger.account.record.suites == [1, 2]
    assert bob.messenger.account.record.epoch == 2
    refused = bob.write("alice", "to somebody whose client is old")
    assert state(bob, refused) == ("rejected", Code.OLD_CLIENT)
    alice.restart()
    alice.go_online()
    assert alice.messenger.account.record.suites == [1, 2]
    wire = envelopes_on_the_wire(town)
    alice.write("bob", "as it is")
    bob.write("alice", "as it is")
    assert (alice.read[-1], bob.read[-1]) == ("as it is", "as it is")
    assert {envelope.suite for envelope in wire} == {2}
    for person, peer in ((alice, "bob"), (bob, "alice")):
        contact = person.messenger.contacts.find(peer)
        assert contact is not None
        assert (contact.suite, contact.trust) == (2, Trust.UNVERIFIED)
    town.close()
