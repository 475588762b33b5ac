"""What was said, read back; real SQLCipher, and every word that a person might look for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_utils import PrivateKeys
from errors import Code, UsageError
from identity import create_record
from messenger import archive as module
from messenger.address_book import AddressBook
from messenger.archive import Archive, Wanted, day, expression
from messenger.changes import Changes
from messenger.contacts import Contacts
from messenger.content import NO_LOG, Deletion, Reaction, Reference
from messenger.database import Database
from messenger.door import Door
from messenger.expiry import Expiry
from messenger.history import TEXT, History


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "alice.db", b"password")) as database:
        yield database


@pytest.fixture
def archive(database: Database) -> Archive:
    return Archive(database)


@pytest.fixture
def history(database: Database) -> History:
    return History(database)


def number(value: int) -> bytes:
    return value.to_bytes(16, "big")


def come(history: History, peer: str, text: str, *, at: int = 100) -> bytes:
    message_id = number(len(history._db.rows("SELECT 1 FROM message")) + 1)
    history.add_received(peer, message_id, TEXT, text=text, timestamp=at, counter=1, now=at)
    return message_id


def test_conversations_are_apart_and_in_the_order_of_arrival(archive: Archive, history: History) -> None:
    come(history, "bob", "later by his clock", at=300)
    come(history, "carol", "hello", at=50)
    history.add_sent("bob", number(9), "an answer", now=200)
    said = archive.latest("bob", limit=10)
    assert [(each.text, each.outgoing, each.state) for each in said] == [
        ("later by his clock", False, "stored"),
        ("an answer", True, "queued"),
    ]
    assert [each.text for each in archive.latest("bob", limit=1)] == ["an answer"]
    assert (archive.count("bob"), archive.count("nobody"), archive.latest("nobody", limit=5)) == (2, 0, [])
    last = archive.last_sent("bob")
    assert last is not None
    assert last.id == number(9)
    assert archive.last_sent("carol") is None


def test_why_a_message_was_not_sent_is_kept(archive: Archive, history: History) -> None:
    history.add_sent("bob", number(1), "hello", now=1)
    history.advance("bob", number(1), "rejected", only_from=("queued",), reason="mailbox_full", now=5)
    said, steps = archive.last_way("bob")
    assert (said.reason, steps) == (Code.MAILBOX_FULL, [("rejected", 5)])
    with pytest.raises(UsageError):
        archive.last_way("carol")


def test_unread_is_what_came_and_was_not_read(archive: Archive, history: History) -> None:
    ids = [come(history, "bob", "one"), come(history, "bob", "two"), come(history, "carol", "three")]
    history.add_sent("bob", number(9), "not counted", now=1)
    assert archive.unread() == {"bob": 2, "carol": 1}
    for message_id in ids[:2]:
        history.mark_shown("bob", message_id, now=1)
    assert archive.unread() == {"bob": 2, "carol": 1}
    assert history.mark_read("carol", now=1) == []  # nobody was shown it
    assert history.mark_read("bob", now=1) == ids[:2]
    assert history.mark_read("bob", now=1) == []
    assert archive.unread() == {"carol": 1}
    assert history.mark_shown("carol", ids[2], read=True, now=1)
    assert archive.unread() == {}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("grusse", ["viele GRÜSSE"]),
        ("gruße", ["Grüße aus Köln"]),
        ("kol", ["Grüße aus Köln"]),
        ("köln grüße", ["Grüße aus Köln"]),
        ("oln", []),
        ("it's", ['it\'s "quoted" AND more']),
        ('"quoted"', ['it\'s "quoted" AND more']),
        ("AND", ['it\'s "quoted" AND more']),
        ("more OR köln", []),
        ("NEAR(a b)", []),
        ("text:more", []),
        ("more *", ['it\'s "quoted" AND more']),
        ("-more", ['it\'s "quoted" AND more']),
        ("日本", ["日本語のメッセージ"]),
        ("👨‍👩‍👧 family", ["👨‍👩‍👧 family"]),
    ],
)
def test_all_words_must_stand_in_it_or_begin_one_that_does(
    archive: Archive, history: History, words: str, found: list[str]
) -> None:
    for text in ("Grüße aus Köln", "viele GRÜSSE", 'it\'s "quoted" AND more', "日本語のメッセージ", "👨‍👩‍👧 family"):
        come(history, "bob", text)
    assert [each.text for each in archive.find(Wanted(words), limit=10)] == found


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with closing(Database(tmp_path_factory.mktemp("words") / "alice.db", b"password")) as database:
        come(History(database), "bob", "x")
        yield Archive(database)


@given(text=st.text(min_size=1))
def test_no_letter_is_an_operator(words: Archive, text: str) -> None:
    if any(letter.isalnum() for letter in text):
        assert len(words.find(Wanted(text), limit=5)) <= 1
    else:
        with pytest.raises(UsageError):
            expression(text)


def test_people_and_days_narrow_it(archive: Archive, history: History) -> None:
    for place, peer in enumerate(("bob", "carol", "bob")):
        come(history, peer, f"lunch {place}", at=day(f"2026-11-{24 + place}T12:00"))

    def found(**wanted: object) -> list[str]:
        return [each.text for each in archive.find(Wanted("lunch", **wanted), limit=10)]  # type: ignore[arg-type]

    assert found(peer="bob") == ["lunch 0", "lunch 2"]
    assert found(since=day("2026-11-25")) == ["lunch 1", "lunch 2"]
    assert found(until=day("2026-11-25", after=1)) == ["lunch 0", "lunch 1"]
    assert found(since=day("2026-11-25"), until=day("2026-11-25", after=1)) == ["lunch 1"]
    assert [each.text for each in archive.find(Wanted(), limit=2)] == ["lunch 1", "lunch 2"]


@pytest.mark.parametrize("text", ["", "today", "2026-13-01", "24.11.2026", "0001-01-01", "9999-12-31T23:59:59+99:99"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        day(text, after=-1)


def test_everything_is_read_in_pages(archive: Archive, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    for each in range(10):
        come(history, "bob" if each % 2 else "carol", f"number {each}")
    assert [each.text for each in archive.each(Wanted())] == [f"number {each}" for each in range(10)]
    assert [each.text for each in archive.each(Wanted(peer="bob"))] == [f"number {each}" for each in range(1, 10, 2)]


def test_what_is_rewritten_or_removed_is_not_found_by_its_former_words(
    database: Database, archive: Archive, history: History
) -> None:
    come(history, "bob", "a secret")
    database.run("UPDATE message SET text = 'nothing'")
    assert archive.find(Wanted("secret"), limit=5) == []
    assert len(archive.find(Wanted("nothing"), limit=5)) == 1
    database.run("DELETE FROM message")
    assert archive.find(Wanted("nothing"), limit=5) == []
    database.run("INSERT INTO message_text (message_text, rank) VALUES ('integrity-check', 1)")


def test_an_index_of_words_travels_in_a_copy(tmp_path: Path, database: Database, history: History) -> None:
    with database.transaction():
        come(history, "bob", "hello")
    database.copy_to(tmp_path / "copy.db", {})
    with closing(Database(tmp_path / "copy.db", b"password")) as copy:
        assert len(Archive(copy).find(Wanted("hello"), limit=5)) == 1


def test_a_database_of_before_gets_its_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema, older = Path("messenger/schema").resolve(), tmp_path / "schema"
    older.mkdir()
    for step in sorted(schema.glob("*.sql"))[:4]:
        (older / step.name).write_bytes(step.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr("messenger.database.SCHEMA", older)
        with closing(Database(tmp_path / "old.db", b"password")) as database, database.transaction():
            for direction, text, state in (("in", "from before", "shown"), ("out", "an answer", "queued")):
                database.run(
                    "INSERT INTO message (peer, direction, id, text, timestamp, stored_at, state)"
                    " VALUES ('bob', ?, ?, ?, 1, 1, ?)",
                    direction, number(9), text, state,
                )  # fmt: skip
    with closing(Database(tmp_path / "old.db", b"password")) as database:
        archive = Archive(database)
        assert [(each.text, each.state) for each in archive.find(Wanted(), limit=5)] == [
            ("from before", "read"),
            ("an answer", "queued"),
        ]
        assert len(archive.find(Wanted("before"), limit=5)) == 1


def test_nothing_that_happens_with_each_message_looks_through_all_of_them(
    database: Database,
    archive: Archive,
    history: History,
    some_keys: list[PrivateKeys],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []
    for name in ("rows", "row", "run"):
        real = getattr(Database, name)

        def recorded(self: Database, sql: str, *values: object, real: Callable[..., object] = real) -> object:
            asked.append((sql, values))
            return real(self, sql, *values)

        monkeypatch.setattr(Database, name, recorded)
    history.add_sent("bob", number(1), "hello", now=1)
    history.set_counter(number(1), 1)
    history.advance("bob", number(1), "accepted", only_from=("queued",), now=1)
    with database.transaction():
        Contacts(database).see([create_record(some_keys[1], "bob", created=1, suites=[1])], [], now=1)
    history.renew("bob", number(1), number(2), now=1)
    come(history, "bob", "hello")
    changes = Changes(database, AddressBook(database))
    expiry = Expiry(database, changes)

    def reaction(author: str) -> Reaction:
        return Reaction(about=Reference(author=author, id=number(2)), counter=1, emoji="", log=NO_LOG)

    deletion = Deletion(counter=1, id=number(2), log=NO_LOG)
    for ask in (
        lambda: history.outgoing(number(2)), lambda: history.state(number(1)), lambda: history.highest_out("bob"),
        lambda: history.undelivered(before=1), history.unshown, lambda: history.mark_shown("bob", number(2), now=1),
        lambda: history.mark_read("bob", now=1), archive.unread, lambda: archive.latest("bob", limit=5),
        lambda: archive.last_sent("bob"), lambda: archive.find(Wanted("hello"), limit=5),
        lambda: history.received("bob", number(2)), lambda: archive.get("bob", 1),
        lambda: archive.meant("bob", number(2).hex(), outgoing=True),
        lambda: changes.take("bob", reaction("bob"), now=1), lambda: changes.take("bob", reaction("alice"), now=1),
        lambda: changes.take("bob", deletion, now=1), lambda: expiry.is_due(now=1), lambda: expiry.disappear(now=1),
        lambda: changes.forget(1), lambda: AddressBook(database).name("bob"),
        lambda: Door(database, ajar=False).of("bob"), lambda: Contacts(database).find("bob"),
    ):  # fmt: skip
        ask()
    monkeypatch.undo()
    for sql, values in asked:
        plan = [row[3] for row in database.rows(f"EXPLAIN QUERY PLAN {sql}", *values)]
        slow = [
            step
            for step in plan
            if re.match(r"SCAN (message|one|other)( USING INDEX message_(peer|sent|counter))?\Z", step)
        ]
        assert slow == [], sql
