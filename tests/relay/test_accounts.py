"""Codes, registration and login, as an attacker and as an honest client play them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from Crypto.Util.asn1 import DerBitString, DerNull, DerObjectId, DerSequence

from canonical_json import canonical, without
from crypto_utils import Label, sha256, sign, spki
from errors import Code
from identity import Predecessor, create_record, identity_hash, seal_code
from protocol import CodeSent, LoggedIn, Refusal, Register, Registered, RequestCode
from records import IdentityRecord
from relay.actions import Outgoing, SendCode
from relay.limits import DAY
from server_key import generate_server_key
from tests.relay.world import SERVER_KEY, START_S, World

ELSEWHERE = "198.51.100.1"
MakeWorld = Callable[..., World]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


def rows(world: World) -> dict[str, int]:
    """Count the rows of each table."""
    names = world.store._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name: world.store._db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in names}


def request(record: IdentityRecord) -> RequestCode:
    return RequestCode(identity_hash=identity_hash(record), user_id=record.user_id)


# ---------------------------------------------------------------- the code


def test_registers_who_holds_the_code(world: World) -> None:
    world.visit("link")
    record = world.identity("alice")
    reply = world.register_with("link", record, world.code("link", record))
    assert reply == Registered(identity_hash=identity_hash(record))
    assert isinstance(world.login("alice")[0], LoggedIn)


def test_the_code_never_goes_over_the_link_that_asks_for_it(world: World) -> None:
    """The seed's failure 3."""
    world.visit("link")
    record = world.identity("alice")
    (action,) = world.do("link", request(record))
    assert isinstance(action, SendCode)
    assert (action.link, action.user_id) == ("link", "alice")
    assert action.code not in repr(action)
    (answer,) = world.relay.code_delivered("link", "alice", delivered=True)
    assert answer == Outgoing("link", [CodeSent(expires_in_s=300)])


def test_a_code_has_six_digits_also_when_it_begins_with_zeros(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[int] = []

    def draw(bound: int) -> int:
        bounds.append(bound)
        return 7

    monkeypatch.setattr(secrets, "randbelow", draw)
    world.visit("link")
    record = world.identity("alice")
    assert world.code("link", record) == "000007"
    assert bounds == [10**6]
    assert isinstance(world.register_with("link", record, "000007"), Registered)


def test_says_when_the_code_could_not_be_sent(world: World) -> None:
    world.visit("link")
    (answer,) = world.relay.code_delivered("link", "alice", delivered=False)
    refusal = Refusal(code=Code.CODE_UNDELIVERABLE, command="request_code", retry_after_s=0, subject="alice")
    assert answer == Outgoing("link", [refusal])


def test_nobody_is_told_of_a_code_whose_link_has_ended(world: World) -> None:
    world.visit("link")
    world.code("link", world.identity("alice"))
    world.relay.closed("link")
    assert world.relay.code_delivered("link", "alice", delivered=True) == []
    assert world.relay.code_delivered("link", "alice", delivered=False) == []


def test_three_wrong_guesses_spoil_a_code(world: World) -> None:
    """Attack row 33: the fourth try is refused even when it is right."""
    world.visit("link")
    record = world.identity("alice")
    code = world.code("link", record)
    assert [world.register_with("link", record, wrong(code)).code for _ in range(3)] == [Code.WRONG_CODE] * 3
    assert world.register_with("link", record, code).code is Code.CODE_EXPIRED
    assert isinstance(world.register_with("link", record, world.code("link", record)), Registered)


def test_two_wrong_guesses_do_not(world: World) -> None:
    world.visit("link")
    record = world.identity("alice")
    code = world.code("link", record)
    for link in ("one", "two"):  # another link is no new code
        world.visit(link)
        assert world.register_with(link, record, wrong(code)).code is Code.WRONG_CODE
    assert isinstance(world.register_with("link", record, code), Registered)


def test_a_new_code_takes_the_place_of_the_one_before(world: World) -> None:
    world.visit("link")
    record = world.identity("alice")
    before, now = world.code("link", record), world.code("link", record)
    if before != now:  # one time in a million
        assert world.register_with("link", record, before).code is Code.WRONG_CODE
    assert isinstance(world.register_with("link", record, now), Registered)


def test_of_fifty_uses_of_the_right_code_one_wins(world: World) -> None:
    """R-22."""
    world.visit("link")
    record = world.identity("alice")
    frame = world.register_frame(record, world.code("link", record))
    for number in range(50):
        world.visit(str(number))
    answers = [actions[0] for actions in world.do_all(*((str(number), frame) for number in range(50)))]
    replies = [answer.frames[0] for answer in answers if isinstance(answer, Outgoing)]
    assert isinstance(replies[0], Registered)
    assert [reply.code for reply in replies if isinstance(reply, Refusal)] == [Code.CODE_EXPIRED] * 49
    assert world.store.count_accounts() == 1


def test_there_is_no_code_before_one_was_asked_for_or_after_a_restart(world: World) -> None:
    world.visit("link")
    record = world.identity("alice")
    assert world.register_with("link", record, "123456").code is Code.CODE_EXPIRED
    code = world.code("link", record)
    world.crash()
    world.visit("link")
    assert world.register_with("link", record, code).code is Code.CODE_EXPIRED


@pytest.mark.parametrize("sealed_for", ["another record", "another server"])
def test_a_code_is_sealed_for_one_identity_and_one_server(world: World, sealed_for: str) -> None:
    """Attack row 34: whoever relays the code cannot move it under a record of their own."""
    world.visit("link")
    record, other = world.identity("alice", 0), world.identity("alice", 1)
    code = world.code("link", record)
    world.code("link", other)
    if sealed_for == "another record":
        sealed = seal_code(SERVER_KEY.public_key(), code, identity_hash(other))
    else:
        sealed = seal_code(generate_server_key().public_key(), code, identity_hash(record))
    reply = world.reply("link", Register(encrypted_code=sealed, record=record))
    assert reply.code is Code.WRONG_CODE


def test_a_code_is_good_for_one_identity_only(world: World) -> None:
    """Attack row 34: the record is swapped after the code was issued."""
    world.visit("link")
    record = world.identity("alice", 0)
    code = world.code("link", record)
    other = world.identity("alice", 1)
    assert world.register_with("link", other, code).code is Code.CODE_EXPIRED
    assert isinstance(world.register_with("link", record, code), Registered)


def test_somebody_elses_request_and_guesses_do_not_disturb_a_code(world: World) -> None:
    world.visit("link")
    world.visit("attacker", ELSEWHERE)
    record, thief = world.identity("alice", 0), world.identity("alice", 1)
    code = world.code("link", record)
    stolen = world.code("attacker", thief)
    for _ in range(3):
        assert world.register_with("attacker", thief, wrong(stolen)).code is Code.WRONG_CODE
    assert isinstance(world.register_with("link", record, code), Registered)


@pytest.mark.parametrize("code", ["12a456", "12345", "1234567", ""])
def test_what_is_no_code_counts_as_a_wrong_one(world: World, code: str) -> None:
    world.visit("link")
    record = world.identity("alice")
    world.code("link", record)
    assert world.register_with("link", record, code).code is Code.WRONG_CODE
    assert world.store.code_failures("alice") == 1


@pytest.mark.parametrize(("seconds", "works"), [(299.9, True), (300.0, False)])
def test_a_code_lives_five_minutes(world: World, seconds: float, works: bool) -> None:
    world.visit("link")
    record = world.identity("alice")
    code = world.code("link", record)
    world.pass_time(seconds)
    assert isinstance(world.register_with("link", record, code), Registered) is works


@pytest.mark.parametrize("jump_s", [-10 * DAY, 10 * DAY])
def test_a_jump_of_the_wall_clock_neither_ends_a_code_nor_revives_it(world: World, jump_s: int) -> None:
    """R-09."""
    world.visit("link")
    record = world.identity("alice")
    code = world.code("link", record)
    world.pass_time(301)
    world.set_wall_clock(jump_s)
    assert world.register_with("link", record, code).code is Code.CODE_EXPIRED
    code = world.code("link", record)
    world.set_wall_clock(-2 * jump_s)
    assert isinstance(world.register_with("link", record, code), Registered)


def test_codes_are_rationed_by_number(world: World) -> None:
    world.visit("link")
    record = world.identity("alice")
    for _ in range(3):
        world.code("link", record)
    world.visit("elsewhere", ELSEWHERE)
    reply = world.reply("elsewhere", request(world.identity("alice", 1)))  # neither address nor identity helps
    assert (reply.code, reply.subject, reply.command) == (Code.RATE_LIMITED, "alice", "request_code")
    assert reply.retry_after_s == 201
    world.pass_time(199)
    assert world.refusal("link", request(record)) is Code.RATE_LIMITED
    world.pass_time(2)
    world.code("link", record)


def test_codes_are_rationed_by_address(world: World) -> None:
    world.visit("link")
    asked = [RequestCode(identity_hash=bytes(32), user_id=f"user{number}") for number in range(21)]
    for frame in asked[:20]:
        assert isinstance(world.do("link", frame)[0], SendCode)
    world.visit("link again")
    reply = world.reply("link again", asked[20])
    assert (reply.code, reply.retry_after_s) == (Code.RATE_LIMITED, 181)
    world.visit("elsewhere", ELSEWHERE)
    assert isinstance(world.do("elsewhere", asked[20])[0], SendCode)


def test_a_number_bears_a_hundred_wrong_codes_in_all(world: World) -> None:
    """Also when the hundredth is reached while codes are out, and after a restart."""
    world.visit("link")
    record, code = world.identity("alice"), ""
    for number in range(99):
        if number % 3 == 0:
            code = world.code("link", record)
            world.pass_time(200)
        assert world.register_with("link", record, wrong(code)).code is Code.WRONG_CODE
    world.pass_time(600)
    other = world.identity("alice", 1)
    codes = world.code("link", record), world.code("link", other)
    assert world.register_with("link", other, wrong(codes[1])).code is Code.WRONG_CODE
    for tried, code in ((record, codes[0]), (other, codes[1]), (record, wrong(codes[0]))):
        reply = world.register_with("link", tried, code)
        assert (reply.code, reply.retry_after_s) == (Code.RATE_LIMITED, 0)
    assert world.store.code_failures("alice") == 100
    world.crash()
    world.visit("link")
    assert world.refusal("link", request(record)) is Code.RATE_LIMITED
    world.code("link", world.identity("bob"))


def test_a_store_that_cannot_count_gives_no_more_guesses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.visit("link")
    record = world.identity("alice")
    code = world.code("link", record)

    def full(_user_id: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.store, "add_code_failure", full)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            world.register_with("link", record, wrong(code))
    assert world.register_with("link", record, code).code is Code.CODE_EXPIRED


# ---------------------------------------------------------------- registration


def test_a_registered_number_stays_with_its_key(world: World) -> None:
    """Attack row 35, and the seed's take-over after a restart: no code is even made."""
    world.register("alice", 0)
    world.crash()
    world.visit("link")
    assert world.refusal("link", request(world.identity("alice", 1))) is Code.ALREADY_REGISTERED


def test_the_same_identity_is_not_registered_twice(world: World) -> None:
    record = world.register("alice", 0)
    world.visit("link")
    assert world.refusal("link", request(record)) is Code.ALREADY_REGISTERED
    assert world.register_with("link", record, "123456").code is Code.CODE_EXPIRED
    assert (rows(world)["account"], rows(world)["identity"], rows(world)["log_entry"]) == (1, 1, 1)


def test_the_second_of_two_who_both_hold_codes_is_refused(world: World) -> None:
    world.visit("link")
    first, second = world.identity("alice", 0), world.identity("alice", 1)
    codes = world.code("link", first), world.code("link", second)
    assert isinstance(world.register_with("link", first, codes[0]), Registered)
    assert world.register_with("link", second, codes[1]).code is Code.ALREADY_REGISTERED
    assert world.store.identity_record("alice") == canonical(first)


def test_room_for_so_many_accounts(make_world: MakeWorld) -> None:
    """The seed's failure 33: whoever is one too many hears of it, also when they hold a code."""
    world = make_world(max_users=2)
    world.register("alice", 0)
    world.visit("link")
    bob, carol = world.identity("bob", 1), world.identity("carol", 2)
    codes = world.code("link", bob), world.code("link", carol)
    assert isinstance(world.register_with("link", bob, codes[0]), Registered)
    assert world.register_with("link", carol, codes[1]).code is Code.SERVER_FULL
    assert world.refusal("link", request(carol)) is Code.SERVER_FULL
    assert world.store.count_accounts() == 2


def resigned(world: World, record: IdentityRecord) -> IdentityRecord:
    """Sign a changed record by all its keys again."""
    keys, signed = world.keys[0], without(record, "sigs")
    signatures = msgspec.structs.replace(
        record.sigs,
        ed25519=sign(keys.ed25519, Label.IDENTITY, signed),
        mldsa65=sign(keys.mldsa65, Label.IDENTITY, signed),
        rsa=sign(keys.rsa, Label.IDENTITY, signed),
    )
    return msgspec.structs.replace(record, sigs=signatures)


def spki_of(oid: str, parameters: Any, bits: bytes) -> bytes:
    algorithm = DerSequence([DerObjectId(oid), *([parameters] if parameters is not None else [])])
    return DerSequence([algorithm, DerBitString(bits)]).encode()


UNKNOWN_KEY = spki_of("1.2.3.4.5", None, bytes(270))
UNKNOWN_CURVE = spki_of("1.2.840.10045.2.1", DerObjectId("1.2.3.4"), b"\x04" + bytes(270))
EVEN_MODULUS = spki_of("1.2.840.113549.1.1.1", DerNull(), DerSequence([(1 << 2047) + 2, 65537]).encode())
INVALID: dict[str, Callable[[World, IdentityRecord], IdentityRecord]] = {
    "signature": lambda _, record: msgspec.structs.replace(record, created=record.created + 1),
    "second epoch": lambda world, record: resigned(world, msgspec.structs.replace(record, epoch=2)),
    "predecessor": lambda world, record: resigned(world, msgspec.structs.replace(record, prev=bytes(32))),
    "suites": lambda world, record: resigned(world, msgspec.structs.replace(record, suites=[2, 1])),
    "somebody else's key": lambda world, record: resigned(
        world, msgspec.structs.replace(record, rsa=spki(world.keys[1].rsa.public_key()))
    ),
    "no RSA key": lambda world, record: resigned(world, msgspec.structs.replace(record, rsa=bytes(270))),
    "unknown kind of key": lambda world, record: resigned(world, msgspec.structs.replace(record, rsa=UNKNOWN_KEY)),
    "unknown curve": lambda world, record: resigned(world, msgspec.structs.replace(record, rsa=UNKNOWN_CURVE)),
    "even modulus": lambda world, record: resigned(world, msgspec.structs.replace(record, rsa=EVEN_MODULUS)),
    "no point": lambda world, record: resigned(world, msgspec.structs.replace(record, ed25519=b"\xff" * 32)),
}


def test_an_account_that_has_rotated_is_registered_again_where_it_is_not_known(world: World) -> None:
    """The database is gone, and the account goes on with the keys it has."""
    first = world.identity("alice", 0)
    second = create_record(
        world.keys[1], "alice", created=START_S, suites=[1], before=Predecessor(first, world.keys[0])
    )
    world.visit("alice")
    world.do("alice", world.register_frame(second, world.code("alice", second)))
    assert world.store.identity_record("alice") == canonical(second)


@pytest.mark.parametrize("flaw", INVALID)
def test_an_invalid_record_leaves_nothing_behind_and_takes_nobody_along(world: World, flaw: str) -> None:
    """Its group is one transaction: the others in it are served."""
    record, bob = INVALID[flaw](world, world.identity("alice", 0)), world.identity("bob", 1)
    for link in ("alice", "bob"):
        world.visit(link)
    frames = [world.register_frame(made, world.code(made.user_id, made)) for made in (record, bob)]
    before = rows(world)
    refused, registered = world.do_all(("alice", frames[0]), ("bob", frames[1]))
    assert refused == [
        Outgoing("alice", [Refusal(code=Code.INVALID_RECORD, command="register", retry_after_s=0, subject="alice")])
    ]
    assert registered == [Outgoing("bob", [Registered(identity_hash=identity_hash(bob))])]
    assert {name: count - before[name] for name, count in rows(world).items() if count != before[name]} == {
        "account": 1, "device": 1, "identity": 1, "log_entry": 1, "log_node": 1,
    }  # fmt: skip
    assert world.store.account("alice") is None


# ---------------------------------------------------------------- login


def test_a_proof_is_good_for_one_challenge(world: World) -> None:
    """Attack row 12: a recorded login is played again on another link, and after a restart."""
    world.register("alice")
    frame = world.login_frame("alice", world.visit("link"))
    assert isinstance(world.reply("link", frame), LoggedIn)
    world.visit("again")
    assert world.refusal("again", frame) is Code.AUTHENTICATION_FAILED
    world.crash()
    world.visit("link")
    assert world.refusal("link", frame) is Code.AUTHENTICATION_FAILED


@pytest.mark.parametrize(
    "signed",
    [
        {"server_key_hash": sha256(spki(generate_server_key().public_key()))},
        {"client_nonce": bytes(31) + b"\1"},
        {"server_nonce": bytes(32)},
        {"user_id": "bob"},
        {"device_id": 2},
        {"identity": bytes(32)},
        {"version": 2},
    ],
    ids=lambda signed: next(iter(signed)),
)
def test_a_proof_for_anything_else_is_no_proof(world: World, signed: dict[str, Any]) -> None:
    """Attack row 12: played to another server, for another account or device, in answer to another challenge."""
    world.register("alice")
    frame = world.login_frame("alice", world.visit("link"), signed=signed)
    assert world.refusal("link", frame) is Code.AUTHENTICATION_FAILED


@pytest.mark.parametrize("label", [label for label in Label if label is not Label.LOGIN])
def test_a_signature_made_for_another_purpose_is_no_proof(world: World, label: Label) -> None:
    """Attack row 11."""
    world.register("alice")
    frame = world.login_frame("alice", world.visit("link"), label=label)
    assert world.refusal("link", frame) is Code.AUTHENTICATION_FAILED


def test_nobody_becomes_bob_by_sending_his_number(world: World) -> None:
    """The seed's first failure."""
    world.register("bob", 1)
    frame = world.login_frame("bob", world.visit("link"), keys=world.keys[2])
    reply = world.reply("link", frame)
    assert reply == Refusal(code=Code.AUTHENTICATION_FAILED, command="login", retry_after_s=0, subject="bob")


def test_a_login_names_the_identity_that_the_account_has(world: World) -> None:
    world.register("alice")
    frame = msgspec.structs.replace(world.login_frame("alice", world.visit("link")), identity_hash=bytes(32))
    assert world.refusal("link", frame) is Code.AUTHENTICATION_FAILED


def test_unknown_accounts_and_devices_do_not_come_in(world: World) -> None:
    world.register("alice")
    world.identity("nobody", 1)
    assert world.refusal("link", world.login_frame("nobody", world.visit("link"))) is Code.UNKNOWN_ACCOUNT
    frame = world.login_frame("alice", world.visit("link"), device_id=2)
    assert world.refusal("link", frame) is Code.AUTHENTICATION_FAILED


def test_a_failed_login_may_be_put_right_on_the_same_link(world: World) -> None:
    world.register("alice")
    welcome = world.visit("link")
    assert world.refusal("link", world.login_frame("alice", welcome, keys=world.keys[1])) is Code.AUTHENTICATION_FAILED
    assert isinstance(world.reply("link", world.login_frame("alice", welcome)), LoggedIn)


def test_login_failures_slow_down_one_account_at_one_address(world: World) -> None:
    world.register("alice", 0)
    world.register("bob", 1)
    for _ in range(5):
        frame = world.login_frame("alice", world.visit("link"), keys=world.keys[1])
        assert world.refusal("link", frame) is Code.AUTHENTICATION_FAILED
    reply = world.reply("link", world.login_frame("alice", world.visit("link")))  # the right proof, too
    assert (reply.code, reply.retry_after_s) == (Code.RATE_LIMITED, 31)
    world.login("alice", "elsewhere", address=ELSEWHERE)
    world.login("bob")
    world.pass_time(29)
    assert world.refusal("link", world.login_frame("alice", world.visit("link"))) is Code.RATE_LIMITED
    world.pass_time(2)
    world.login("alice")


def test_logins_that_succeed_are_not_counted(world: World) -> None:
    world.register("alice")
    for _ in range(30):
        world.login("alice")


def test_looking_for_accounts_by_login_is_slowed_down(world: World) -> None:
    """Attack row 38."""
    for number in range(21):
        world.identity(f"user{number}", number % 3)
    for number in range(20):
        frame = world.login_frame(f"user{number}", world.visit("link"))
        assert world.refusal("link", frame) is Code.UNKNOWN_ACCOUNT
    assert world.refusal("link", world.login_frame("user20", world.visit("link"))) is Code.RATE_LIMITED
    frame = world.login_frame("user20", world.visit("elsewhere", ELSEWHERE))
    assert world.refusal("elsewhere", frame) is Code.UNKNOWN_ACCOUNT
