"""The client's half of the key log: what a server can do to two people, and who notices."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from crypto_utils import PrivateKeys, spki
from errors import Code
from identity import Predecessor, create_record
from messenger.contacts import Trust
from messenger.events import ContactPinned, EnvelopeRefused, IdentityRotated, LogAlarm, LogDisagrees, LogWithheld
from messenger.line import Output
from messenger.log_watch import (
    NOT_COMPLETE,
    NOT_GROWN,
    NOT_IN_LOG,
    NOT_LISTED,
    NOT_OURS,
    NOT_THE_KEY,
    OVERDUE_S,
    READ_EVERY_S,
    TOO_LONG,
)
from protocol import FetchLog, Frame, Identity, Log, LoggedIn, Receipt, Refusal
from records import IdentityRecord, Inclusion
from relay.limits import Limits, Rate
from relay.log_keeper import LogKeeper
from relay.storage.sqlite import SqliteStore
from server_key import generate_server_key
from tests.messenger.fork import Fork
from tests.messenger.people import Person, Town
from tests.relay.world import LOG_KEY, START_S


@pytest.fixture
def town(tmp_path: Path, some_keys: list[PrivateKeys], quick_database: None) -> Iterator[Town]:
    del quick_database
    town = Town(tmp_path, some_keys)
    yield town
    town.close()


def pair(town: Town) -> tuple[Person, Person]:
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "hello")
    bob.write("alice", "hello yourself")
    return alice, bob


def false_record(town: Town, user_id: str) -> IdentityRecord:
    return create_record(town.keys[2], user_id, created=START_S + 1, suites=[1])


def alarms(person: Person) -> list[str]:
    return [event.reason for event in person.events if isinstance(event, LogAlarm)]


def disagrees(person: Person) -> list[str]:
    return [event.peer for event in person.events if isinstance(event, LogDisagrees)]


def read_again(person: Person) -> None:
    person.go_offline()
    person.go_online()


# ---------------------------------------------------------------- an honest server


def test_everybody_reads_the_same_log_and_nobody_is_alarmed(town: Town) -> None:
    alice, bob = pair(town)
    carol = town.person("carol")
    for each in (alice, bob):
        read_again(each)
    logs = [each.messenger.log for each in (alice, bob, carol)]
    assert {log.known for log in logs} == {(3, logs[0].root(3))}
    assert [log.size for log in logs] == [3, 3, 3]
    alice.write("bob", "again")
    assert alice.messenger.log.settled_claims() == [("bob", True)]
    assert [alarms(each) + disagrees(each) for each in (alice, bob, carol)] == [[], [], []]
    assert alice.messenger.settled


def test_a_long_log_is_read_to_its_end(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.directory.MAX_LOG_ENTRIES", 2)
    for number in range(7):
        town.world.register(f"somebody{number}", number % 3)
    alice = town.person("alice")
    assert (alice.messenger.log.size, alarms(alice)) == (8, [])
    assert alice.messenger.settled


def test_a_rotation_is_heard_of_from_the_log(town: Town) -> None:
    alice, bob = pair(town)
    town.outward = lambda frame: [] if isinstance(frame, Receipt) else [frame]  # the notice is lost
    bob.take(bob.messenger.rotate(now=town.now))
    town.run()
    assert alice.saw(IdentityRotated) == []
    town.world.pass_time(READ_EVERY_S - 1)
    alice.tick()
    assert alice.saw(IdentityRotated) == []
    town.world.pass_time(2)
    alice.tick()
    assert alice.saw(IdentityRotated) == [IdentityRotated("bob", was_verified=False)]
    assert alarms(alice) + alarms(bob) == []


@pytest.mark.parametrize("rotations", [1, 18])
def test_a_device_without_memory_knows_its_own_keys_again(
    tmp_path: Path, some_keys: list[PrivateKeys], rotations: int
) -> None:
    town = Town(tmp_path, some_keys, Limits(rotations=Rate(burst=100, every_s=1)))
    bob = town.person("bob")
    for _ in range(rotations):
        bob.take(bob.messenger.rotate(now=town.now))
        town.run()
    bob.go_offline()
    bob.database.close()
    bob.path.unlink()
    bob.open()
    bob.go_online()
    assert (bob.messenger.log.size, alarms(bob)) == (rotations + 1, [])
    assert bob.messenger.settled
    town.close()


def test_the_log_is_asked_for_later_when_the_server_says_so(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    town = Town(tmp_path, some_keys, Limits(log_pages=Rate(burst=1, every_s=100)))
    alice = town.person("alice")
    read_again(alice)
    town.world.register("bob", 1)
    assert alice.messenger.log.size == 1
    town.world.pass_time(101)
    alice.tick()
    assert alice.messenger.log.size == 2
    town.close()


def test_an_entry_of_the_log_that_nobody_asked_for_is_passed_over(town: Town) -> None:
    alice = town.person("alice")
    log = Log(entries=[], proof=alice.told([alice.account.record]).proof, start=1)
    alice.take(alice.messenger.receive([log], now=town.now))
    assert alarms(alice) == []


# ---------------------------------------------------------------- a server that lies to one


def test_a_key_of_mine_that_i_did_not_make_is_seen(town: Town) -> None:
    """Attack row 17 at the first contact: the false key must be in the log, or nobody takes it."""
    bob = town.person("bob")
    alice = town.person("alice")
    false = false_record(town, "bob")
    town.inward = lambda frame: [alice.told([false]) if isinstance(frame, Identity) else frame]
    alice.write("bob", "for bob only")
    assert alice.saw(ContactPinned) == [ContactPinned("bob")]  # she cannot know
    town.inward = lambda frame: [frame]
    read_again(bob)
    assert alarms(bob) == [NOT_OURS]
    message = bob.write("alice", "we have a problem")
    assert bob.messenger.history.state(message) == ("rejected", Code.UNTRUSTED_LOG)


def test_a_key_that_i_have_left_and_that_comes_back_is_seen(town: Town) -> None:
    """A thief of the old keys, with the server's help: it enters them again, as the latest."""
    alice = town.person("alice")
    old = alice.account.record
    alice.take(alice.messenger.rotate(now=town.now))
    town.run()
    keeper = town.world.relay._directory._log
    with town.world.store.transaction():
        keeper.append("alice", old)
    read_again(alice)
    assert alarms(alice) == [NOT_OURS]


def test_a_key_that_i_did_not_make_is_seen_without_asking_the_server(town: Town) -> None:
    """Somebody who has rotated knows the latest key; what the server says of those before does not matter."""
    alice = town.person("alice")
    alice.take(alice.messenger.rotate(now=town.now))
    town.run()
    keeper = town.world.relay._directory._log
    with town.world.store.transaction():
        keeper.append("alice", false_record(town, "alice"))
    refused = Refusal(code=Code.RATE_LIMITED, command="fetch_identity", retry_after_s=5, subject="alice")
    town.inward = lambda frame: [refused if isinstance(frame, Identity) else frame]
    read_again(alice)
    assert alarms(alice) == [NOT_OURS]


def test_a_server_that_does_not_show_its_log_is_reported(town: Town) -> None:
    alice = town.person("alice", online=False)
    refused = Refusal(code=Code.RATE_LIMITED, command="fetch_log", retry_after_s=10**9, subject="")
    town.inward = lambda frame: [refused if isinstance(frame, Log) else frame]
    alice.go_online()
    for _ in range(3):
        town.world.pass_time(OVERDUE_S)
        alice.tick()
    assert alice.saw(LogWithheld) == [LogWithheld()]
    town.world.pass_time(READ_EVERY_S)
    alice.tick()
    assert len(alice.saw(LogWithheld)) == 2
    town.inward = lambda frame: [frame]
    town.world.pass_time(READ_EVERY_S)
    alice.tick()
    town.world.pass_time(OVERDUE_S)
    alice.tick()
    assert (alice.messenger.log.size, alarms(alice)) == (1, [])


def test_an_alarm_in_the_middle_of_reading_can_be_ended(town: Town) -> None:
    town.world.register("bob", 1)
    alice = town.person("alice", online=False)
    kept: list[Frame] = []

    def keep(frame: Frame) -> list[Frame]:
        if isinstance(frame, Log):
            kept.append(frame)
            return []
        if isinstance(frame, Identity):
            return [msgspec.structs.replace(frame, proof=msgspec.structs.replace(frame.proof, inclusions=[]))]
        return [frame]

    town.inward = keep
    alice.go_online()
    alice.write("bob", "hello")
    assert alarms(alice) == [NOT_IN_LOG]
    town.inward = lambda frame: [frame]
    alice.take(alice.messenger.receive(kept, now=town.now))
    assert alice.messenger.settled
    alice.take(alice.messenger.forget_log(now=town.now))
    town.run()
    assert (alice.messenger.log.size, alarms(alice)) == (2, [NOT_IN_LOG])


def test_a_look_at_oneself_ends(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    """A server answers it with a chain of its own, without an end."""
    town = Town(tmp_path, some_keys, Limits(rotations=Rate(burst=100, every_s=1)))
    bob = town.person("bob")
    bob.take(bob.messenger.rotate(now=town.now))
    town.run()
    bob.go_offline()
    bob.database.close()
    bob.path.unlink()
    bob.open()
    chain = [create_record(some_keys[2], "bob", created=1, suites=[1])]
    for _ in range(40):
        before = Predecessor(chain[-1], some_keys[2])
        chain.append(create_record(some_keys[2], "bob", created=1, suites=[1], before=before))
    asked: list[int] = []

    def answer(frame: Frame) -> list[Frame]:
        if isinstance(frame, Identity):
            asked.append(1)
            return [bob.told(chain[(len(asked) - 1) * 15 :][:16])]
        return [frame]

    town.inward = answer
    bob.go_online()
    assert len(asked) == 1
    assert alarms(bob) == [NOT_OURS]
    town.close()


def test_a_false_key_is_found_by_who_took_it(town: Town) -> None:
    """The owner's next rotation, or any look-up, shows that the log holds two."""
    bob, alice = town.person("bob"), town.person("alice")
    false = false_record(town, "bob")
    town.inward = lambda frame: [alice.told([false]) if isinstance(frame, Identity) else frame]
    alice.write("bob", "for bob only")
    town.inward = lambda frame: [frame]
    bob.take(bob.messenger.rotate(now=town.now))
    town.run()
    read_again(alice)
    contact = alice.messenger.contacts.find("bob")
    assert contact is not None
    assert contact.trust is Trust.CHANGED


def test_the_largest_state_that_a_contact_has_named_is_what_counts(town: Town) -> None:
    """A server that pushes an older message after the one that gives it away gains nothing."""
    alice, _ = pair(town)
    log = alice.messenger.log
    alice.database.run("DELETE FROM log_claim")
    log.claim("bob", (9, bytes(32)))
    log.claim("bob", (7, bytes(32)))
    assert not log.settle_claim("bob", (2, log.root(2)), agrees=True)
    assert [state for _, state, _ in log.open_claims()] == [(9, bytes(32))]
    read_again(alice)
    assert disagrees(alice) == ["bob"]
    assert not log.settle_claim("bob", (2, log.root(2)), agrees=True)  # what contradicts stays
    assert log.settled_claims() == [("bob", False)]


def test_a_key_that_the_log_calls_old_is_not_written_to(town: Town) -> None:
    """Also when the server gives no answer to the look-up that follows, and after a restart."""
    alice, bob = pair(town)
    town.outward = lambda frame: [] if isinstance(frame, Receipt) else [frame]  # the notice is lost
    bob.take(bob.messenger.rotate(now=town.now))
    town.run()
    town.outward = lambda frame: [frame]
    refused = Refusal(code=Code.RATE_LIMITED, command="fetch_identity", retry_after_s=5, subject="bob")
    town.inward = lambda frame: [refused if isinstance(frame, Identity) else frame]
    read_again(alice)
    alice.restart()
    alice.go_online()
    message = alice.write("bob", "to which key?")
    assert alice.state(message) == "queued"
    town.inward = lambda frame: [frame]
    town.world.pass_time(6)
    alice.tick()
    assert alice.state(message) == "delivered"
    assert alarms(alice) == []


def test_a_look_at_oneself_that_was_cut_off_is_begun_anew(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    town = Town(tmp_path, some_keys, Limits(rotations=Rate(burst=100, every_s=1)))
    bob = town.person("bob")
    for _ in range(18):
        bob.take(bob.messenger.rotate(now=town.now))
        town.run()
    bob.go_offline()
    bob.database.close()
    bob.path.unlink()
    bob.open()
    pages: list[Frame] = []

    def only_one(frame: Frame) -> list[Frame]:
        if isinstance(frame, Identity):
            pages.append(frame)
        return [] if isinstance(frame, Identity) and len(pages) > 1 else [frame]

    town.inward = only_one
    bob.go_online()
    assert len(pages) == 2
    town.inward = lambda frame: [frame]
    bob.messenger.log._db.run("UPDATE log_state SET checked = 0")
    town.world.register("alice", 0)
    town.world.pass_time(READ_EVERY_S + 1)
    bob.tick()  # another read while the second page has not come
    assert alarms(bob) == []
    read_again(bob)
    assert alarms(bob) == []
    assert bob.messenger.settled
    town.close()


Broken = dict[str, object]


@pytest.mark.parametrize(
    "broken",
    [
        {"inclusions": []},
        {"inclusions": [Inclusion(path=[bytes(32)], position=0)]},
        {"inclusions": [Inclusion(path=[bytes(32)], position=9)]},
        {"index": bytes(256)},
        {"consistency": [bytes(32)]},
    ],
    ids=str,
)
def test_what_is_not_proved_is_not_pinned(town: Town, broken: Broken) -> None:
    town.person("bob")
    alice = town.person("alice")

    def change(frame: Frame) -> list[Frame]:
        if isinstance(frame, Identity):
            return [msgspec.structs.replace(frame, proof=msgspec.structs.replace(frame.proof, **broken))]
        return [frame]

    town.inward = change
    message = alice.write("bob", "hello")
    assert alarms(alice) == [NOT_IN_LOG]
    assert alice.messenger.history.state(message) == ("rejected", Code.UNTRUSTED_LOG)
    assert alice.messenger.contacts.find("bob") is None
    town.inward = lambda frame: [frame]
    again = alice.write("bob", "hello")  # the server is not believed any more
    assert alice.messenger.history.state(again) == ("rejected", Code.UNTRUSTED_LOG)
    alice.messenger.forget_log(now=town.now)
    read_again(alice)
    assert alice.state(alice.write("bob", "hello")) == "delivered"


def test_the_proof_of_somebody_elses_index_is_refused(town: Town) -> None:
    town.person("bob")
    alice, carol = town.person("alice"), town.person("carol")
    del carol
    keeper = town.world.relay._directory._log

    def change(frame: Frame) -> list[Frame]:
        if isinstance(frame, Identity):
            index = keeper._index_proof("carol")
            return [msgspec.structs.replace(frame, proof=msgspec.structs.replace(frame.proof, index=index))]
        return [frame]

    town.inward = change
    alice.write("bob", "hello")
    assert alarms(alice) == [NOT_IN_LOG]


def test_an_account_that_the_log_does_not_hold_is_told(town: Town) -> None:
    town.world.register("bob", 1)
    alice = town.person("alice", online=False)
    keeper = town.world.relay._directory._log

    def without_alice(frame: Frame) -> list[Frame]:
        if isinstance(frame, Log):
            proof = msgspec.structs.replace(frame.proof, index=keeper._index_proof("carol"))
            return [msgspec.structs.replace(frame, proof=proof)]
        return [frame]

    town.inward = without_alice
    alice.go_online()
    assert alarms(alice) == [NOT_GROWN]  # not her index
    alice.messenger.forget_log(now=town.now)
    alice.go_offline()

    def hidden(frame: Frame) -> list[Frame]:
        return [shorter(town, frame)] if isinstance(frame, Log) else [frame]

    town.inward = hidden
    alice.go_online()
    assert alarms(alice) == [NOT_GROWN, NOT_LISTED]


def shorter(town: Town, frame: Log) -> Log:
    """The log of a server that does not enter everybody."""
    store = SqliteStore(town.folder / "shorter.db")
    keeper = LogKeeper(store, LOG_KEY)
    with store.transaction():
        keeper.append("bob", town.world.records["bob"][0])
    entries = keeper.page(start=0, limit=9)
    proof = keeper.prove("alice", [], known_size=0, now=town.world.now)
    store.close()
    return msgspec.structs.replace(frame, entries=entries, proof=proof)


def test_entries_that_are_withheld_are_missed(town: Town) -> None:
    alice = town.person("alice")
    town.world.register("bob", 1)
    town.inward = lambda frame: [msgspec.structs.replace(frame, entries=[]) if isinstance(frame, Log) else frame]
    read_again(alice)
    assert alarms(alice) == [NOT_COMPLETE]


def test_entries_that_were_changed_do_not_fit(town: Town) -> None:
    alice = town.person("alice", online=False)

    def change(frame: Frame) -> list[Frame]:
        if isinstance(frame, Log):
            entries = [msgspec.structs.replace(entry, value=bytes(32)) for entry in frame.entries]
            return [msgspec.structs.replace(frame, entries=entries)]
        return [frame]

    town.inward = change
    alice.go_online()
    assert alarms(alice) == [NOT_COMPLETE]


def test_another_place_in_the_log_is_refused(town: Town) -> None:
    alice = town.person("alice", online=False)
    town.inward = lambda frame: [msgspec.structs.replace(frame, start=1) if isinstance(frame, Log) else frame]
    alice.go_online()
    assert alarms(alice) == [NOT_GROWN]


def test_another_key_of_the_log_is_an_alarm(town: Town) -> None:
    alice = town.person("alice")
    other = spki(generate_server_key().public_key())
    town.inward = lambda frame: [
        msgspec.structs.replace(frame, log_key=other) if isinstance(frame, LoggedIn) else frame
    ]
    read_again(alice)
    assert alarms(alice) == [NOT_THE_KEY]
    alice.messenger.forget_log(now=town.now)
    read_again(alice)
    assert alarms(alice) == [NOT_THE_KEY, NOT_GROWN]  # this key did not sign it


def test_what_is_no_key_at_all_is_an_alarm(town: Town) -> None:
    alice = town.person("alice", online=False)
    town.inward = lambda frame: [
        msgspec.structs.replace(frame, log_key=bytes(294)) if isinstance(frame, LoggedIn) else frame
    ]
    alice.go_online()
    assert alarms(alice) == [NOT_GROWN]


def test_a_server_that_goes_back_is_not_believed(town: Town) -> None:
    """Attack row 43: the log is shorter than it was, as after the database was put back from a copy."""
    alice, bob = pair(town)
    alice.go_offline()
    bob.go_offline()
    town.world.store.close()
    shutil.copytree(town.folder, town.folder / "copy")
    town.world.open()
    carol = town.person("carol")
    alice.go_online()
    alice.go_offline()
    carol.go_offline()
    town.world.store.close()
    for path in town.folder.glob("relay.db*"):
        path.unlink()
    shutil.copy(town.folder / "copy" / "relay.db", town.folder / "relay.db")
    town.world.open()
    for each in (alice, bob):
        each.go_online()
    assert (alarms(alice), alarms(bob)) == ([NOT_GROWN], [])
    assert alice.state(alice.write("bob", "still here")) == "delivered"  # known keys stay good
    town.world.register("dora", 2)
    message = alice.write("dora", "and you?")
    assert alice.messenger.history.state(message) == ("rejected", Code.UNTRUSTED_LOG)
    assert disagrees(bob) == ["alice"]  # she knows a longer one


def test_a_log_that_would_fill_the_disk_is_not_read(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        town.world.register(f"somebody{number}", number % 3)
    alice = town.person("alice", online=False)
    monkeypatch.setattr("messenger.log_watch.MAX_ENTRIES", 4)
    alice.go_online()
    assert (alarms(alice), alice.messenger.log.size) == ([TOO_LONG], 0)


def test_an_account_has_one_index(town: Town) -> None:
    """A key of the log's that was made with two roots for one name would give it two (docs/adr/0011)."""
    alice, _ = pair(town)
    alice.database.run("UPDATE contact SET log_index = ? WHERE user_id = 'bob'", bytes(32))
    alice.messenger._parts.identities.look_up("bob", output := Output())
    alice.take(output)
    town.run()
    assert alarms(alice) == [NOT_IN_LOG]
    alice.messenger.forget_log(now=town.now)
    read_again(alice)
    alice.messenger._parts.identities.look_up("bob", output := Output())
    alice.take(output)
    town.run()
    assert alarms(alice) == [NOT_IN_LOG]


def test_what_a_stranger_writes_meanwhile_waits(town: Town) -> None:
    """Nothing is thrown away because the server is not believed for a while."""
    alice = town.person("alice")
    carol = town.person("carol")
    alice.messenger.log.raise_alarm("of a test")
    message = carol.write("alice", "hello, I am new")
    assert (alice.read, alice.saw(EnvelopeRefused)) == ([], [])
    assert alice.messenger.settled
    read_again(alice)
    assert (alice.read, carol.state(message)) == ([], "accepted")
    alice.take(alice.messenger.forget_log(now=town.now))
    town.run()
    assert (alice.read, carol.state(message)) == (["hello, I am new"], "delivered")


def test_what_waits_meanwhile_keeps_nobody_else_out(town: Town) -> None:
    """More than the relay pushes without an acknowledge, from people who are not known; also over a restart."""
    alice, bob = pair(town)
    carol = town.person("carol")
    alice.messenger.log.raise_alarm("of a test")
    texts = [f"number {number}" for number in range(70)]
    for text in texts:
        carol.write("alice", text)
    bob.write("alice", "can you read me?")
    assert alice.read == ["hello yourself", "can you read me?"]
    alice.restart()
    alice.go_online()
    alice.go_offline()
    alice.take(alice.messenger.forget_log(now=town.now))
    alice.go_online()
    assert alice.read == ["hello yourself", "can you read me?", *texts]
    assert alice.saw(EnvelopeRefused) == []


def test_contacts_are_watched_again_after_the_log_was_forgotten(town: Town) -> None:
    alice, bob = pair(town)
    alice.take(alice.messenger.forget_log(now=town.now))
    town.run()
    town.outward = lambda frame: [] if isinstance(frame, Receipt) else [frame]  # the notice is lost
    bob.take(bob.messenger.rotate(now=town.now))
    town.run()
    town.outward = lambda frame: [frame]
    read_again(alice)
    assert alice.saw(IdentityRotated) == [IdentityRotated("bob", was_verified=False)]


def test_the_log_is_forgotten_while_it_is_read(town: Town) -> None:
    alice = town.person("alice")
    alice.go_offline()
    town.world.register("bob", 1)
    kept: list[Frame] = []

    def keep(frame: Frame) -> list[Frame]:
        if isinstance(frame, Log) and not kept:
            kept.append(frame)
            return []
        return [frame]

    town.inward = keep
    alice.go_online()
    alice.take(alice.messenger.forget_log(now=town.now))
    town.run()
    town.world.register("carol", 2)
    alice.take(alice.messenger.receive(kept, now=town.now))
    town.run()
    assert (alarms(alice), alice.messenger.log.size) == ([], 3)
    assert alice.messenger.settled


# ---------------------------------------------------------------- a server that shows two histories


def test_two_histories_meet_in_the_first_message(town: Town) -> None:
    alice, bob = pair(town)
    fork = Fork(town, bob)
    fork.enter(false_record(town, "carol"))  # whom bob is to meet
    town.person("carol")  # the true one, in a log of the same size
    fork.show()
    alice.go_online()
    assert (alice.messenger.log.size, bob.messenger.log.size) == (3, 3)
    assert alarms(alice) + alarms(bob) == []  # each of the two is without a fault
    alice.write("bob", "hello")
    assert disagrees(bob) == ["alice"]
    assert disagrees(alice) == ["bob"]  # from the receipt
    assert bob.read[-1] == "hello"  # nothing is blocked: it may be Alice who lies
    fork.store.close()


def test_the_longer_of_two_histories_is_asked_for(town: Town) -> None:
    alice, bob = pair(town)
    fork = Fork(town, bob)
    fork.enter(false_record(town, "alice"))
    fork.show()
    alice.go_online()
    asked: list[Frame] = []
    town.outward = lambda frame: [asked.append(frame) or frame]  # type: ignore[func-returns-value]
    bob.write("alice", "hello")
    assert [frame for frame in asked if isinstance(frame, FetchLog)] == [FetchLog(log_size=2, start=2)]
    assert disagrees(alice) == ["bob"]  # the server has no more, and bob was shown more
    fork.store.close()


def test_who_is_behind_catches_up_and_nobody_is_accused(town: Town) -> None:
    alice, bob = pair(town)
    town.person("carol")
    read_again(bob)
    assert (alice.messenger.log.size, bob.messenger.log.size) == (2, 3)
    bob.write("alice", "hello")
    assert alice.messenger.log.size == 3
    assert alice.messenger.log.settled_claims() == [("bob", True)]
    assert disagrees(alice) + disagrees(bob) == []


def test_what_a_contact_said_is_compared_when_the_server_can_be_reached(town: Town) -> None:
    """The answer to the question is lost with its link."""
    alice, bob = pair(town)
    town.person("carol")
    read_again(bob)
    town.inward = lambda frame: [] if isinstance(frame, Log | Refusal) else [frame]
    bob.write("alice", "hello")
    assert alice.messenger.log.open_claims() != []
    town.inward = lambda frame: [frame]
    read_again(alice)
    assert alice.messenger.log.settled_claims() == [("bob", True)]
