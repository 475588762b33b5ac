"""What a person types, and what they see."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crypto_utils import PrivateKeys
from identity import create_record
from messenger.conversation import NO_RECIPIENT, Conversation
from messenger.events import AccountErased, IdentityRotated, MessageReceived, MessageRequested, ServerHolds, Typing
from messenger.ui.event_lines import event_line
from messenger.ui.held_rows import HELD_ROWS
from messenger.ui.text import clock
from tests.messenger.people import Person, Town


class Desk:
    """A person's screen and keyboard."""

    watched = True

    def __init__(self, person: Person) -> None:
        self.person = person
        self.shown: list[str] = []
        self.told: list[str] = []
        self.left = False
        self.drawn: list[str] = []
        self.refreshed = 0
        self.rung: list[str] = []
        self.seen = 0  # of the person's events
        self.conversation = Conversation(
            person.messenger,
            self,
            send=lambda frames: person.town.to_relay.extend((person.link or "", frame) for frame in frames),
            leave=self.leave,
            notify=self.rung.append,
        )

    def show(self, line: str) -> None:
        self.shown.append(line)

    def tell(self, line: str) -> None:
        self.told.append(line)

    def progress(self, line: str) -> None:
        self.shown.append(line)

    def refresh(self) -> None:
        self.refreshed += 1

    def draw(self, text: str) -> None:
        self.drawn.append(text)

    def leave(self) -> None:
        self.left = True

    def type(self, *entries: str) -> None:
        for entry in entries:
            self.conversation.enter(entry, now=self.person.town.now)
            self.person.town.run()

    def see(self) -> None:
        """Look at what has come since."""
        events, self.seen = self.person.events[self.seen :], len(self.person.events)
        self.conversation.show_events(events, now=self.person.town.now)
        self.person.town.run()


@pytest.fixture
def bob(town: Town) -> Person:
    town.person("alice")
    return town.person("bob")


@pytest.fixture
def desk(bob: Person, some_keys: list[PrivateKeys]) -> Desk:
    return Desk(bob.town.people["alice"])


def test_the_prompt_names_the_recipient_and_without_one_nothing_is_sent(desk: Desk, bob: Person) -> None:
    assert desk.conversation.prompt() == NO_RECIPIENT
    desk.type("bob")
    assert desk.conversation.prompt() == "Enter message to bob (new): "
    desk.type("hello", "", "  ")
    assert bob.read == ["hello"]


def test_the_prompt_says_how_far_the_key_is_trusted(desk: Desk, bob: Person, some_keys: list[PrivateKeys]) -> None:
    desk.type("bob", "hello", "/contacts")
    assert desk.conversation.prompt() == "Enter message to bob (unverified): "
    desk.type("/verify bob ok")
    assert desk.told[-1].startswith("! you have not seen the safety number")
    desk.type("/verify bob", "/verify bob ok")
    assert desk.conversation.prompt() == "Enter message to bob (verified): "
    other = create_record(some_keys[2], "bob", created=1, suites=[1])
    with desk.person.database.transaction():
        desk.person.messenger.contacts.see([other], [], now=bob.town.now)
    desk.type("hello?")
    assert desk.conversation.prompt() == "Enter message to bob (changed): "
    assert bob.read == ["hello"]


def test_verify_shows_the_number_and_takes_an_answer(desk: Desk, bob: Person) -> None:
    desk.type("/verify bob", "@bob hello", "/verify bob")
    assert desk.told[0].startswith("! bob is no contact yet")
    number = bob.messenger.decisions.safety_number("alice")
    assert desk.drawn == [number]
    shown = [line.strip() for line in desk.told if re.fullmatch(r"  \d{5}( \d{5}){3}", line)]
    assert "".join(shown).replace(" ", "") == number
    desk.told.clear()
    desk.type("/verify bob 12345", "/verify bob maybe", f"/verify bob {shown[0]} {shown[1]} {shown[2]}")
    assert [line.splitlines()[0] for line in desk.told] == [
        "! this is not the safety number that you have with bob",
        "! 'maybe' is no safety number",
        "* bob is verified: you have compared your keys",
    ]
    bob.write("alice", "hello")
    assert any(line.endswith("bob (verified): hello") for line in map(event_line, desk.person.events))


def test_a_yes_is_to_the_number_that_was_shown(desk: Desk, bob: Person) -> None:
    """The keys were rotated between the look and the word."""
    desk.type("@bob hello", "/verify bob")
    bob.take(bob.messenger.rotate(now=bob.town.now))
    bob.town.run()
    desk.type("/verify bob ok")
    assert "not the safety number" in desk.told[-1]
    desk.type("/verify bob", "/verify bob ok")
    assert "bob is verified" in desk.told[-1]


def test_keys_are_shown_and_rotated(desk: Desk, bob: Person) -> None:
    desk.type("@bob hello", "/keys", "/keys turn")
    assert re.fullmatch(r"\* the keys of alice: number 1, since \d{4}-\d\d-\d\d, identity [0-9a-f]{64}", desk.told[-2])
    assert desk.told[-1].startswith("! /keys turn is not known")
    desk.type("/keys rotate")
    assert desk.person.messenger.account.record.epoch == 2
    assert bob.saw(IdentityRotated) == [IdentityRotated("alice", was_verified=False)]
    desk.person.go_offline()
    desk.type("/keys rotate")
    assert desk.told[-1].startswith("* your new keys are on disk")


def test_a_message_to_somebody_else_in_passing(desk: Desk, bob: Person) -> None:
    desk.type("@bob in passing")
    assert bob.read == ["in passing"]
    assert desk.conversation.prompt() == NO_RECIPIENT


def test_a_slash_is_a_command_and_two_are_a_slash(desk: Desk, bob: Person) -> None:
    desk.type("/to bob", "//shrug", "/shrug", "/accept", "/help me", "/quit me")
    assert bob.read == ["/shrug"]
    assert [line.splitlines()[0] for line in desk.told] == [
        "! there is no command 'shrug'", "! /accept wants WHO", "! there is no command 'me'",
        "! /quit wants no argument",
    ]  # fmt: skip


def test_somebody_called_quit_can_be_written_to(desk: Desk, town: Town) -> None:
    """The seed's failure 36."""
    quitter = town.person("quit")
    desk.type("/to quit", "hello", "@quit quit")
    assert quitter.read == ["hello", "quit"]
    assert not desk.left


@pytest.mark.parametrize("word", ["quit", "/quit"])
def test_quit_leaves_at_every_prompt(desk: Desk, bob: Person, word: str) -> None:
    desk.type(word)
    assert desk.left
    desk.left = False
    desk.type("/to bob", word)
    assert desk.left
    assert bob.read == []


def test_mistakes_are_told_and_lose_nothing(desk: Desk, bob: Person) -> None:
    desk.type("../x", "@../x hi", "@bob ", "/to bob", "x" * 70_000)
    assert len(desk.told) == 4
    assert bob.read == []
    assert desk.conversation.prompt() == "Enter message to bob (new): "


def test_own_and_other_messages_read_alike(desk: Desk, bob: Person) -> None:
    desk.type("/to bob", "two\nlines")
    assert desk.shown[0].endswith("you to bob: two\n  | lines")


def test_offline_is_said(desk: Desk, bob: Person) -> None:
    desk.person.go_offline()
    desk.type("@bob later")
    assert desk.told[-1].startswith("* queued")


def test_help_and_contacts(desk: Desk, bob: Person) -> None:
    desk.type("/contacts")
    assert desk.told == ["* no contacts yet"]
    desk.type("@bob hello")
    desk.told.clear()
    desk.type("/contacts", "/help")
    assert desk.told[0] == "  bob  unverified"
    assert any("/accept WHO" in line for line in desk.told)


def test_accepting_what_has_not_changed_is_a_mistake(desk: Desk, bob: Person) -> None:
    desk.type("/accept bob", "/keep bob")
    assert [told.splitlines()[0] for told in desk.told] == ["! bob is no contact yet"] * 2
    desk.type("@bob hello")
    desk.told.clear()
    desk.type("/accept bob", "/keep bob")
    assert all("nothing to decide" in told for told in desk.told)
    assert len(desk.told) == 2


def test_messages_are_shown_before_they_are_acknowledged(desk: Desk, bob: Person) -> None:
    alice = desk.person
    alice.looks = False
    bob.write("alice", "look at me")
    before = alice.messenger.settled
    desk.conversation.show_events(alice.events[-1:], now=alice.town.now)
    alice.town.run()
    assert (before, alice.messenger.settled) == (False, True)
    assert desk.shown[-1].endswith("bob: look at me")


# ---------------------------------------------------------------- what the server does and knows


def test_the_key_log_is_shown_and_can_be_begun_anew(desk: Desk, bob: Person) -> None:
    desk.person.go_offline()
    desk.person.go_online()
    desk.type("/to bob", "hello", "/log")
    assert bob.read == ["hello"]
    text = "\n".join(desk.told)
    assert "the key log of this server: 2 entries" in text
    assert "shown the same log: bob." in text
    desk.person.messenger.log.settle_claim("bob", (2, bytes(32)), agrees=False)
    desk.told.clear()
    desk.type("/log")
    text = "\n".join(desk.told)
    assert "another log is shown to bob" in text
    assert desk.told[-1] == "  /log forget, or client.py log --forget."
    desk.person.messenger.log.raise_alarm("of a test")
    desk.told.clear()
    desk.type("/log")
    text = "\n".join(desk.told)
    assert "another log is shown to bob" in text
    assert "not believed any more: of a test" in text
    assert desk.told[-1] == "  /log forget, or client.py log --forget."
    desk.told.clear()
    desk.type("/log forget", "/log")
    text = "\n".join(desk.told)
    assert "the key log of this server: 2 entries" in text
    assert "WARNING" not in text
    desk.person.go_offline()
    desk.type("/log forget", "/log")
    assert desk.told[-1] == "* no key log was read yet: it comes with the next login"
    desk.type("/log nonsense")
    assert desk.told[-1].startswith("! /log nonsense is not known")


def test_what_the_server_knows_is_shown_row_by_row(desk: Desk) -> None:
    desk.type("/server-knows")
    assert HELD_ROWS in desk.told
    desk.conversation.show_events(
        [ServerHolds((("mailbox", {"sequence": 7, "sender_id": "bo\x1bb"}),), last=True)], now=1
    )
    lines = desk.told[-1].split("\n")
    assert lines[0].startswith("  mailbox: envelopes from you and for you, those that came together")
    assert lines[1] == "    sequence 7, sender id bo<U+001B>b"
    assert lines[2].startswith("* That was every row.")
    desk.person.go_offline()
    desk.type("/server-knows")
    assert desk.told[-1].startswith("! the server cannot be reached")


def test_an_account_is_erased_only_with_its_own_number(desk: Desk) -> None:
    desk.type("/erase-me")
    assert desk.told[-1].startswith("! this would remove the account alice from the server, for ever")
    desk.type("/erase-me bob")
    assert desk.told[-1].startswith("! your account is alice, not bob; this would remove it, for ever")
    assert desk.person.messenger.online
    desk.conversation.show_events([AccountErased(3)], now=1)
    assert desk.left


# ---------------------------------------------------------------- many conversations


@pytest.fixture
def carol(town: Town) -> Person:
    return town.person("carol")


@pytest.fixture
def looking(desk: Desk) -> Desk:
    """A desk whose person sees what the desk shows, and nothing else."""
    desk.person.looks = False
    return desk


def test_a_conversation_opens_with_what_was_said_last(looking: Desk, bob: Person) -> None:
    for number in range(25):
        bob.write("alice", f"number {number}")
    looking.see()
    looking.shown.clear()
    looking.type("/to bob")
    assert [line.rpartition(" ")[2] for line in looking.shown] == [str(number) for number in range(5, 25)]
    assert looking.told[-1] == "* the last 20 of 25 messages with bob; /history bob 25 shows all"
    looking.shown.clear()
    looking.type("/to bob", "/history bob 2", "/history 3")
    assert [line.rpartition(" ")[2] for line in looking.shown] == ["23", "24", "22", "23", "24"]


def test_what_others_write_is_unread_until_their_conversation_opens(looking: Desk, bob: Person, carol: Person) -> None:
    looking.type("/to bob", "hello")
    sent = [carol.write("alice", "one"), carol.write("alice", "two"), bob.write("alice", "here")]
    looking.see()
    assert [line.partition(" ")[2] for line in looking.shown if "carol" in line] == []
    assert looking.shown[-1].endswith("bob: here")
    assert [line for line in looking.told if "carol" in line][-1] == "* carol has written: /to carol shows it"
    assert looking.conversation.status() == "online | unread: carol 2 | last to bob: delivered"
    assert [carol.state(each) for each in sent[:2]] == ["delivered", "delivered"]
    assert bob.state(sent[2]) == "read"
    looking.type("/to carol")
    assert [line.partition("] ")[2] for line in looking.shown[-2:]] == ["carol: one", "carol: two"]
    assert [carol.state(each) for each in sent[:2]] == ["read", "read"]
    assert looking.conversation.status() == "online"


def test_without_a_recipient_everything_is_shown(looking: Desk, bob: Person, carol: Person) -> None:
    looking.type("/to bob", "/to")
    assert looking.conversation.prompt() == NO_RECIPIENT
    carol.write("alice", "hello")
    looking.see()
    assert looking.shown[-1].endswith("carol: hello")
    assert "unread" not in looking.conversation.status()


def test_what_is_unread_outlives_the_program(looking: Desk, bob: Person, carol: Person) -> None:
    looking.type("/to bob")
    carol.write("alice", "are you there?")
    looking.see()
    looking.person.restart()
    again = Desk(looking.person)
    again.conversation.begin(now=looking.person.town.now)
    assert again.told == ["* unread: carol 1. /to WHO shows it"]
    again.type("carol")
    assert again.shown[-1].endswith("carol: are you there?")
    assert again.conversation.status() == "offline"


def test_what_was_stored_and_not_shown_is_shown_at_the_start(looking: Desk, bob: Person) -> None:
    bob.write("alice", "before the crash")
    looking.person.restart()
    again = Desk(looking.person)
    again.conversation.begin(now=looking.person.town.now)
    assert again.shown[-1].endswith("bob: before the crash")
    assert again.told == []


def test_more_than_anybody_wants_to_see_pass_by_is_summed_up(looking: Desk, bob: Person, carol: Person) -> None:
    alice = looking.person
    bob.write("alice", "hello")
    looking.see()
    looking.type("@bob hello", "@carol hello")
    alice.go_offline()
    for number in range(60):
        (bob if number % 2 else carol).write("alice", f"number {number}")
    looking.shown.clear()
    looking.told.clear()
    looking.seen = len(alice.events)
    alice.go_online()
    looking.see()
    assert looking.told == [
        "* online; messages and receipts that waited: 60",
        "* unread: carol 30, bob 30. /to WHO shows it; the last 20:",
    ]
    assert [line.rpartition(" ")[2] for line in looking.shown] == [str(number) for number in range(40, 60)]
    bob.write("alice", "and another")
    looking.see()
    assert looking.shown[-1].endswith("bob: and another")


def test_the_status_says_how_far_the_last_message_has_come(looking: Desk, bob: Person) -> None:
    alice = looking.person
    bob.looks = False
    alice.go_offline()
    looking.type("/to bob", "hello")
    assert looking.conversation.status() == "offline | last to bob: queued"
    alice.go_online()
    looking.see()
    assert looking.conversation.status() == "online | last to bob: accepted"
    messages = [(event.peer, event.id) for event in bob.events if isinstance(event, MessageReceived)]
    bob.take(bob.messenger.shown(messages, now=bob.town.now))
    bob.town.run()
    looking.see()
    assert looking.conversation.status() == "online | last to bob: delivered"
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    bob.town.run()
    looking.see()
    assert looking.conversation.status() == "online | last to bob: read"
    looking.told.clear()
    looking.type("/status")
    assert looking.told == ["* online | last to bob: read"]
    assert looking.refreshed


def test_messages_are_found(looking: Desk, bob: Person, carol: Person) -> None:
    bob.write("alice", "Grüße aus Köln")
    carol.write("alice", "lunch in Koln?")
    looking.see()
    looking.type("/to carol", "yes, kolnisch")
    looking.shown.clear()
    looking.type("/search koln", "/search köln with:bob", "/search koln lunch")
    assert [line.partition("] ")[2] for line in looking.shown] == [
        "bob: Grüße aus Köln", "carol: lunch in Koln?", "you to carol: yes, kolnisch (delivered)",
        "bob: Grüße aus Köln",
        "carol: lunch in Koln?",
    ]  # fmt: skip
    looking.told.clear()
    looking.type(
        "/search nothing since", "/search", "/search ???", "/search koln since:today", "/search koln until:2001-01-01"
    )
    assert [line.splitlines()[0] for line in looking.told] == [
        "* nothing found", "! /search wants WORDS [with:WHO] [since:DATE] [until:DATE]",
        "! there is no word to look for", "! 'today' is no day",
        "* nothing found",
    ]  # fmt: skip
    looking.shown.clear()
    looking.type("/search koln since:2001-01-01 until:2100-12-31")
    assert len(looking.shown) == 3


def test_the_newest_of_many_are_found(looking: Desk, bob: Person) -> None:
    for number in range(60):
        bob.write("alice", f"number {number}")
    looking.see()
    looking.shown.clear()
    looking.type("/search number")
    assert [line.rpartition(" ")[2] for line in looking.shown] == [str(number) for number in range(10, 60)]
    assert looking.told[-1].startswith("* the newest 50; there may be more")


def test_a_history_is_somebodys(looking: Desk, bob: Person) -> None:
    looking.type("/history")
    assert looking.told[-1].startswith("! with whom?")
    looking.type("/to bob", "hello", "/to", "/history bob", "/history bob 1", "/history b 20")
    assert [line.partition("] ")[2] for line in looking.shown[1:]] == 2 * ["you to bob: hello (delivered)"]
    assert looking.told[-1].startswith("! ")


def test_a_pipe_gets_everything_as_it_comes(looking: Desk, bob: Person, carol: Person) -> None:
    looking.watched = False
    looking.type("/to bob")
    sent = carol.write("alice", "hello")
    looking.see()
    assert looking.shown[-1].endswith("carol: hello")
    assert carol.state(sent) == "read"


def test_names_and_commands_are_completed(looking: Desk, bob: Person) -> None:
    looking.conversation.begin(now=bob.town.now)
    assert "/help " in looking.conversation.words()
    assert "bob" not in looking.conversation.words()
    bob.write("alice", "hello")
    looking.see()
    assert {"bob", "@bob ", "/to bob ", "/block bob "} <= set(looking.conversation.words())
    assert "/help bob " not in looking.conversation.words()


def test_people_are_let_in_and_blocked(looking: Desk, bob: Person) -> None:
    looking.person.requests = True
    looking.person.restart()
    looking = Desk(looking.person)
    looking.person.go_online()
    sent = bob.write("alice", "hello")
    looking.see()
    assert "* bob is nobody you have written to." in "\n".join(looking.told)
    assert bob.state(sent) == "accepted"
    looking.type("/contacts", "/allow bob")
    assert looking.told[-2:] == ["  bob  unverified, request", "* bob is let in"]
    assert bob.state(sent) == "read"
    looking.type("/block bob", "@bob hello")
    assert looking.told[-1].startswith("! you have blocked bob")
    bob.write("alice", "hello?")
    looking.see()
    assert not any(line.endswith("hello?") for line in looking.shown)


def test_a_stranger_is_named_as_one_also_after_a_restart(looking: Desk, bob: Person) -> None:
    looking.person.requests = True
    looking.person.restart()
    looking.person.go_online()
    bob.write("alice", "hello")
    looking.person.restart()
    assert looking.person.saw(MessageRequested) == [MessageRequested("bob")] * 2


def test_the_way_of_a_message_is_told(looking: Desk, bob: Person) -> None:
    alice, town = looking.person, bob.town
    looking.type("/why", "/why bob")
    assert [line.splitlines()[0] for line in looking.told] == ["! with whom?", "! you have not written to bob"]
    alice.go_offline()
    looking.type("/to bob", "hello\nbob", "/why")
    assert looking.told[-1].startswith("  It waits here")
    bob.go_offline()
    alice.go_online()
    looking.type("/why")
    assert looking.told[-2:] == [
        f"  {clock(town.now)} accepted: the server says that it has it on its disk",
        "  Not heard of since: bob is not online, or has not let you in.",
    ]
    looking.see()
    assert looking.told[-1].startswith(
        f"* the server proves it: it has your last message to bob since {clock(town.now)}"
    )
    town.world.pass_time(60)
    bob.go_online()
    looking.told.clear()
    looking.type("/why bob")
    assert looking.told[0].endswith("* you to bob: hello\n  | bob")
    assert [line.split(": ")[0].split()[-1] for line in looking.told[1:]] == [
        "written",
        "accepted",
        "signed",
        "delivered",
    ]
    assert looking.told[-1].startswith(f"  {clock(town.now)} delivered: bob's device")


def test_why_a_message_did_not_go_is_told_with_what_to_do(looking: Desk) -> None:
    looking.type("@nobody hello", "/why nobody")
    assert "rejected: not sent: no such account on this server (check the number" in looking.told[-1]


# ---------------------------------------------------------------- answers, changes, reactions


def test_a_message_is_answered_changed_and_taken_back(desk: Desk, bob: Person) -> None:
    bob.write("alice", "lunch?")
    bob.write("alice", "or tea?")
    desk.see()
    desk.type("bob", "/history")
    assert [line.split(" ")[0] for line in desk.shown[-2:]] == ["#1", "#2"]
    desk.type("/reply #1 yes", "/edit yes!", "/react \N{FIRE}", "/history")
    now = clock(bob.town.now)
    assert desk.shown[-2] == f"#2 [{now}] bob: or tea? (you: \N{FIRE})"
    assert desk.shown[-1] == f'#3 [{now}] you to bob, answering "lunch?": yes! (edited; delivered)'
    assert [said.text for said in bob.messenger.archive.latest("alice", limit=1)] == ["yes!"]
    desk.type("/react off", "/delete", "/history")
    assert desk.shown[-2:] == [
        f"#2 [{now}] bob: or tea?",
        f'#3 [{now}] you to bob, answering "lunch?": (deleted) (delivered)',
    ]
    assert bob.messenger.archive.latest("alice", limit=1)[0].deleted


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ("/reply", "/reply wants"), ("/reply #9 yes", "no message #9"), ("/reply #x yes", "no message #x"),
        ("/edit new", "no such message"), ("/delete", "no such message"), ("/delete #1", "is what the other wrote"),
        ("/react", "/react wants"), ("/react #1", "with what?"), ("/react #1 no", "no reaction"),
        ("/timer soon", "no time"), ("/timer bob 2000d", "no time"),
        ("/keep-for 0s", "no time"), ("/mute bob never", "not known"), ("/alias bob carol", "could be somebody's"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_to_a_message_is_said(desk: Desk, bob: Person, entry: str, error: str) -> None:
    bob.write("alice", "hello")
    desk.see()
    desk.type("bob")
    before = desk.person.messenger.archive.latest("bob", limit=5)
    desk.type(entry)
    assert desk.told[-1].startswith("! ")
    assert error in desk.told[-1]
    assert [said.text for said in desk.person.messenger.archive.latest("bob", limit=5)] == [s.text for s in before]


def test_what_comes_for_another_conversation_is_seen_there(desk: Desk, bob: Person) -> None:
    carol = bob.town.person("carol")
    desk.type("bob", "hello bob")
    message = carol.write("alice", "one")
    desk.see()
    _, output = carol.messenger.writing.edit("alice", 1, "two", now=carol.town.now)
    carol.take(output)
    carol.town.run()
    desk.told.clear()
    desk.see()
    assert (desk.told, carol.state(message)) == ([], "delivered")
    desk.type("/to carol")
    assert desk.shown[-1].endswith("carol: two (edited)")


def test_a_timer_is_set_and_stands_in_the_status(desk: Desk, bob: Person) -> None:
    desk.type("bob", "/timer 1h")
    assert "disappear 1 hour after they were read" in desk.told[-1]
    assert "disappearing: 1 hour" in desk.conversation.status()
    assert bob.messenger.book.entry("alice").lifetime_s == 3600
    desk.type("/alias bob Bobby", "/timer Bobby")
    assert desk.told[-1].startswith("* from now on messages with Bobby disappear 1 hour after")
    desk.type("/alias bob", "/timer bob off")
    assert "disappearing" not in desk.conversation.status()


# ---------------------------------------------------------------- who is who, and who is there


def test_an_alias_is_what_one_reads_and_types(desk: Desk, bob: Person) -> None:
    desk.type("bob", "hello", "/alias bob Bobby", "/note Bobby owes me 5")
    assert desk.conversation.prompt() == "Enter message to Bobby (unverified): "
    assert "@Bobby " in desk.conversation.words()
    bob.write("alice", "hi")
    desk.see()
    assert desk.shown[-1].endswith("] Bobby: hi")
    desk.type("/to", "@Bobby again", "/contacts")
    assert bob.read[-1] == "again"
    assert desk.told[-1] == "  bob (Bobby)  unverified: owes me 5"
    desk.type("/alias Bobby")
    assert desk.told[-1] == "* bob is called so again"


def test_what_comes_rings_unless_it_is_muted(desk: Desk, bob: Person) -> None:
    bob.write("alice", "one")
    desk.see()
    assert desk.rung == ["bob"]
    desk.type("@bob hello", "/mute bob")
    bob.write("alice", "two")
    desk.see()
    assert desk.rung == ["bob"]
    desk.type("/mute bob off", "/alias bob Bobby")
    bob.write("alice", "three")
    desk.see()
    assert desk.rung == ["bob", "Bobby"]


def test_who_types_stands_in_the_status_for_a_while(desk: Desk, bob: Person) -> None:
    desk.type("bob", "hello")
    bob.write("alice", "hi")
    bob.take(bob.messenger.writing.typing("alice", now=bob.town.now))
    bob.town.run()
    desk.see()
    assert "bob is typing" in desk.conversation.status()
    bob.town.world.pass_time(16)
    desk.see()
    assert "typing" not in desk.conversation.status()
    bob.take(bob.messenger.writing.typing("alice", now=bob.town.now))
    bob.write("alice", "done")
    desk.see()
    assert "typing" not in desk.conversation.status()


def test_the_recipient_hears_that_one_types(desk: Desk, bob: Person) -> None:
    desk.conversation.typing(now=bob.town.now)
    desk.type("bob", "hello")
    bob.write("alice", "hi")
    desk.conversation.typing(now=bob.town.now)
    bob.town.run()
    assert bob.saw(Typing) == [Typing("alice")]


def test_how_long_messages_are_kept_is_said(desk: Desk, bob: Person) -> None:
    desk.type("bob", "hello", "/keep-for 4w", "/contacts")
    assert desk.told[-1] == "  bob  unverified, kept for 4 weeks"
    desk.type("/keep-for bob off")
    assert desk.told[-1] == "* messages with bob are kept here for ever"


def test_all_that_was_said_is_written_into_a_file(desk: Desk, bob: Person, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    desk.type("@bob hello", f"/export {path}", f"/export {path}", f"/export {tmp_path}/no/folder", "/export")
    assert [line.splitlines()[0] for line in desk.told[-4:]] == [
        f"* {path} holds 1 message, for everybody to read who can open it",
        f"! {path} exists already",
        f"! cannot write {tmp_path}/no/folder (No such file or directory)",
        "! /export wants PATH [WHO]",
    ]
    assert '"text": "hello"' in path.read_text(encoding="utf-8")
    assert desk.conversation.failed == 3, "a pipe ends with an error"
    desk.type(f"/export {tmp_path}/carol.txt carol")
    assert (tmp_path / "carol.txt").read_bytes() == b""
    assert "/export " in desk.conversation.before_paths()


@pytest.mark.parametrize(
    "entry",
    [
        "hello", "@bob hello", "/reply hello", "/edit hello", "/delete", "/react \N{FIRE}", "/timer 1h", "/keep-for 1h",
        "/allow bob", "/block bob", "/alias bob Robert", "/note bob a note", "/mute bob", "/keys rotate", "/log forget",
        "/server-knows", "/erase-me alice",
    ],
)  # fmt: skip
def test_what_cannot_be_written_down_is_an_error_on_the_line(desk: Desk, bob: Person, entry: str) -> None:
    """And nothing else is said, or done: it can be typed again."""
    desk.type("bob", "hello")
    bob.write("alice", "hello yourself")
    desk.see()
    desk.told.clear()
    with desk.person.locked_disk():
        desk.type(entry)
    assert [line.partition("(")[0] for line in desk.told if not line.startswith("  ")] == [
        f"! cannot write {desk.person.path} "
    ]
    desk.type(entry)
    assert desk.conversation.failed == 1


def test_what_could_not_be_noted_as_read_stays_unread(desk: Desk, bob: Person) -> None:
    desk.person.looks = False
    desk.type("carol")
    bob.write("alice", "are you there?")
    desk.see()
    with desk.person.locked_disk():
        desk.type("/to bob")
    assert "unread: bob 1" in desk.conversation.status()
    desk.type("/to carol", "/to bob")
    assert "unread" not in desk.conversation.status()


def test_typing_is_no_error_where_nothing_can_be_written_down(desk: Desk, bob: Person) -> None:
    desk.type("bob", "hello")
    bob.write("alice", "hi")
    with desk.person.locked_disk():
        desk.conversation.typing(now=bob.town.now)
    assert not [line for line in desk.told if line.startswith("!")]
    desk.conversation.typing(now=bob.town.now)
    bob.town.run()
    assert bob.saw(Typing) == [Typing("alice")]


def test_a_number_that_was_mistyped_does_not_stay(desk: Desk, bob: Person) -> None:
    desk.type("nobody", "hello?")
    desk.see()
    assert desk.conversation.prompt() == NO_RECIPIENT
    desk.type("bob", "hello!")
    assert bob.read == ["hello!"]


def test_a_way_names_its_message(desk: Desk, bob: Person) -> None:
    desk.type("bob", "hello")
    desk.see()
    assert '* accepted: bob, "hello"' in desk.shown


def test_own_messages_that_were_not_read_are_counted_by_how_far_they_are(desk: Desk, bob: Person) -> None:
    desk.type("bob", "one")
    bob.go_offline()
    desk.type("two", "three")
    desk.person.go_offline()
    desk.type("four")
    assert desk.conversation.status() == "offline | to bob: 1 delivered, 2 accepted, 1 queued"
    desk.person.go_online()
    bob.go_online()
    bob.town.run()
    bob.take(bob.messenger.read("alice", now=bob.town.now))
    bob.town.run()
    desk.see()
    assert desk.conversation.status() == "online | last to bob: read"
