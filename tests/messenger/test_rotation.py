"""New keys: what is under way still opens, contacts follow, and a thief of the old ones is out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from canonical_json import canonical
from crypto_utils import PrivateKeys
from errors import Code, UntrustedKeyError, UsageError
from identity import Predecessor, create_ending, create_record, safety_number
from messenger.contacts import Trust
from messenger.events import (
    EnvelopeRefused,
    IdentityChanged,
    IdentityRevoked,
    IdentityRotated,
    LogAlarm,
    LoginRefused,
    MessageReceived,
    MessagesMissing,
    OwnIdentityRotated,
    OwnRotationRefused,
    ServerWentBack,
)
from messenger.keyring import MAX_TRIED
from messenger.log_watch import NOT_IN_LOG
from protocol import (
    Accepted,
    Delivery,
    FetchIdentity,
    Frame,
    Identity,
    LoggedIn,
    Message,
    Refusal,
    Rejected,
    Revoke,
    Rotate,
    Rotated,
    decode_envelope,
)
from records import MAX_RECORDS, IdentityRecord, Revocation
from relay.limits import DAY, Limits, Rate
from tests.messenger.people import Person, Town
from tests.relay.world import START_S


@pytest.fixture(autouse=True)
def ready_made(monkeypatch: pytest.MonkeyPatch, some_keys: list[PrivateKeys]) -> None:
    """Rotate among keys that are there: making new ones takes a while."""
    keys = cycle(some_keys)
    monkeypatch.setattr(PrivateKeys, "generate", lambda: next(keys))


def rotate(person: Person) -> None:
    person.take(person.messenger.rotate(now=person.town.now))
    person.town.run()


def trust(person: Person, peer: str) -> Trust:
    contact = person.messenger.contacts.find(peer)
    assert contact is not None
    return contact.trust


def friends(town: Town) -> tuple[Person, Person]:
    """Two who have written to each other."""
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "hello")
    bob.write("alice", "hello yourself")
    return alice, bob


def kept_back(town: Town, act: Callable[[], object]) -> list[Frame]:
    """Return the deliveries that something would bring, and let them wait."""
    kept: list[Frame] = []

    def keep(frame: Frame) -> list[Frame]:
        if not isinstance(frame, Delivery):
            return [frame]
        kept.append(frame)
        return []

    town.inward = keep
    act()
    town.inward = lambda frame: [frame]
    return kept


# ---------------------------------------------------------------- both are there


def test_both_go_on_after_a_rotation_and_the_contact_hears_of_it(town: Town) -> None:
    alice, bob = friends(town)
    before = bob.messenger.account
    rotate(bob)
    after = bob.messenger.account
    assert (after.record.epoch, after.record.prev) == (2, before.identity_hash)
    assert bob.saw(OwnIdentityRotated) == [OwnIdentityRotated(2)]
    assert alice.saw(IdentityRotated) == [IdentityRotated("bob", was_verified=False)]
    messages = [alice.write("bob", "to the new keys"), bob.write("alice", "with the new keys")]
    assert (alice.read, bob.read) == (["hello yourself", "with the new keys"], ["hello", "to the new keys"])
    assert [alice.state(messages[0]), bob.state(messages[1])] == ["delivered", "delivered"]
    assert alice.saw(EnvelopeRefused) == bob.saw(EnvelopeRefused) == []


def test_what_was_compared_must_be_compared_anew(town: Town) -> None:
    alice, bob = friends(town)
    before = alice.messenger.decisions.safety_number("bob")
    alice.messenger.decisions.verify("bob", bob.messenger.decisions.safety_number("alice"), now=town.now)
    assert trust(alice, "bob") is Trust.VERIFIED
    rotate(bob)
    assert alice.saw(IdentityRotated) == [IdentityRotated("bob", was_verified=True)]
    assert trust(alice, "bob") is Trust.UNVERIFIED
    assert alice.messenger.decisions.safety_number("bob") == bob.messenger.decisions.safety_number("alice") != before


def test_a_message_crosses_a_rotation_it_has_not_heard_of(town: Town) -> None:
    """Alice seals for the old keys; the relay refuses that, and she seals it anew."""
    alice, bob = friends(town)
    rotate(bob)
    alice.messenger.contacts._db.run("DELETE FROM former_record")
    alice.restart()
    alice.go_online()
    assert alice.state(alice.write("bob", "first")) == "delivered"


def test_a_message_that_was_written_offline_waits_for_the_key_that_holds_by_then(town: Town) -> None:
    """The new key comes, as the contact's notice has it looked up, before the refusal of what was sealed meanwhile."""
    alice, bob = friends(town)
    held: list[Frame] = []

    def with_the_next(frame: Frame) -> list[Frame]:
        held.append(frame)
        if isinstance(frame, LoggedIn):
            return []
        together = held.copy()
        held.clear()
        return together

    alice.go_offline()
    messages = [alice.write("bob", text) for text in ("one", "two")]
    rotate(bob)
    town.inward = with_the_next
    alice.go_online()
    assert [alice.messenger.history.state(message) for message in messages] == [("delivered", None)] * 2
    assert bob.read == ["hello", "one", "two"]


def test_a_server_that_went_back_to_former_keys_is_led_on_to_the_present_ones(town: Town) -> None:
    """Its operator has put back an older copy of the database."""
    alice, bob = friends(town)
    town.crash()
    before = town.world.path.read_bytes()
    for person in (alice, bob):
        person.go_online()
    for _ in range(3):
        rotate(bob)
    bob.go_offline()
    alice.write("bob", "lost with the server's memory")
    town.world.close()
    town.world.path.write_bytes(before)
    town.crash()
    bob.events.clear()
    bob.go_online()
    assert bob.saw(ServerWentBack) == [ServerWentBack()]
    assert bob.saw(LoginRefused) == []
    assert bob.messenger.settled
    alice.go_online()
    message = bob.write("alice", "I am back")
    assert (alice.read[-1], bob.messenger.history.state(message)) == ("I am back", ("delivered", None))
    bob.restart()
    bob.go_online()
    assert bob.saw(ServerWentBack) == [ServerWentBack()]  # once: it knows them now
    town.close()


def rotate_and_leave(person: Person, times: int) -> None:
    for _ in range(times):
        rotate(person)
    person.go_offline()


def gone_back(town: Town, during: Callable[[], object]) -> None:
    """Let something happen of which the server knows nothing afterwards: a copy of its database is put back."""
    online = [person for person in town.people.values() if person.link is not None]
    town.crash()
    before = town.world.path.read_bytes()
    for person in online:
        person.go_online()
    during()
    town.world.close()
    town.world.path.write_bytes(before)
    town.crash()


def test_what_was_kept_of_former_keys_is_there_until_the_server_is_led_on(town: Town) -> None:
    alice, bob = friends(town)

    gone_back(town, lambda: rotate_and_leave(bob, 2))
    town.world.pass_time(36 * DAY)
    bob.go_online()
    assert bob.saw(ServerWentBack) == [ServerWentBack()]
    assert bob.messenger.settled
    assert alice.saw(LoginRefused) == []


def test_nothing_goes_out_to_a_server_that_is_still_behind(town: Town) -> None:
    """It puts the next record off: what waits is kept until it has it."""
    alice, bob = friends(town)

    gone_back(town, lambda: rotate_and_leave(bob, 2))
    alice.go_online()
    message = bob.write("alice", "precious")
    town.outward = lambda frame: [] if isinstance(frame, Rotate) else [frame]
    bob.go_online()
    bob.take(
        bob.messenger.receive(
            [Refusal(code=Code.RATE_LIMITED, command="rotate", retry_after_s=9, subject="bob")], now=town.now
        )
    )
    assert bob.messenger.history.state(message) == ("queued", None)
    town.outward = lambda frame: [frame]
    town.world.pass_time(10)
    bob.tick()
    assert bob.messenger.history.state(message) == ("delivered", None)
    assert alice.read[-1] == "precious"


def test_new_keys_are_made_while_the_server_is_behind(town: Town) -> None:
    alice, bob = friends(town)

    gone_back(town, lambda: rotate_and_leave(bob, 1))
    alice.go_online()
    town.outward = lambda frame: [] if isinstance(frame, Rotate) else [frame]
    bob.go_online()
    rotate(bob)
    town.outward = lambda frame: [frame]
    bob.go_offline()
    bob.go_online()
    assert bob.saw(OwnRotationRefused) == []
    assert (bob.messenger.account.record.epoch, bob.messenger.keyring.following) == (3, None)


def test_a_log_that_was_begun_anew_is_read_when_the_server_has_been_led_on(town: Town) -> None:
    alice, bob = friends(town)

    gone_back(town, lambda: rotate_and_leave(bob, 2))
    bob.take(bob.messenger.forget_log(now=town.now))
    bob.go_online()
    assert bob.saw(LogAlarm) == []
    assert (bob.messenger.log.size, alice.saw(LogAlarm)) == (4, [])


def test_a_word_of_the_server_that_nobody_asked_for_changes_nothing(town: Town) -> None:
    _, bob = friends(town)
    for _ in range(MAX_TRIED + 1):
        rotate(bob)
    refusal = Refusal(code=Code.AUTHENTICATION_FAILED, command="login", retry_after_s=0, subject="bob")
    for frame in (Rotated(identity_hash=b"x" * 32), refusal):
        output = bob.messenger.receive([frame], now=town.now)
        assert (output.frames, output.events) == ([], [])


def test_an_owner_whose_keys_were_replaced_is_told_so_at_every_start(town: Town) -> None:
    """By a thief; the tries before are not what keeps the owner out."""
    _, bob = friends(town)
    for _ in range(MAX_TRIED):
        rotate(bob)
    bob.go_offline()
    account = bob.messenger.account
    theirs = create_record(
        town.keys[0], "bob", created=town.now, suites=[1], before=Predecessor(account.record, account.keys)
    )
    with town.world.store.transaction():
        town.world.relay._directory.publish(theirs, now=town.world.now)
    for _ in range(5):
        bob.events.clear()
        bob.go_online()
        (refused,) = bob.saw(LoginRefused)
        bob.go_offline()
        assert isinstance(refused, LoginRefused)
        if refused.code is Code.RATE_LIMITED:
            town.world.pass_time(refused.retry_after_s)
        else:
            assert refused == LoginRefused(Code.AUTHENTICATION_FAILED, 0)


def test_an_identity_is_tried_once_also_where_a_change_was_cut_short(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bob = friends(town)

    def killed(_account: object) -> None:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(bob, "promote", killed)
        with pytest.raises(OSError, match=r"^$"):
            rotate(bob)
    bob.restart()
    assert [account.record.epoch for account in bob.messenger.keyring.in_order()] == [1, 2]


def test_a_contact_who_is_one_rotation_behind_follows_where_the_server_lost_its_database(town: Town) -> None:
    alice, bob = friends(town)
    alice.go_offline()
    rotate(bob)
    bob.go_offline()
    town.world.close()
    for path in town.folder.glob("relay.db*"):
        path.unlink()
    town.world.open()
    for person in (alice, bob):
        record, link = person.messenger.account.record, f"again {person.user_id}"
        town.world.visit(link)
        town.world.do(link, town.world.register_frame(record, town.world.code(link, record)))
        person.take(person.messenger.forget_log(now=town.now))
        person.go_online()
    message = alice.write("bob", "still you")
    assert (alice.saw(IdentityChanged), bob.read[-1]) == ([], "still you")
    assert alice.messenger.history.state(message) == ("delivered", None)


def test_what_is_sealed_anew_keeps_its_place(town: Town) -> None:
    """A message is under way for a former key; the new one is heard of; another is typed; the first is refused."""
    alice, bob = friends(town)
    bob.write("alice", "so that she hears of what comes")
    late: list[Frame] = []

    def hold(frame: Frame) -> list[Frame]:
        if isinstance(frame, Message) and frame.sender_id == "alice":
            late.append(frame)
            return []
        return [frame]

    town.outward = hold
    alice.write("bob", "one")
    town.outward = lambda frame: [frame]
    rotate(bob)
    assert alice.link is not None
    town.to_relay.append((alice.link, late[0]))
    _, output = alice.messenger.writing.send_text("bob", "two", now=town.now)
    alice.take(output)
    town.run()
    assert bob.read[-2:] == ["one", "two"]
    assert bob.saw(MessagesMissing) == []


def test_a_server_that_went_back_further_than_the_keys_that_are_tried_lets_nobody_in(town: Town) -> None:
    alice, bob = friends(town)
    town.crash()
    before = town.world.path.read_bytes()
    bob.go_online()
    for _ in range(MAX_TRIED + 1):
        rotate(bob)
    town.world.close()
    town.world.path.write_bytes(before)
    town.crash()
    bob.go_online()
    assert bob.saw(LoginRefused) == [LoginRefused(Code.AUTHENTICATION_FAILED, 0)]
    assert alice.saw(LoginRefused) == []


def test_several_rotations_are_followed_at_once(town: Town) -> None:
    alice, bob = friends(town)
    alice.go_offline()
    for _ in range(3):
        rotate(bob)
    alice.go_online()
    assert alice.state(alice.write("bob", "hello again")) == "delivered"
    assert alice.saw(IdentityRotated) == [IdentityRotated("bob", was_verified=False)]
    assert alice.saw(IdentityChanged) == []


def test_a_long_chain_is_followed_to_its_end_before_anything_is_opened(
    tmp_path: Path, some_keys: list[PrivateKeys]
) -> None:
    limits = Limits(stranger_pending=1000, rotations=Rate(burst=100, every_s=1))
    town = Town(tmp_path, some_keys, limits)
    alice, bob = friends(town)
    alice.go_offline()
    written = [f"under key {number}" for number in range(MAX_RECORDS + 4)]
    for text in written:
        bob.write("alice", text)
        rotate(bob)
    alice.go_online()
    assert alice.read == ["hello yourself", *written]
    assert len(alice.saw(IdentityRotated)) == 2
    assert alice.saw(EnvelopeRefused) == []
    town.close()


# ---------------------------------------------------------------- one is away


def test_what_was_sealed_for_the_old_keys_still_opens(town: Town) -> None:
    alice, bob = friends(town)
    bob.looks = False  # he has been handed it, and not shown it
    message = alice.write("bob", "under way")
    bob.events.clear()
    bob.looks = True
    bob.database.run("DELETE FROM message WHERE direction = 'in'")
    bob.database.run("DELETE FROM seen")  # as if it had not come yet
    rotate(bob)
    bob.restart()
    bob.go_online()
    assert bob.read == ["under way"]
    assert alice.state(message) == "delivered"


def test_a_message_waits_over_a_rotation_of_its_sender(town: Town) -> None:
    """It is signed by the old keys, and comes before anything that the new ones have signed."""
    alice, bob = friends(town)
    bob.go_offline()
    alice.write("bob", "before")
    rotate(alice)
    alice.write("bob", "after")
    bob.go_online()
    assert bob.read == ["hello", "before", "after"]
    assert bob.saw(EnvelopeRefused) == []


def test_after_the_first_word_under_the_new_keys_the_old_ones_say_nothing(town: Town) -> None:
    """A thief of the old keys, with the server's help."""
    alice, bob = friends(town)
    envelope = kept_back(town, lambda: alice.write("bob", "kept back"))
    rotate(alice)
    alice.write("bob", "after")
    bob.take(bob.messenger.receive(envelope, now=town.now))
    town.run()
    assert bob.read == ["hello", "after"]
    assert bob.saw(EnvelopeRefused) == [EnvelopeRefused("alice")]


def test_a_forged_word_under_the_new_keys_does_not_close_the_old_ones(town: Town) -> None:
    """What the server makes up must not keep out what the contact has written."""
    alice, bob = friends(town)
    under_way = kept_back(town, lambda: alice.write("bob", "under way"))
    (notice,) = kept_back(town, lambda: rotate(alice))
    assert isinstance(notice, Delivery)
    kept_back(town, lambda: bob.write("alice", "hello again"))  # and so he hears of the rotation
    assert bob.saw(IdentityRotated) == [IdentityRotated("alice", was_verified=False)]
    forged = msgspec.structs.replace(decode_envelope(notice.envelope), id=bytes(16))
    bob.take(bob.messenger.receive([Delivery(envelope=Raw(canonical(forged)), sequence=999)], now=town.now))
    assert bob.saw(EnvelopeRefused) == [EnvelopeRefused("alice")]
    bob.take(bob.messenger.receive(under_way, now=town.now))
    assert bob.read == ["hello", "under way"]


def test_former_keys_are_forgotten_when_nothing_can_be_sealed_for_them_any_more(town: Town) -> None:
    _, bob = friends(town)
    rotate(bob)
    town.world.pass_time(36 * DAY)
    rotate(bob)
    bob.go_offline()
    bob.go_online()
    ((count,),) = bob.database.rows("SELECT count(*) FROM former_keys")
    assert count == 1


def test_the_first_message_of_somebody_who_rotated_since_opens(town: Town) -> None:
    bob = town.person("bob", away=True)
    alice = town.person("alice")
    alice.write("bob", "nice to meet you")
    rotate(alice)
    alice.write("bob", "I have new keys")
    bob.go_online()
    assert bob.read == ["nice to meet you", "I have new keys"]
    assert bob.saw(EnvelopeRefused) == []


def test_what_an_old_key_has_signed_is_not_shown_as_verified(town: Town) -> None:
    """A thief of the old keys and the server, who holds back everything under the new ones."""
    alice, bob = friends(town)
    under_way = kept_back(town, lambda: alice.write("bob", "under way"))
    kept_back(town, lambda: rotate(alice))
    kept_back(town, lambda: bob.write("alice", "hello again"))
    bob.messenger.decisions.verify("alice", bob.messenger.decisions.safety_number("alice"), now=town.now)
    bob.take(bob.messenger.receive(under_way, now=town.now))
    (shown,) = [event for event in bob.saw(MessageReceived) if isinstance(event, MessageReceived)][-1:]
    assert (shown.text, shown.trust) == ("under way", "unverified")


# ---------------------------------------------------------------- half way


@pytest.mark.parametrize("lost", [Rotate, Rotated])
def test_a_rotation_that_is_cut_short_goes_on_over_the_next_link(town: Town, lost: type[Frame]) -> None:
    alice, bob = friends(town)
    town.outward = town.inward = lambda frame: [] if isinstance(frame, lost) else [frame]
    rotate(bob)
    message = bob.write("alice", "meanwhile")
    assert bob.state(message) == "queued"
    assert not bob.messenger.settled
    bob.go_offline()
    town.outward = town.inward = lambda frame: [frame]
    bob.go_online()
    assert bob.messenger.account.record.epoch == 2
    assert bob.state(message) == "delivered"
    assert alice.read == ["hello yourself", "meanwhile"]
    assert bob.saw(LoginRefused) == []


def test_a_message_whose_reply_was_lost_before_a_rotation_is_shown_once(town: Town) -> None:
    """It is sealed anew under its id: the relay says that it has one by that id, and that is an answer."""
    alice, bob = friends(town)
    town.inward = lambda frame: [] if isinstance(frame, Accepted) else [frame]
    message = bob.write("alice", "once")
    bob.go_offline()
    town.inward = lambda frame: [frame]
    bob.messenger.rotate(now=town.now)
    bob.go_online()
    assert alice.read == ["hello yourself", "once"]
    assert bob.state(message) == "delivered"
    assert bob.messenger.outbox.count_messages() == 0


def test_a_second_rotation_waits_for_the_first(town: Town) -> None:
    bob = town.person("bob", away=True)
    bob.messenger.rotate(now=town.now)
    with pytest.raises(UsageError, match="being rotated"):
        bob.messenger.rotate(now=town.now)


def test_a_refused_rotation_leaves_the_present_keys(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    town = Town(tmp_path, some_keys, Limits(stranger_pending=1000))
    alice, bob = friends(town)
    for _ in range(6):
        rotate(bob)
    assert bob.messenger.account.record.epoch == 6
    (refused,) = bob.saw(OwnRotationRefused)
    assert isinstance(refused, OwnRotationRefused)
    assert refused.code is Code.RATE_LIMITED
    assert bob.state(bob.write("alice", "still here")) == "delivered"
    town.world.pass_time(refused.retry_after_s)
    bob.go_offline()
    bob.go_online()
    assert bob.messenger.account.record.epoch == 7
    assert alice.state(alice.write("bob", "there")) == "delivered"
    town.close()


# ---------------------------------------------------------------- the server lies


def lie(victim: Person, records: list[IdentityRecord], revocations: list[Revocation] | None = None) -> None:
    """Have the server answer look-ups so, and say of every envelope that the key has changed."""

    def change(frame: Frame) -> list[Frame]:
        if isinstance(frame, Accepted):
            return [Rejected(code=Code.KEY_CHANGED, id=envelope_id) for envelope_id in frame.ids]
        return [victim.told(records, revocations) if isinstance(frame, Identity) else frame]

    victim.town.inward = change


def test_a_key_that_the_old_one_has_not_signed_is_no_rotation(town: Town, some_keys: list[PrivateKeys]) -> None:
    alice, bob = friends(town)
    other = create_record(some_keys[2], "bob", created=START_S, suites=[1])
    lie(alice, [other])
    alice.write("bob", "secret")
    assert alice.saw(IdentityRotated) == []
    assert alice.saw(IdentityChanged) == [IdentityChanged("bob")]
    with pytest.raises(UntrustedKeyError):
        alice.messenger.writing.send_text("bob", "more", now=town.now)
    assert bob.read == ["hello", "secret"]  # sealed for him, before the lie


def test_records_that_are_no_chain_change_nothing(town: Town, some_keys: list[PrivateKeys]) -> None:
    alice, bob = friends(town)
    other = create_record(some_keys[2], "bob", created=START_S, suites=[1])
    lie(alice, [bob.messenger.account.record, other])
    alice.write("bob", "secret")
    assert [*alice.saw(IdentityRotated), *alice.saw(IdentityChanged)] == []
    assert trust(alice, "bob") is Trust.UNVERIFIED


def test_an_older_identity_of_theirs_is_a_lie(town: Town) -> None:
    """The directory goes back to what it was; the key log, which only grows, holds what came after."""
    alice, bob = friends(town)
    old = bob.messenger.account.record
    rotate(bob)
    lie(alice, [old])
    message = alice.write("bob", "secret")
    assert alice.saw(LogAlarm) == [LogAlarm(NOT_IN_LOG)]
    assert alice.messenger.history.state(message) == ("rejected", Code.UNTRUSTED_LOG)


# ---------------------------------------------------------------- revocation


def revoke(town: Town, person: Person) -> None:
    account = person.messenger.account
    town.world.visit("anybody")
    town.world.do(
        "anybody", Revoke(certificate=create_ending(Revocation, account.keys, account.record, created=START_S))
    )


def test_a_revoked_contact_is_written_to_and_read_no_more(town: Town) -> None:
    alice, bob = friends(town)
    bob.go_offline()
    revoke(town, bob)
    message = alice.write("bob", "are you there?")
    assert alice.saw(IdentityRevoked) == [IdentityRevoked("bob")]
    assert alice.messenger.history.state(message) == ("rejected", Code.ACCOUNT_REVOKED)
    assert trust(alice, "bob") is Trust.REVOKED
    with pytest.raises(UntrustedKeyError, match="revoked"):
        alice.messenger.writing.send_text("bob", "hello?", now=town.now)
    with pytest.raises(UntrustedKeyError, match="revoked"):
        alice.messenger.decisions.safety_number("bob")
    bob.go_online()
    assert bob.saw(LoginRefused) == [LoginRefused(Code.ACCOUNT_REVOKED, 0)]


def test_nothing_that_a_revoked_identity_has_signed_is_shown(town: Town) -> None:
    """Also what it signed before: the server may deliver it when it likes."""
    alice, bob = friends(town)
    kept = kept_back(town, lambda: bob.write("alice", "signed before"))
    bob.go_offline()
    revoke(town, bob)
    alice.write("bob", "are you there?")
    alice.take(alice.messenger.receive(kept, now=town.now))
    assert alice.read == ["hello yourself"]
    assert alice.saw(EnvelopeRefused) == [EnvelopeRefused("bob")]


def test_a_revoked_identity_stays_so_whatever_the_server_says_later(town: Town) -> None:
    alice, bob = friends(town)
    record = bob.messenger.account.record
    bob.go_offline()
    revoke(town, bob)
    alice.write("bob", "are you there?")
    alice.restart()
    alice.go_online()
    assert trust(alice, "bob") is Trust.REVOKED
    with alice.database.transaction():
        alice.messenger.contacts.see([record], [], now=town.now)
    assert trust(alice, "bob") is Trust.REVOKED


def test_somebody_new_under_a_revoked_name_is_for_the_person_to_decide(
    town: Town, some_keys: list[PrivateKeys]
) -> None:
    alice, bob = friends(town)
    bob.go_offline()
    revoke(town, bob)
    alice.write("bob", "are you there?")
    other = create_record(some_keys[2], "bob", created=START_S, suites=[1])
    with alice.database.transaction():
        alice.messenger.contacts.see([other], [], now=town.now)
    assert trust(alice, "bob") is Trust.CHANGED
    alice.take(alice.messenger.decisions.keep("bob", now=town.now))
    assert trust(alice, "bob") is Trust.REVOKED
    with alice.database.transaction():
        alice.messenger.contacts.see([other], [], now=town.now)
    alice.accept("bob")
    assert trust(alice, "bob") is Trust.UNVERIFIED


def test_a_certificate_that_is_somebody_else_s_revokes_nobody(town: Town, some_keys: list[PrivateKeys]) -> None:
    alice, bob = friends(town)
    record = bob.messenger.account.record
    forged = create_ending(Revocation, some_keys[2], record, created=START_S)
    lie(alice, [record], [forged])
    message = alice.write("bob", "hello?")
    assert alice.messenger.history.state(message) in {("rejected", Code.INVALID_RECORD), ("delivered", None)}
    assert trust(alice, "bob") is Trust.UNVERIFIED


def test_a_thief_who_made_new_keys_is_ended_with_the_first_certificate(town: Town) -> None:
    alice, bob = friends(town)
    account = bob.messenger.account
    certificate = create_ending(Revocation, account.keys, account.record, created=START_S)
    rotate(bob)  # the thief, who is Bob for all that can be seen
    bob.write("alice", "it is me")
    bob.go_offline()
    town.world.visit("anybody")
    town.world.do("anybody", Revoke(certificate=certificate))
    message = alice.write("bob", "is it you?")
    assert alice.messenger.history.state(message) == ("rejected", Code.ACCOUNT_REVOKED)
    assert trust(alice, "bob") is Trust.REVOKED


@pytest.mark.parametrize("rotations", [MAX_RECORDS + 2, 2 * MAX_RECORDS - 2])  # the last page: a part, and full
def test_a_thief_cannot_rotate_out_of_the_reach_of_the_first_certificate(
    tmp_path: Path, some_keys: list[PrivateKeys], rotations: int
) -> None:
    """A contact who has followed the thief fetches all identities, page by page, to see what the certificate ends."""
    town = Town(tmp_path, some_keys, Limits(rotations=Rate(burst=100, every_s=1)))
    alice, bob = friends(town)
    account = bob.messenger.account
    certificate = create_ending(Revocation, account.keys, account.record, created=START_S)
    for _ in range(rotations):
        rotate(bob)
        bob.write("alice", "it is me")
    bob.go_offline()
    town.world.visit("anybody")
    town.world.do("anybody", Revoke(certificate=certificate))
    message = alice.write("bob", "is it you?")
    assert alice.messenger.history.state(message) == ("rejected", Code.ACCOUNT_REVOKED)
    assert alice.saw(IdentityRevoked) == [IdentityRevoked("bob")]
    assert trust(alice, "bob") is Trust.REVOKED
    carol = town.person("carol")  # who has met neither
    message = carol.write("bob", "hello?")
    assert carol.messenger.history.state(message) == ("rejected", Code.ACCOUNT_REVOKED)
    town.close()


@pytest.mark.parametrize("what", ["a page is left out", "a page is put off"])
def test_pages_of_identities_follow_each_other(tmp_path: Path, some_keys: list[PrivateKeys], what: str) -> None:
    town = Town(tmp_path, some_keys, Limits(rotations=Rate(burst=100, every_s=1)))
    alice, bob = friends(town)
    account = bob.messenger.account
    certificate = create_ending(Revocation, account.keys, account.record, created=START_S)
    for _ in range(MAX_RECORDS + 2):
        rotate(bob)
        bob.write("alice", "it is me")
    bob.go_offline()
    town.world.visit("anybody")
    town.world.do("anybody", Revoke(certificate=certificate))
    put_off: list[Frame] = []

    def change(frame: Frame) -> list[Frame]:
        if not isinstance(frame, FetchIdentity) or frame.epoch != MAX_RECORDS:
            return [frame]
        if what == "a page is left out":
            return [msgspec.structs.replace(frame, epoch=MAX_RECORDS + 3)]
        if put_off:
            return [frame]
        put_off.append(frame)
        refusal = Refusal(code=Code.RATE_LIMITED, command="fetch_identity", retry_after_s=1, subject="bob")
        assert alice.link is not None
        town.to_people.append((alice.link, refusal))
        return []

    town.outward = change
    message = alice.write("bob", "is it you?")
    town.world.pass_time(5)
    alice.tick()
    if what == "a page is left out":
        assert alice.messenger.history.state(message) == ("rejected", Code.INVALID_RECORD)
        assert trust(alice, "bob") is Trust.UNVERIFIED
    else:
        assert alice.messenger.history.state(message) == ("rejected", Code.ACCOUNT_REVOKED)
        assert alice.saw(IdentityRevoked) == [IdentityRevoked("bob")]
    assert alice.saw(IdentityChanged) == []
    town.close()


def test_a_server_cannot_hand_out_identities_without_end(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    town = Town(tmp_path, some_keys, Limits(rotations=Rate(burst=100, every_s=1)))
    alice, bob = friends(town)
    account = bob.messenger.account
    certificate = create_ending(Revocation, account.keys, account.record, created=START_S)
    chain = [account.record]
    for _ in range(MAX_RECORDS):
        rotate(bob)
        bob.write("alice", "it is me")
        chain.append(bob.messenger.account.record)
    lie(alice, chain[1:], [certificate])  # a full page, whatever she asks for
    message = alice.write("bob", "is it you?")
    assert alice.messenger.history.state(message) in {("rejected", Code.INVALID_RECORD), ("delivered", None)}
    assert trust(alice, "bob") is Trust.UNVERIFIED
    town.close()


def test_one_met_after_the_end_is_known_as_ended(town: Town) -> None:
    alice, bob = town.person("alice"), town.person("bob")
    bob.go_offline()
    revoke(town, bob)
    message = alice.write("bob", "hello?")
    assert alice.messenger.history.state(message) == ("rejected", Code.ACCOUNT_REVOKED)
    assert alice.saw(IdentityRevoked) == [IdentityRevoked("bob")]


# ---------------------------------------------------------------- the safety number


def test_two_people_see_the_same_number_and_others_another(town: Town) -> None:
    alice, bob = friends(town)
    carol = town.person("carol")
    carol.write("bob", "hello")
    number = alice.messenger.decisions.safety_number("bob")
    assert number == bob.messenger.decisions.safety_number("alice")
    assert len(number) == 60
    assert number.isdigit()
    assert carol.messenger.decisions.safety_number("bob") != number


def test_the_person_s_word_makes_a_contact_verified(town: Town) -> None:
    alice, bob = friends(town)
    alice.messenger.decisions.verify("bob", alice.messenger.decisions.safety_number("bob"), now=town.now)
    assert trust(alice, "bob") is Trust.VERIFIED
    bob.messenger.decisions.verify("alice", alice.messenger.decisions.safety_number("bob"), now=town.now)
    assert trust(bob, "alice") is Trust.VERIFIED
    alice.restart()
    assert trust(alice, "bob") is Trust.VERIFIED


def test_another_number_verifies_nobody(town: Town) -> None:
    alice, _ = friends(town)
    with pytest.raises(UntrustedKeyError, match="not the safety number"):
        alice.messenger.decisions.verify("bob", "0" * 60, now=town.now)
    assert trust(alice, "bob") is Trust.UNVERIFIED


def test_what_is_no_number_is_a_mistake(town: Town) -> None:
    alice, _ = friends(town)
    for word in ("ok", "", "\u0663" * 60):
        with pytest.raises(UsageError, match="no safety number"):
            alice.messenger.decisions.verify("bob", word, now=town.now)


def test_somebody_never_met_cannot_be_compared(town: Town) -> None:
    alice = town.person("alice")
    with pytest.raises(UsageError, match="no contact yet"):
        alice.messenger.decisions.safety_number("bob")
    with pytest.raises(UsageError, match="no contact yet"):
        alice.messenger.decisions.verify("bob", "0" * 60, now=town.now)


def test_a_changed_contact_cannot_be_verified_before_the_person_has_decided(
    town: Town, some_keys: list[PrivateKeys]
) -> None:
    alice, _ = friends(town)
    number = alice.messenger.decisions.safety_number("bob")
    alice.messenger.decisions.verify("bob", number, now=town.now)
    other = create_record(some_keys[2], "bob", created=START_S, suites=[1])
    with alice.database.transaction():
        alice.messenger.contacts.see([other], [], now=town.now)
    with pytest.raises(UntrustedKeyError, match="has changed"):
        alice.messenger.decisions.verify("bob", number, now=town.now)
    assert trust(alice, "bob") is Trust.CHANGED


def test_any_key_of_either_changes_the_number(town: Town, some_keys: list[PrivateKeys]) -> None:
    """Attack row 16."""
    mine = create_record(some_keys[0], "alice", created=START_S, suites=[1])
    numbers = {safety_number(mine, create_record(some_keys[1], "bob", created=START_S, suites=[1]))}
    for name in ("rsa", "ed25519", "x25519", "mldsa65"):
        keys = replace(some_keys[1], **{name: getattr(some_keys[2], name)})
        numbers.add(safety_number(mine, create_record(keys, "bob", created=START_S, suites=[1])))
    assert len(numbers) == 5
