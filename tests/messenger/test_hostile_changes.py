"""Contacts, strangers and servers that obey no rule, and accidents that look like them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crypto_utils import PrivateKeys
from identity import create_record
from messenger.archive import Said, Wanted
from messenger.changes import NO_EMOJI
from messenger.content import NO_LOG, Content, Deletion, Edit, Notice, Reaction, Reference, Text, Timer, pack
from messenger.door import Standing
from messenger.events import MessageReceived, MessagesMissing, TimerChanged, Typing
from messenger.line import Output
from messenger.suites.draft import Draft
from messenger.suites.suite1 import Suite1
from messenger.ui.event_lines import event_line
from messenger.ui.text import said_line
from protocol import Accepted, Delivery, Envelope, Frame, Message, Receipt
from tests.attacks.stage import Stage, sealed
from tests.messenger.people import Person, Town
from tests.messenger.test_conversation import Desk

DAY = 24 * 3600


@pytest.fixture
def stage(town: Town) -> Stage:
    """Alice and bob, who know each other."""
    return Stage(town)


@pytest.fixture
def weak_stage(tmp_path: Path, some_keys: list[PrivateKeys]) -> Stage:
    """The same in suite 1, whose envelopes anybody can make who has the keys."""
    return Stage(Town(tmp_path, some_keys, suites=(1,)))


def do(person: Person, done: tuple[bytes, Output]) -> bytes:
    message_id, output = done
    person.take(output)
    person.town.run()
    return message_id


def rotate(person: Person) -> None:
    person.take(person.messenger.rotate(now=person.town.now))
    person.town.run()


def last(person: Person) -> Said:
    (said,) = person.messenger.archive.find(Wanted(), limit=1)
    return said


def texts(person: Person) -> list[str]:
    return [said.text for said in person.messenger.archive.find(Wanted(), limit=50)]


def under(sender: Person, recipient: Person, content: Content, envelope_id: bytes) -> Envelope:
    """Seal content under any id."""
    draft = Draft(Message, envelope_id, sender.town.now)
    return Suite1().encrypt(sender.account, recipient.account.record, draft, pack(content))


def without(stage: Stage, kind: type[Frame]) -> None:
    """Lose all frames of a kind that the server says."""
    stage.town.inward = lambda frame: [] if isinstance(frame, kind) else [frame]


def let_through(stage: Stage) -> None:
    stage.town.inward = stage.town.outward = lambda frame: [frame]


# ---------------------------------------------------------------- what is lost with a link


@pytest.mark.parametrize("whose", ["own", "theirs"])
def test_what_is_removed_while_its_answer_is_lost_ends_nothing(stage: Stage, whose: str) -> None:
    """The receipt came, `accepted` did not; the text's time is over, and new keys have all sealed anew."""
    alice, bob = stage.alice, stage.bob
    with alice.database.transaction():
        alice.messenger.book.keep("bob", 60)
    without(stage, Accepted)
    message = alice.write("bob", "soon gone")
    alice.go_offline()
    let_through(stage)
    stage.town.world.pass_time(120)
    alice.tick()
    alice.messenger.tidy(now=stage.town.now)
    if whose == "own":
        alice.messenger.rotate(now=stage.town.now)
    else:
        rotate(bob)
    alice.go_online()
    stage.town.run()
    assert alice.database.rows("SELECT 1 FROM outbox") == []
    alice.messenger.tidy(now=stage.town.now)
    alice.write("bob", "still here")
    assert (bob.read[-1], alice.state(message)) == ("still here", "deleted")


def test_an_outbox_that_names_what_is_gone_heals(stage: Stage) -> None:
    alice = stage.alice
    alice.go_offline()
    message, output = alice.messenger.writing.send_text("bob", "gone", now=stage.town.now)
    alice.take(output)
    alice.database.run("DELETE FROM message WHERE id = ?", message)
    alice.go_online()
    assert alice.messenger.outbox.find(message) is None
    alice.write("bob", "still here")
    assert stage.bob.read[-1] == "still here"


@pytest.mark.parametrize("what", ["edit", "delete"])
def test_a_change_of_what_had_arrived_arrives(stage: Stage, what: str) -> None:
    """`accepted` was lost, and the outbox was unsealed since: the text was there all the same."""
    alice, bob = stage.alice, stage.bob
    without(stage, Accepted)
    alice.write("bob", "something that I regret")
    rotate(bob)
    alice.go_offline()
    number, writing, now = last(alice).number, alice.messenger.writing, stage.town.now
    do(alice, writing.delete("bob", number, now=now) if what == "delete" else writing.edit("bob", number, "x", now=now))
    let_through(stage)
    alice.go_online()
    stage.town.run()
    assert [said.text for said in (last(alice), last(bob))] == ["" if what == "delete" else "x"] * 2


def test_an_answer_that_is_taken_back_takes_nothing_else_along(stage: Stage) -> None:
    """It answers an own text, has a number, and is sealed anew after it was deleted."""
    alice, bob = stage.alice, stage.bob
    alice.write("bob", "important")
    answered = last(alice).number
    stage.town.outward = lambda frame: [] if isinstance(frame, Message) and frame.sender_id == "alice" else [frame]
    do(alice, alice.messenger.writing.send_text("bob", "an answer", answers=answered, now=stage.town.now))
    rotate(bob)
    do(alice, alice.messenger.writing.delete("bob", last(alice).number, now=stage.town.now))
    let_through(stage)
    alice.restart()
    alice.go_online()
    assert "important" in texts(bob)
    assert bob.saw(MessagesMissing) == []


# ---------------------------------------------------------------- strangers, and who is blocked


@pytest.fixture
def mallory(weak_stage: Stage) -> Person:
    """A stranger to bob, who has not let her in."""
    mallory, bob = weak_stage.town.person("mallory"), weak_stage.bob
    bob.requests = True
    bob.restart()
    bob.go_online()
    mallory.write("bob", "hello, I am new here")
    assert bob.messenger.door.of("mallory") is Standing.REQUEST
    return mallory


def test_a_stranger_sets_no_timer_and_does_not_type(weak_stage: Stage, mallory: Person) -> None:
    bob = weak_stage.bob
    weak_stage.deliver(
        bob,
        sealed(mallory, bob, Timer(counter=2, lifetime_s=1, log=NO_LOG, version=1)),
        sealed(mallory, bob, Notice(about="typing", counter=2, log=NO_LOG), Receipt),
    )
    assert (bob.messenger.book.entry("mallory").lifetime_s, bob.saw(TimerChanged), bob.saw(Typing)) == (0, [], [])
    bob.write("mallory", "who is this?")
    weak_stage.town.world.pass_time(DAY)
    bob.tick()
    assert "who is this?" in texts(bob)


def test_who_was_written_to_stays_no_stranger(weak_stage: Stage, mallory: Person) -> None:
    bob, receipts = weak_stage.bob, list[Frame]()
    bob.write("mallory", "hello mallory")
    with bob.database.transaction():
        bob.messenger.book.keep("mallory", 60)
    weak_stage.town.world.pass_time(120)
    bob.messenger.tidy(now=weak_stage.town.now)
    assert "hello mallory" not in texts(bob)
    assert bob.messenger.door.of("mallory") is Standing.KNOWN

    def outward(frame: Frame) -> list[Frame]:
        receipts.append(frame)
        return [frame]

    weak_stage.town.outward = outward
    message = mallory.write("bob", "do you hear me?")
    assert mallory.state(message) == "delivered"
    bob.write("mallory", "yes")
    assert len([frame for frame in receipts if isinstance(frame, Receipt) and frame.sender_id == "bob"]) == 1


def test_new_keys_are_told_to_those_who_are_let_in(weak_stage: Stage, mallory: Person) -> None:
    bob, told = weak_stage.bob, set[str]()

    def outward(frame: Frame) -> list[Frame]:
        if isinstance(frame, Receipt) and frame.sender_id == "bob":
            told.add(frame.recipient_id)
        return [frame]

    weak_stage.town.outward = outward
    rotate(bob)
    assert told == {"alice"}
    told.clear()
    bob.take(bob.messenger.decisions.block("alice", now=weak_stage.town.now))
    rotate(bob)
    assert told == set()
    message = mallory.write("bob", "to your new keys")
    assert (bob.read[-1], mallory.state(message)) == ("to your new keys", "accepted")


def test_nothing_comes_of_who_is_blocked(weak_stage: Stage) -> None:
    """Neither what was stored before and not shown, nor what comes under another key."""
    alice, bob = weak_stage.alice, weak_stage.bob
    alice.looks = False
    bob.write("alice", "rude")
    alice.take(alice.messenger.decisions.block("bob", now=weak_stage.town.now))
    alice.restart()
    alice.events.clear()
    alice.take(Output(events=alice.messenger.resume()))
    assert alice.saw(MessageReceived) == []
    alice.go_online()
    record = create_record(weak_stage.town.keys[2], "bob", created=weak_stage.town.now, suites=[1])
    with alice.database.transaction():
        alice.messenger.contacts.see([record], [], now=weak_stage.town.now)
    weak_stage.deliver(alice, sealed(bob, alice, Text(counter=9, log=NO_LOG, text="x")))
    assert alice.database.rows("SELECT 1 FROM held") == []


def test_what_was_typed_long_ago_is_not_typed_now(weak_stage: Stage) -> None:
    """A server kept it, and says that nothing waited."""
    alice, bob = weak_stage.alice, weak_stage.bob
    kept: list[Delivery] = []
    bob.write("alice", "hello")
    alice.write("bob", "hi")

    def keep(frame: Frame) -> list[Frame]:
        if isinstance(frame, Delivery):
            kept.append(frame)
            return []
        return [frame]

    weak_stage.town.inward = keep
    bob.take(bob.messenger.writing.typing("alice", now=weak_stage.town.now))
    weak_stage.town.run()
    weak_stage.town.world.pass_time(600)
    alice.take(alice.messenger.receive([*kept], now=weak_stage.town.now))
    assert (len(kept), alice.saw(Typing)) == (1, [])


# ---------------------------------------------------------------- contacts who obey no rule


@pytest.mark.parametrize("emoji", ["x\ncarol: yes!", "\n[10:00] a: ok", "); carol: yes (a", "\x1b[2J", "\u202e", "\0"])
def test_a_reaction_is_an_emoji_or_a_question_mark(weak_stage: Stage, emoji: str) -> None:
    alice, bob = weak_stage.alice, weak_stage.bob
    message = alice.write("bob", "send money?")
    about = Reference(author="alice", id=message)
    weak_stage.deliver(alice, sealed(bob, alice, Reaction(about=about, counter=2, emoji=emoji, log=NO_LOG)))
    assert last(alice).reactions == ("", NO_EMOJI)
    for line in (said_line(last(alice)), event_line(alice.events[-1])):
        assert len(line.splitlines()) == 1


def test_changes_that_are_reordered_end_with_the_newest(weak_stage: Stage) -> None:
    alice, bob = weak_stage.alice, weak_stage.bob
    message = bob.write("alice", "the price is 1")
    about = Reference(author="bob", id=message)
    older, newer = (
        sealed(bob, alice, Edit(counter=counter, id=message, log=NO_LOG, text=f"the price is {counter}"))
        for counter in (2, 3)
    )
    taken_back, given = (
        sealed(bob, alice, Reaction(about=about, counter=counter, emoji=emoji, log=NO_LOG))
        for counter, emoji in ((5, ""), (4, "\N{FIRE}"))
    )
    weak_stage.deliver(alice, newer, older, taken_back, given)
    assert (last(alice).text, last(alice).reactions) == ("the price is 3", ("", ""))


def test_new_keys_change_nothing_that_the_old_ones_said(weak_stage: Stage) -> None:
    """The person has taken them; who has them now may be somebody else."""
    alice, bob, town = weak_stage.alice, weak_stage.bob, weak_stage.town
    do(bob, bob.messenger.writing.set_timer("alice", 3600, now=town.now))
    message = bob.write("alice", "account 1234")
    about = Reference(author="bob", id=message)
    weak_stage.deliver(alice, sealed(bob, alice, Reaction(about=about, counter=3, emoji="\N{FIRE}", log=NO_LOG)))
    other = Person(town, "bob", 1)
    record = create_record(town.keys[2], "bob", created=town.now, suites=[1])
    object.__setattr__(other.account, "keys", town.keys[2])
    object.__setattr__(other.account, "record", record)
    with alice.database.transaction():
        alice.messenger.contacts.see([record], [], now=town.now)
    alice.take(alice.messenger.decisions.accept("bob", now=town.now))
    weak_stage.deliver(
        alice,
        sealed(other, alice, Edit(counter=1, id=message, log=NO_LOG, text="account 6666")),
        sealed(other, alice, Deletion(counter=2, id=message, log=NO_LOG)),
        sealed(other, alice, Timer(counter=3, lifetime_s=0, log=NO_LOG, version=1)),
        sealed(other, alice, Reaction(about=about, counter=1, emoji="", log=NO_LOG)),
    )
    assert last(alice).reactions == ("", "")  # they count their messages from 1, and may take it back
    assert "account 1234" in texts(alice)
    assert alice.messenger.book.entry("bob").lifetime_s == 0  # they count their timers from 1
    other.database.close()


def test_a_version_that_nobody_reaches_is_not_followed(weak_stage: Stage) -> None:
    alice, bob = weak_stage.alice, weak_stage.bob
    weak_stage.deliver(alice, sealed(bob, alice, Timer(counter=2, lifetime_s=1, log=NO_LOG, version=2**53 - 1)))
    assert alice.messenger.book.entry("bob").lifetime_s == 0
    do(alice, alice.messenger.writing.set_timer("bob", 60, now=weak_stage.town.now))
    assert bob.messenger.book.entry("alice").lifetime_s == 60


def test_who_goes_back_to_a_backup_sets_timers_again(stage: Stage) -> None:
    alice, bob = stage.alice, stage.bob
    for lifetime_s in (60, 120, 30):
        do(bob, bob.messenger.writing.set_timer("alice", lifetime_s, now=stage.town.now))
    with alice.database.transaction():
        alice.messenger._tables.changes.count_timers_anew("bob")  # as their notice has it done
    with bob.database.transaction():
        bob.messenger.book.set_timer("alice", 60, 1)  # as it was when the backup was made
    do(bob, bob.messenger.writing.set_timer("alice", 90, now=stage.town.now))
    assert alice.messenger.book.entry("bob").lifetime_s == 90


def test_an_id_of_the_persons_own_names_the_other_text_where_that_is_meant(weak_stage: Stage) -> None:
    alice, bob = weak_stage.alice, weak_stage.bob
    own = alice.write("bob", "the plan is B")
    weak_stage.deliver(alice, under(bob, alice, Text(counter=2, log=NO_LOG, text="answer me"), own))
    archive = alice.messenger.archive
    assert archive.meant("bob", own.hex(), outgoing=False).text == "answer me"
    assert archive.meant("bob", own.hex(), outgoing=True).text == "the plan is B"


def test_a_change_under_the_id_of_what_waits_removes_nothing_of_it(weak_stage: Stage) -> None:
    alice, bob = weak_stage.alice, weak_stage.bob
    weak_stage.town.outward = lambda frame: [] if isinstance(frame, Message) and frame.sender_id == "alice" else [frame]
    waiting = alice.write("bob", "not to be lost")
    text = under(bob, alice, Text(counter=2, lifetime_s=1, log=NO_LOG, text="ephemeral"), os.urandom(16))
    about = Reference(author="bob", id=text.id)
    weak_stage.deliver(
        alice, text, under(bob, alice, Reaction(about=about, counter=3, emoji="\N{FIRE}", log=NO_LOG), waiting)
    )
    alice.take(alice.messenger.read("bob", now=weak_stage.town.now))
    weak_stage.town.world.pass_time(3)
    alice.tick()
    let_through(weak_stage)
    alice.restart()
    alice.go_online()
    assert bob.read[-1] == "not to be lost"


def test_changes_of_texts_leave_no_rows(stage: Stage) -> None:
    alice, bob = stage.alice, stage.bob
    message = last(alice)
    for emoji in ("\N{FIRE}", "\N{THUMBS UP SIGN}", ""):
        do(bob, bob.messenger.writing.react("alice", last(bob).number, emoji, now=stage.town.now))
    assert alice.database.rows("SELECT 1 FROM message WHERE kind != 'text' AND direction = 'in'") == []
    assert message.number == last(alice).number


# ---------------------------------------------------------------- what is told


def test_a_timer_is_told_wherever_the_person_looks(stage: Stage) -> None:
    desk, carol = Desk(stage.alice), stage.town.person("carol")
    carol.write("alice", "hello")
    desk.see()
    desk.type("carol")
    do(stage.bob, stage.bob.messenger.writing.set_timer("alice", 60, now=stage.town.now))
    desk.see()
    assert desk.shown[-1].startswith("* bob has set: from now on messages with bob disappear 1 minute after")
    desk.told.clear()
    desk.type("/to bob")
    assert desk.told[0].startswith("* from now on messages with bob disappear 1 minute")


@pytest.mark.parametrize(
    "entry",
    ["/to \udcff", "@\udcff hello", "/search \udcff", "/note bob \udcff", "\udcff", "/export ~nobody-here/x",
     "/export a\0b", "/search " + "a " * 5000, "/history bob\0", "/search since:0001-01-01 a", "/react \udcff"],
)  # fmt: skip
def test_what_cannot_be_typed_is_an_error_and_no_more(stage: Stage, entry: str) -> None:
    desk = Desk(stage.alice)
    desk.type("bob", entry)
    assert desk.told[-1].startswith("! ")
    desk.type("still here")
    assert stage.bob.read[-1] == "still here"
