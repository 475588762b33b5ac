"""What people are called here: never so that one can be taken for another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import UsageError
from messenger.address_book import MAX_NOTE, AddressBook, Entry
from messenger.database import Database
from messenger.events import MessagesMissing
from messenger.ui.text import sanitise


@pytest.fixture
def book(tmp_path: Path) -> Iterator[AddressBook]:
    with closing(Database(tmp_path / "alice.db", b"password")) as database:
        yield AddressBook(database)


def test_a_stranger_goes_by_their_id_and_nothing_is_remembered(book: AddressBook) -> None:
    assert (book.name("bob"), book.entry("bob"), book.aliases()) == ("bob", Entry(), {})


def test_an_alias_is_shown_and_understood(book: AddressBook) -> None:
    book.set_alias("4912345", "Mum")
    assert (book.name("4912345"), book.meant("Mum"), book.meant("mum")) == ("Mum", "4912345", "mum")
    assert book.named(MessagesMissing("4912345", 1)) == MessagesMissing("Mum", 1)
    assert book.named(MessagesMissing("bob", 1)) == MessagesMissing("bob", 1)
    book.set_alias("4912345", "Ma")
    assert book.aliases() == {"Ma": "4912345"}
    book.set_alias("4912345", "")
    assert (book.name("4912345"), book.aliases()) == ("4912345", {})


def test_two_people_are_not_called_the_same(book: AddressBook) -> None:
    book.set_alias("bob", "Bobby")
    book.set_alias("bob", "Bobby")
    with pytest.raises(UsageError, match="Bobby is bob"):
        book.set_alias("carol", "Bobby")


@pytest.mark.parametrize(
    "alias",
    ["carol", "4912345", "two words", "@Bob", "/Bob", "#Bob", "Bob:", "B\x1b[2J", "B" * 33, "1Bob", "B\u202eob"],
)
def test_what_could_be_an_id_or_a_command_is_no_alias(book: AddressBook, alias: str) -> None:
    with pytest.raises(UsageError):
        book.set_alias("bob", alias)


@given(st.text(max_size=40))
def test_whatever_is_taken_for_an_alias_can_be_shown_and_typed(book: AddressBook, alias: str) -> None:
    try:
        book.set_alias("bob", alias)
    except UsageError:
        return
    assert sanitise(alias) == alias
    assert alias.split() == ([alias] if alias else [])
    assert book.meant(book.name("bob")) == "bob"


def test_the_rest_is_remembered_beside_it(book: AddressBook) -> None:
    book.set_note("bob", "owes me 5")
    book.mute("bob", muted=True)
    book.keep("bob", 60)
    book.set_timer("bob", 30, 2)
    assert book.entry("bob") == Entry("", "owes me 5", muted=True, kept_s=60, lifetime_s=30, timer_version=2)
    with pytest.raises(UsageError):
        book.set_note("bob", "a" * (MAX_NOTE + 1))
