"""What the command line does without the server, on an open account."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client_options import parse_arguments
from crypto_utils import PrivateKeys
from errors import StorageError, UsageError
from local import Local
from messenger.account import AccountFiles
from tests.messenger.people import Person, Town


class Paper:
    """A face that keeps what it is given."""

    watched = False

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.told: list[str] = []

    def show(self, line: str) -> None:
        self.shown.append(line)

    def tell(self, line: str) -> None:
        self.told.append(line)


Run = Callable[..., list[str]]


@pytest.fixture
def run(tmp_path: Path, some_keys: list[PrivateKeys], quick_database: None, few_prekeys: None) -> Iterator[Run]:
    """Runs an action of alice, to whom bob has written, and returns what was shown."""
    town = Town(tmp_path, some_keys)
    alice, bob = town.person("alice"), town.person("bob")
    alice.write("bob", "hello")
    bob.write("alice", "lunch in Köln\x1b[2J?")
    alice.write("bob", "yes, lunch\ntoday")
    yield lambda *arguments: _run(alice, tmp_path, *arguments)
    town.close()


def _run(person: Person, folder: Path, *arguments: str) -> list[str]:
    paper, options = Paper(), parse_arguments([*arguments])
    files = AccountFiles(folder / "keys", person.user_id)
    local = Local(options, paper, person.messenger, files, other_password=lambda: b"another")  # type: ignore[arg-type]
    action = local.find()
    assert action is not None
    action()
    return paper.shown


def said(lines: list[str]) -> list[str]:
    return [line.partition("] ")[2] for line in lines]


LUNCH = "bob: lunch in Köln<U+001B>[2J?"
TODAY = "you to bob: yes, lunch\n  | today (delivered)"


def test_a_history_ends_with_the_newest(run: Run) -> None:
    assert said(run("history", "bob")) == ["you to bob: hello (delivered)", LUNCH, TODAY]
    assert said(run("history", "bob", "-n", "1")) == said(run("history", "bob", "1")) == [TODAY]
    assert run("history", "nobody") == []


def test_the_way_of_the_last_message_is_told(run: Run) -> None:
    lines = run("why", "bob")
    assert [line.split(": ")[0].split()[-1] for line in lines[1:]] == ["written", "accepted", "delivered"]
    (line,) = run("why", "bob", "--json")
    assert list(json.loads(line)["steps"]) == ["accepted", "delivered"]
    with pytest.raises(UsageError):
        run("why", "carol")


def test_a_search_is_narrowed_by_people_and_days(run: Run) -> None:
    assert said(run("search", "koln")) == [LUNCH]
    assert said(run("search", "lunch", "--with", "bob", "--since", "2000-01-01")) == [LUNCH, TODAY]
    assert run("search", "lunch", "--until", "2000-01-01") == run("search", "lunch", "--with", "carol") == []
    for wrong in (["search", "???"], ["search", "x", "--since", "today"], ["search", "x", "--with", "../x"]):
        with pytest.raises(UsageError):
            run(*wrong)


@pytest.mark.parametrize("number", ["0", "-1", "x", "9999999999"])
def test_how_many_is_a_number(run: Run, number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("history", "bob", "-n", number)
    assert "--number: give a number from 1 on" in capsys.readouterr().err


def test_lines_for_programs_have_every_field(run: Run) -> None:
    first, second = [json.loads(line) for line in run("search", "lunch", "--json")]
    assert first == {
        "v": 1, "type": "message", "number": 2, "id": first["id"], "from": "bob", "text": "lunch in Köln\x1b[2J?",
        "timestamp": first["timestamp"], "stored_at": first["stored_at"], "state": "shown",
    }  # fmt: skip
    assert (second["to"], second["state"], "from" in second) == ("bob", "delivered", False)
    assert [json.loads(line) for line in run("contacts", "--json")] == [
        {"v": 1, "type": "contact", "user_id": "bob", "trust": "unverified", "standing": "known",
         "alias": "", "note": "", "muted": False, "kept_s": 0, "lifetime_s": 0}
    ]  # fmt: skip
    assert run("contacts") == ["  bob  unverified"]


def test_an_export_is_everything_and_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    assert run("export", "--output", str(path)) == []
    assert path.read_text(encoding="utf-8") == "".join(f"{line}\n" for line in run("export"))
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError):
        run("export", "--output", str(path))
    with pytest.raises(StorageError):
        run("export", "--output", str(tmp_path / "no" / "folder"))
    assert len(run("export", "--json", "--with", "bob")) == 3
    assert run("export", "--with", "carol") == []


def test_people_are_let_in_and_blocked(run: Run) -> None:
    run("block", "bob")
    assert run("contacts") == ["  bob  unverified, blocked"]
    run("allow", "bob")
    assert run("contacts") == ["  bob  unverified"]
    for action in ("allow", "block"):
        with pytest.raises(UsageError):
            run(action, "carol")


def test_a_contact_is_called_and_kept_as_the_person_wants(run: Run) -> None:
    run("alias", "bob", "Bobby")
    run("note", "Bobby", "owes me 5")
    run("mute", "Bobby")
    run("keep-for", "Bobby", "4w")
    assert run("contacts") == ["  bob (Bobby)  unverified, muted, kept for 4 weeks: owes me 5"]
    assert run("history", "Bobby", "-n", "1")[0].startswith("#3 [")
    assert " you to Bobby: " in run("history", "Bobby", "-n", "1")[0]
    assert json.loads(run("mute", "Bobby", "off", "--json")[0])["muted"] is False
    run("keep-for", "bob", "off")
    assert run("note", "bob") == []
    assert run("note", "bob", "off") == []
    run("alias", "bob")
    assert run("contacts") == ["  bob  unverified"]
    with pytest.raises(UsageError, match="no time"):
        run("keep-for", "bob", "soon")


def test_programs_read_keys_log_and_safety_number(run: Run) -> None:
    keys, log, number = (
        json.loads(run(*action, "--json")[0]) for action in (("keys", "show"), ("log",), ("verify", "bob"))
    )
    assert (keys["type"], keys["user_id"], keys["epoch"]) == ("keys", "alice", 1)
    assert (log["type"], log["alarm"]) == ("log", None)
    assert (number["type"], len(number["number"])) == ("safety-number", 60)


def test_there_is_nothing_to_decide_about_a_key_that_has_not_changed(run: Run) -> None:
    for action in ("accept", "keep"):
        with pytest.raises(UsageError, match="nothing to decide"):
            run(action, "bob")
