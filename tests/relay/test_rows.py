"""What the server holds about an account: all of it is shown, and all of it can be removed."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from canonical_json import canonical
from crypto_utils import PrivateKeys
from errors import Code
from identity import create_ending, identity_hash
from protocol import (
    MAX_ROWS,
    Acknowledge,
    Erase,
    Erased,
    FetchIdentity,
    FetchLog,
    FetchRows,
    RequestCode,
    Revoke,
    Rows,
    decode_frame,
)
from records import Erasure, IdentityRecord, Revocation
from relay.actions import HangUp
from relay.limits import Limits, Rate
from relay.storage.sqlite_rows import TABLES
from tests.relay.world import START_S, World, deliveries, frames_to, hang_ups

Found = list[tuple[str, dict[str, int | str]]]
NOT_ABOUT_ANYBODY = {"log_node", "sqlite_sequence"}


def shown(world: World, link: str) -> Found:
    """Everything that the server says, page by page."""
    found: Found = []
    table, after = 0, 0
    while True:
        page = world.reply(link, FetchRows(after=after, table=table))
        assert isinstance(page, Rows), page
        found += [(row.table, row.columns) for row in page.rows]
        table, after = page.table, page.after
        if (table, after) == (0, 0):
            return found


def as_shown(value: Any) -> int | str:
    if value is None:
        return "empty"
    if not isinstance(value, bytes):
        assert isinstance(value, int | str)
        return value
    if len(value) <= 64:
        return base64.b64encode(value).decode()
    return f"{len(value)} bytes, SHA-256 {hashlib.sha256(value).hexdigest()}"


def held(world: World, user_id: str) -> Found:
    """Every row of every table in which a name stands, or the index that stands for it: found without the program."""
    database = world.store._db
    index = hashlib.sha256(world.relay._directory._log._index_proof(user_id)).digest()
    found: Found = []
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        cursor = database.execute(f"SELECT * FROM {name}")
        columns = [each[0] for each in cursor.description]
        found += [
            (name, {column: as_shown(value) for column, value in zip(columns, row, strict=True)})
            for row in cursor.fetchall()
            if user_id in row or index in row
        ]
    return found


def in_order(rows: Found) -> list[str]:
    return sorted(repr((table, sorted(columns.items()))) for table, columns in rows)


@pytest.fixture
def busy(pair: World) -> World:
    """Alice and Bob have written to each other and to Carol, rotated, and fetched some of it."""
    pair.register("carol", 2)
    pair.store.add_code_failure("bob")
    pair.login("bob")
    pair.rotate("bob", 2)
    for sender, recipient in (("alice", "bob"), ("bob", "alice"), ("alice", "carol"), ("bob", "carol")):
        pair.send(sender, recipient)
    sequences = [delivery.sequence for delivery in deliveries(pair.login("bob"))]
    pair.do("bob", Acknowledge(sequences=sequences[:1]))
    pair.send("alice", "bob")  # pushed, and not written yet
    return pair


@pytest.mark.parametrize("user_id", ["alice", "bob"])
def test_what_is_shown_is_what_is_held(busy: World, user_id: str) -> None:
    rows = shown(busy, user_id)
    assert rows[0][0] == "link, in memory"
    assert in_order(rows[1:]) == in_order(held(busy, user_id))
    tables = {table for table, _ in rows}
    assert tables >= {"account", "device", "identity", "acquaintance", "mailbox", "log_entry"}


def test_every_table_is_looked_through(busy: World) -> None:
    """A table that comes later cannot be forgotten here."""
    tables = busy.store._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert {name for (name,) in tables} == {table.name for table in TABLES} | NOT_ABOUT_ANYBODY


def test_as_many_rows_as_a_page_holds_go_over_the_wire(busy: World) -> None:
    for number in range(300):
        busy.store.note_written("alice", f"somebody{number}")
    found: list[int] = []
    table, after = 0, 0
    while True:
        page = decode_frame(canonical(busy.reply("alice", FetchRows(after=after, table=table))))
        assert isinstance(page, Rows)
        found.append(len(page.rows))
        table, after = page.table, page.after
        if (table, after) == (0, 0):
            break
    assert found[:2] == [MAX_ROWS, MAX_ROWS]
    assert sum(found) == len(held(busy, "alice")) + 1


@pytest.mark.parametrize("size", [2, 3, 4, 7])
def test_pages_hold_everything_once(busy: World, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("relay.directory.MAX_ROWS", size)
    assert in_order(shown(busy, "bob")[1:]) == in_order(held(busy, "bob"))


def test_what_expires_between_two_pages_hides_nothing_else(busy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.directory.MAX_ROWS", 2)
    before = [row for row in held(busy, "alice") if row[0] == "mailbox"]
    assert len(before) >= 4
    found: Found = []
    table, after = 0, 0
    while not any(name == "mailbox" for name, _ in found) or (table, after) != (0, 0):
        page = busy.reply("alice", FetchRows(after=after, table=table))
        found += [(row.table, row.columns) for row in page.rows]
        table, after = page.table, page.after
        shown_now = [row for row in found if row[0] == "mailbox"]
        if shown_now:
            with busy.store.transaction():  # what was shown is gone before the next page
                busy.store._db.execute("DELETE FROM mailbox WHERE sequence = ?", (shown_now[-1][1]["sequence"],))
    assert in_order([row for row in found if row[0] == "mailbox"]) == in_order(before)


def test_questions_about_rows_are_rationed(busy: World) -> None:
    for _ in range(Limits().row_pages.burst):
        assert isinstance(busy.reply("alice", FetchRows(after=0, table=0)), Rows)
    assert busy.refusal("alice", FetchRows(after=0, table=0)) is Code.RATE_LIMITED
    assert isinstance(busy.reply("bob", FetchRows(after=0, table=0)), Rows)


def test_questions_of_all_are_rationed(tmp_path: Path, some_keys: list[PrivateKeys]) -> None:
    world = World(tmp_path / "relay.db", some_keys, Limits(row_pages_in_all=Rate(burst=1, every_s=100))).with_pair()
    world.login("bob")
    assert isinstance(world.reply("alice", FetchRows(after=0, table=0)), Rows)
    assert world.refusal("bob", FetchRows(after=0, table=0)) is Code.RATE_LIMITED
    world.close()


def test_a_page_that_is_not_there_is_empty(busy: World) -> None:
    assert busy.reply("alice", FetchRows(after=0, table=255)).rows == []
    assert busy.reply("alice", FetchRows(after=2**53 - 1, table=8)).rows == []
    (entry,) = busy.reply("alice", FetchRows(after=2**53 - 1, table=7)).rows  # the table after that
    assert entry.table == "log_entry"


# ---------------------------------------------------------------- erasure


def request(record: IdentityRecord) -> RequestCode:
    return RequestCode(identity_hash=identity_hash(record), user_id=record.user_id)


def erasure(world: World, user_id: str) -> Erasure:
    record, keys = world.records[user_id]
    return create_ending(Erasure, keys, record, created=START_S)


def test_all_rows_but_those_of_the_log_are_removed(busy: World) -> None:
    before = held(busy, "bob")
    kept = [row for row in before if row[0] == "log_entry"]
    others = in_order([row for row in held(busy, "carol") if row not in before])
    actions = busy.do("bob", Erase(erasure=erasure(busy, "bob")))
    assert frames_to("bob", actions) == [Erased(rows=len(before) - len(kept))]
    assert hang_ups(actions) == [HangUp("bob", Code.ACCOUNT_ERASED)]
    after = held(busy, "bob")
    assert after[: len(kept)] == kept
    assert [(table, columns["kind"]) for table, columns in after[len(kept) :]] == [("log_entry", "erasure")]
    assert in_order([row for row in held(busy, "carol") if "bob" not in repr(row)]) == others
    busy.crash()
    assert held(busy, "bob") == after


def test_what_was_removed_is_not_in_the_file(busy: World) -> None:
    busy.register("wilhelmina", 1)
    busy.login("wilhelmina")
    busy.send("wilhelmina", "carol")
    busy.do("wilhelmina", Erase(erasure=erasure(busy, "wilhelmina")))
    for path in busy.path.parent.glob("relay.db*"):  # while the server runs, the log of the database included
        assert b"wilhelmina" not in path.read_bytes()
    assert b"carol" in busy.path.read_bytes()


def test_nothing_of_it_comes_back(busy: World) -> None:
    bob, _ = busy.records["bob"]
    busy.do("bob", Erase(erasure=erasure(busy, "bob")))
    assert busy.refusal("alice", FetchIdentity(epoch=0, log_size=0, user_id="bob")) is Code.UNKNOWN_USER
    assert busy.refusal("link", busy.login_frame("bob", busy.visit("link"))) is Code.ACCOUNT_ERASED
    busy.visit("link")
    record = busy.identity("bob", 1)
    assert identity_hash(record) != identity_hash(bob)
    assert busy.refusal("link", request(record)) is Code.ACCOUNT_ERASED
    busy.crash()
    busy.visit("link")
    assert busy.refusal("link", request(record)) is Code.ACCOUNT_ERASED


def test_those_who_wrote_to_them_go_on(busy: World) -> None:
    busy.do("bob", Erase(erasure=erasure(busy, "bob")))
    busy.send("alice", "carol")
    log = busy.reply("alice", FetchLog(log_size=0, start=0))
    assert log.entries[-1].kind == "erasure"
    sequences = [delivery.sequence for delivery in deliveries(busy.login("carol"))]
    assert len(sequences) == 2  # from alice; bob's is gone
    busy.do("carol", Acknowledge(sequences=sequences))
    assert deliveries(busy.login("carol")) == []


def test_only_the_present_identity_of_the_account_can_ask_for_it(busy: World) -> None:
    record, keys = busy.records["bob"]
    others = [
        erasure(busy, "alice"),
        msgspec.structs.replace(erasure(busy, "bob"), created=START_S + 1),
        msgspec.convert(msgspec.structs.asdict(create_ending(Revocation, keys, record, created=START_S)), Erasure),
    ]
    before = held(busy, "bob")
    for each in others:
        assert busy.refusal("bob", Erase(erasure=each)) is Code.INVALID_CERTIFICATE
    assert held(busy, "bob") == before


def test_an_account_that_was_revoked_cannot_be_erased_by_a_thief_of_its_keys(busy: World) -> None:
    """Its links are cut with the revocation, and nobody logs in any more."""
    busy.visit("anybody")
    busy.do("anybody", Revoke(certificate=busy.certificate("bob")))
    assert busy.do("bob", Erase(erasure=erasure(busy, "bob"))) == []
