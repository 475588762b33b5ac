"""What changes a text, at both ends: edits, deletions, reactions, timers; and who is typing."""

from __future__ import annotations

import random

import pytest

from errors import UsageError
from messenger.archive import Said, Wanted
from messenger.changes import CHANGED_WITHIN_S, TAKEN_WITHIN_S
from messenger.content import NO_LOG, Deletion, Edit, Reaction, Reference, Text, Timer
from messenger.events import (
    MessageDeleted,
    MessageEdited,
    MessageReaction,
    MessageReceived,
    MessagesExpired,
    MessagesMissing,
    TimerChanged,
    Typing,
)
from messenger.line import Output
from protocol import Frame, Message
from tests.messenger.people import Person, Town
from tests.trial import Trial

DAY = 24 * 3600


@pytest.fixture
def alice(town: Town) -> Person:
    return town.person("alice")


@pytest.fixture
def bob(alice: Person) -> Person:
    """Bob, who has written to alice and whom she has answered."""
    bob = alice.town.person("bob")
    bob.write("alice", "hello alice")
    alice.write("bob", "hello bob")
    return bob


def last(person: Person) -> Said:
    (said,) = person.messenger.archive.find(Wanted(), limit=1)
    return said


def all_said(person: Person) -> list[tuple[str, bool, tuple[str, str]]]:
    return [(said.text, said.edited, said.reactions) for said in person.messenger.archive.find(Wanted(), limit=50)]


def do(person: Person, done: tuple[bytes, Output]) -> bytes:
    message_id, output = done
    person.take(output)
    person.town.run()
    return message_id


def edit(person: Person, peer: str, text: str) -> bytes:
    return do(person, person.messenger.writing.edit(peer, last(person).number, text, now=person.town.now))


def delete(person: Person, peer: str) -> bytes:
    return do(person, person.messenger.writing.delete(peer, last(person).number, now=person.town.now))


def react(person: Person, peer: str, emoji: str) -> bytes:
    return do(person, person.messenger.writing.react(peer, last(person).number, emoji, now=person.town.now))


def send(person: Person, peer: str, text: str, *, answers: int | None = None) -> bytes:
    return do(person, person.messenger.writing.send_text(peer, text, answers=answers, now=person.town.now))


def set_timer(person: Person, peer: str, lifetime_s: int) -> bytes:
    return do(person, person.messenger.writing.set_timer(peer, lifetime_s, now=person.town.now))


# ---------------------------------------------------------------- answers


def test_an_answer_names_what_it_answers_on_either_side(alice: Person, bob: Person) -> None:
    send(bob, "alice", "to yours", answers=last(bob).number)
    (received,) = alice.saw(MessageReceived)[-1:]
    assert received.quote is not None
    assert (received.quote.text, received.quote.outgoing, received.number) == ("hello bob", True, last(alice).number)
    send(bob, "alice", "to my own", answers=last(bob).number)
    quote = last(alice).quote
    assert quote is not None
    assert (quote.text, quote.outgoing) == ("to yours", False)
    assert alice.saw(MessagesMissing) == []


def test_an_answer_to_what_is_gone_is_a_message(alice: Person, bob: Person) -> None:
    number = last(alice).number
    delete(alice, "bob")
    with pytest.raises(UsageError, match="no message"):
        alice.messenger.writing.send_text("bob", "what?", answers=number, now=alice.town.now)
    bob.town.run()
    with pytest.raises(UsageError, match="no message"):
        bob.messenger.writing.send_text("alice", "what?", answers=10**9, now=bob.town.now)


# ---------------------------------------------------------------- edits and deletions


def test_an_edit_arrives_and_is_found_under_its_new_words(alice: Person, bob: Person) -> None:
    told = edit(alice, "bob", "good morning bob")
    (event,) = bob.saw(MessageEdited)
    assert event.quote is not None
    assert event.quote.text == "good morning bob"
    assert all_said(bob) == all_said(alice)
    assert last(bob).edited
    assert bob.messenger.archive.find(Wanted("hello"), limit=5)[-1].text == "hello alice"
    assert [said.text for said in bob.messenger.archive.find(Wanted("morning"), limit=5)] == ["good morning bob"]
    assert alice.state(told) == "delivered"


def test_a_deletion_leaves_no_word_and_no_reaction(alice: Person, bob: Person) -> None:
    react(bob, "alice", "\N{THUMBS UP SIGN}")
    delete(alice, "bob")
    (event,) = bob.saw(MessageDeleted)
    assert event.quote is not None
    for person in (alice, bob):
        assert (last(person).text, last(person).deleted, last(person).reactions) == ("", True, ("", ""))
        assert person.messenger.archive.find(Wanted("hello bob"), limit=5) == []


def test_what_was_not_sealed_yet_goes_out_as_it_is_by_then(alice: Person, bob: Person) -> None:
    alice.go_offline()
    _, output = alice.messenger.writing.send_text("bob", "one", now=alice.town.now)
    alice.take(output)
    edit(alice, "bob", "two")
    alice.go_online()
    assert bob.read[-1] == "two"
    assert bob.saw(MessageEdited) == []


def test_what_was_not_sealed_yet_and_is_deleted_was_never_written(alice: Person, bob: Person) -> None:
    before = all_said(alice)
    alice.go_offline()
    alice.take(alice.messenger.writing.send_text("bob", "oh no", now=alice.town.now)[1])
    delete(alice, "bob")
    assert all_said(alice) == before
    alice.go_online()
    alice.write("bob", "hello again")
    assert bob.read[-1] == "hello again"
    assert (bob.saw(MessageDeleted), bob.saw(MessagesMissing)) == ([], [])


def test_what_is_deleted_while_its_edit_waits_arrives_deleted(alice: Person, bob: Person) -> None:
    alice.go_offline()
    for change in (edit(alice, "bob", "one"), delete(alice, "bob")):
        assert alice.state(change) == "queued"
    alice.go_online()
    assert [last(person).deleted for person in (alice, bob)] == [True, True]
    assert bob.saw(MessagesMissing) == []


def test_a_change_that_is_stored_and_not_shown_is_shown_at_the_next_start(alice: Person, bob: Person) -> None:
    bob.looks = False
    edit(alice, "bob", "one")
    react(alice, "bob", "\N{THUMBS UP SIGN}")
    delete(alice, "bob")
    bob.events.clear()
    bob.restart()
    assert [type(event) for event in bob.events] == [MessageEdited, MessageReaction, MessageDeleted]


def test_one_changes_what_one_wrote_within_a_day(alice: Person, bob: Person) -> None:
    theirs = last(bob).number
    writing, now = bob.messenger.writing, bob.town.now
    with pytest.raises(UsageError, match="is what the other wrote"):
        writing.edit("alice", theirs, "I owe you", now=now)
    with pytest.raises(UsageError, match="is what the other wrote"):
        writing.delete("alice", theirs, now=now)
    number = last(alice).number
    with pytest.raises(UsageError, match="more than a day"):
        alice.messenger.writing.edit("bob", number, "late", now=now + CHANGED_WITHIN_S)
    with pytest.raises(UsageError, match="no message"):
        alice.messenger.writing.edit("carol", number, "elsewhere", now=now)
    with pytest.raises(UsageError, match="empty"):
        alice.messenger.writing.edit("bob", number, " ", now=now)


def test_what_was_never_delivered_cannot_be_changed(alice: Person) -> None:
    alice.write("nobody", "hello")
    with pytest.raises(UsageError, match="never delivered"):
        alice.messenger.writing.edit("nobody", last(alice).number, "hello?", now=alice.town.now)


def take(person: Person, content: Text | Edit | Deletion | Reaction | Timer, *, now: int) -> tuple[str, int | None]:
    with person.database.transaction():
        return person.messenger._tables.changes.take("alice", content, now=now)


def test_nobody_changes_what_is_not_theirs_or_long_past(alice: Person, bob: Person) -> None:
    """Whatever a client that obeys no rule sends."""
    theirs, own = last(bob), bob.messenger.archive.last_sent("alice")
    assert own is not None
    before, now = all_said(bob), bob.town.now
    for content in (
        Edit(counter=9, id=own.id, log=NO_LOG, text="I owe you"),
        Deletion(counter=9, id=own.id, log=NO_LOG),
        Edit(counter=9, id=bytes(16), log=NO_LOG, text="nothing"),
        Reaction(about=Reference(author="carol", id=theirs.id), counter=9, emoji="\N{FIRE}", log=NO_LOG),
        Reaction(about=Reference(author="alice", id=own.id), counter=9, emoji="\N{FIRE}", log=NO_LOG),
    ):
        assert take(bob, content, now=now)[1] is None
    late = Edit(counter=9, id=theirs.id, log=NO_LOG, text="late")
    assert take(bob, late, now=theirs.stored_at + TAKEN_WITHIN_S) == ("edit", None)
    assert all_said(bob) == before


def test_a_change_of_what_is_not_here_is_told_and_confirmed(alice: Person, bob: Person) -> None:
    with bob.database.transaction():
        bob.messenger._tables.changes.forget(last(bob).number)
    changes = [edit(alice, "bob", "one"), react(alice, "bob", "\N{FIRE}"), delete(alice, "bob")]
    quotes = [event.quote for event in bob.saw(MessageEdited)] + [event.quote for event in bob.saw(MessageReaction)]
    assert quotes + [event.quote for event in bob.saw(MessageDeleted)] == [None] * 3
    assert [alice.state(change) for change in changes] == ["delivered"] * 3


# ---------------------------------------------------------------- reactions


def test_a_reaction_takes_the_place_of_the_one_before(alice: Person, bob: Person) -> None:
    react(bob, "alice", "\N{FIRE}")
    react(bob, "alice", "\N{THUMBS UP SIGN}")
    react(alice, "bob", "\N{FIRE}")
    assert last(alice).reactions == ("\N{FIRE}", "\N{THUMBS UP SIGN}")
    assert last(bob).reactions == ("\N{THUMBS UP SIGN}", "\N{FIRE}")
    react(bob, "alice", "")
    assert alice.saw(MessageReaction)[-1].emoji == ""
    assert last(alice).reactions == ("\N{FIRE}", "")


@pytest.mark.parametrize("emoji", ["no", "\N{FIRE}" * 17, "\N{FIRE} \N{FIRE}", "\n"])
def test_what_is_no_emoji_is_no_reaction(bob: Person, emoji: str) -> None:
    with pytest.raises(UsageError, match="no reaction"):
        bob.messenger.writing.react("alice", last(bob).number, emoji, now=bob.town.now)


# ---------------------------------------------------------------- sent again, in any order


def test_changes_that_are_asked_for_again_say_how_it_is_by_now(alice: Person, bob: Person, town: Town) -> None:
    """Bob loses his sessions while changes are on their way: he asks, and gets the last state of each."""
    fire, heart = "\N{FIRE}", "\N{HEAVY BLACK HEART}"
    bob.go_offline()
    for text in ("one", "two"):
        edit(alice, "bob", text)
    for emoji in (fire, heart):
        react(alice, "bob", emoji)
    bob.database.run("DELETE FROM session")
    bob.go_online()
    town.run()
    assert all_said(bob)[-1] == ("two", True, ("", heart))
    assert all_said(alice)[-1] == ("two", True, (heart, ""))


def some_change(person: Person, peer: str, chance: random.Random) -> None:
    said = [each for each in person.messenger.archive.latest(peer, limit=6) if not each.deleted]
    own = [each for each in said if each.outgoing]
    writing, now = person.messenger.writing, person.town.now
    what = chance.choice(["send", "edit", "delete", "react", "react"])
    if what == "edit" and own:
        do(person, writing.edit(peer, chance.choice(own).number, f"edit {chance.random()}", now=now))
    elif what == "delete" and own:
        do(person, writing.delete(peer, chance.choice(own).number, now=now))
    elif what == "react" and said:
        emoji = chance.choice(["\N{FIRE}", "\N{THUMBS UP SIGN}", ""])
        do(person, writing.react(peer, chance.choice(said).number, emoji, now=now))
    else:
        send(person, peer, f"text {chance.random()}")


def test_both_sides_come_to_the_same_whatever_happens_to_them(alice: Person, bob: Person, trial: Trial) -> None:
    """Links end, programs crash, sessions are lost: in the end both see the same texts, in what order they came."""
    pair, chance = ((alice, "bob"), (bob, "alice")), trial.random
    for _ in range(trial.size(120, 2_000)):
        person, peer = chance.choice(pair)
        some_change(person, peer, chance)
        match chance.randrange(12):
            case 0:
                person.go_offline()
            case 1:
                person.restart()
            case 2:
                person.database.run("DELETE FROM session")
        if person.link is None and chance.random() < 0.5:
            person.go_online()
            person.town.run()
    for _ in range(3):  # what is asked for again is sent again over the next link
        for person, _peer in pair:
            person.go_offline()
            person.go_online()
        alice.town.run()
    ours, theirs = (sorted(everything(person)) for person, _ in pair)
    assert ours == theirs
    trial.note(texts=len(ours))


def everything(person: Person) -> list[tuple[str, str, str, str]]:
    """Return all texts with author and reactions, alice's before bob's.

    Not what was deleted: of a text that was, before the other could open it, there is nothing to send again.
    """
    me, them = person.account.user_id, {"alice": "bob", "bob": "alice"}[person.account.user_id]
    found = []
    for said in person.messenger.archive.each(Wanted()):
        if said.deleted:
            continue
        author = me if said.outgoing else them
        reactions = said.reactions if me == "alice" else said.reactions[::-1]
        found.append((author, said.text, *reactions))
    return found


# ---------------------------------------------------------------- timers


def test_texts_disappear_on_both_sides_each_from_its_own_reading(alice: Person, bob: Person) -> None:
    set_timer(alice, "bob", 3600)
    (event,) = bob.saw(TimerChanged)
    assert event.lifetime_s == 3600
    before = all_said(bob)
    bob.looks = False
    send(alice, "bob", "gone soon")
    received = bob.saw(MessageReceived)[-1]
    assert received.lifetime_s == 3600
    alice.town.world.pass_time(1800)
    bob.take(bob.messenger.shown([("alice", received.id)], read=True, now=bob.town.now))
    bob.town.run()
    alice.town.world.pass_time(1800)
    for person, gone in ((alice, True), (bob, False)):
        person.tick()
        assert (all_said(person)[-1][0] != "gone soon") is gone
        assert bool(person.saw(MessagesExpired)) is gone
    alice.town.world.pass_time(1800)
    bob.tick()
    assert all_said(bob) == before
    send(bob, "alice", "mine too")
    assert last(bob).expires_at is not None


def test_a_timer_that_is_off_lets_texts_stay(alice: Person, bob: Person) -> None:
    set_timer(alice, "bob", 60)
    set_timer(bob, "alice", 0)
    send(alice, "bob", "for ever")
    assert [last(person).expires_at for person in (alice, bob)] == [None, None]


def test_two_who_set_the_timer_at_once_end_with_the_shorter(alice: Person, bob: Person) -> None:
    for person in (alice, bob):
        person.go_offline()
    set_timer(alice, "bob", 0)
    set_timer(bob, "alice", 60)
    for person in (alice, bob):
        person.go_online()
    entries = [alice.messenger.book.entry("bob"), bob.messenger.book.entry("alice")]
    assert [(entry.lifetime_s, entry.timer_version) for entry in entries] == [(60, 1)] * 2


def test_what_disappears_is_not_missing_and_its_place_is_not_given_again(alice: Person, bob: Person) -> None:
    set_timer(alice, "bob", 30)
    send(alice, "bob", "one")
    react(bob, "alice", "\N{FIRE}")
    alice.town.world.pass_time(31)
    alice.tick()
    alice.restart()
    alice.go_online()
    send(alice, "bob", "two")
    assert bob.read[-2:] == ["one", "two"]
    assert bob.saw(MessagesMissing) == []


def test_what_is_unread_or_waits_does_not_disappear(alice: Person, bob: Person) -> None:
    set_timer(alice, "bob", 30)
    bob.looks = False
    alice.go_offline()
    _, output = alice.messenger.writing.send_text("bob", "later", now=alice.town.now)
    alice.take(output)
    alice.town.world.pass_time(10 * DAY)
    alice.tick()
    alice.go_online()
    assert bob.read[-1] == "later"
    bob.take(bob.messenger.shown([("alice", bob.saw(MessageReceived)[-1].id)], read=False, now=bob.town.now))
    alice.town.world.pass_time(10 * DAY)
    bob.tick()
    assert last(bob).text == "later"
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    alice.town.world.pass_time(31)
    bob.tick()
    assert last(bob).text != "later"


def test_a_conversation_keeps_its_messages_as_long_as_the_person_wants(alice: Person, bob: Person) -> None:
    with bob.database.transaction():
        bob.messenger.book.keep("alice", DAY)
    assert bob.messenger.book.entry("alice").kept_s == DAY
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    alice.town.world.pass_time(DAY + 1)
    bob.tick()
    assert all_said(bob) == []
    assert len(all_said(alice)) == 2
    bob.write("alice", "still here")
    assert alice.read[-1] == "still here"
    assert alice.saw(MessagesMissing) == []


# ---------------------------------------------------------------- typing


def types(person: Person, peer: str) -> None:
    person.take(person.messenger.writing.typing(peer, now=person.town.now))
    person.town.run()


def test_who_was_just_heard_of_sees_that_the_other_types(alice: Person, bob: Person) -> None:
    types(alice, "bob")
    assert bob.saw(Typing) == [Typing("alice")]
    assert alice.database.rows("SELECT 1 FROM outbox") == []


def test_nobody_else_hears_that_somebody_types(alice: Person, bob: Person) -> None:
    frames: list[Frame] = []
    alice.town.inward = lambda frame: frames.append(frame) or [frame]  # type: ignore[func-returns-value]
    types(alice, "carol")
    alice.town.world.pass_time(3600)
    types(alice, "bob")
    bob.go_offline()
    types(alice, "bob")
    alice.go_offline()
    types(alice, "bob")
    assert [frame for frame in frames if isinstance(frame, Message)] == []
    assert alice.database.rows("SELECT 1 FROM outbox") == []


def test_that_somebody_has_typed_is_no_news_later(alice: Person, bob: Person) -> None:
    bob.go_offline()
    types(alice, "bob")
    bob.go_online()
    assert bob.saw(Typing) == []


def test_what_was_typed_when_the_link_ended_is_forgotten(alice: Person, bob: Person) -> None:
    alice.messenger.writing.typing("bob", now=alice.town.now)
    alice.go_offline()
    alice.go_online()
    assert alice.database.rows("SELECT 1 FROM outbox") == []
    assert bob.saw(Typing) == []


def test_who_keeps_it_to_themselves_does_not_say_that_they_type(alice: Person, bob: Person) -> None:
    alice.typing = False
    alice.restart()
    alice.go_online()
    bob.write("alice", "are you there?")
    types(alice, "bob")
    assert bob.saw(Typing) == []
