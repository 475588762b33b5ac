"""The server's half of the key log, and a verifier of it that shares nothing with the product but the wire."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.serialization import load_der_public_key

from canonical_json import canonical
from errors import Code
from protocol import FetchIdentity, FetchLog, Frame, Log, Revoke
from relay.limits import Limits
from tests.relay.world import LOG_SPKI, World

Json = Any


def asked(world: World, frame: Frame, link: str = "alice") -> Json:
    return json.loads(canonical(world.reply(link, frame)))


def raw(text: str) -> bytes:
    return base64.b64decode(text)


def dumps(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Verifier:
    """Checks a log as docs/PROTOCOL.md section 4.7 and RFC 9162 write it down, by recursion over all leaves."""

    def __init__(self, spki: bytes) -> None:
        self.key: Any = load_der_public_key(spki)
        self.leaves: list[bytes] = []

    def root(self, leaves: list[bytes]) -> bytes:
        if not leaves:
            return hashlib.sha256(b"").digest()
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        split = 1
        while split * 2 < len(leaves):
            split *= 2
        return hashlib.sha256(b"\1" + self.root(leaves[:split]) + self.root(leaves[split:])).digest()

    def index(self, user_id: str, proof: str) -> bytes:
        message = b"SecureChat log index\0" + user_id.encode()
        self.key.verify(raw(proof), message, PKCS1v15(), hashes.SHA256())
        return hashlib.sha256(raw(proof)).digest()

    def read(self, log: Json) -> None:
        assert log["start"] == len(self.leaves)
        self.leaves += [dumps(entry) for entry in log["entries"]]
        self.check_head(log["proof"]["head"])

    def check_head(self, head: Json) -> None:
        signed = dumps({name: value for name, value in head.items() if name != "signature"})
        pss = PSS(MGF1(hashes.SHA256()), 32)
        self.key.verify(raw(head["signature"]), b"SecureChat log head\0" + signed, pss, hashes.SHA256())
        assert head["size"] == len(self.leaves)
        assert raw(head["root"]) == self.root(self.leaves)

    def path(self, position: int, leaves: list[bytes]) -> list[bytes]:
        if len(leaves) == 1:
            return []
        split = 1
        while split * 2 < len(leaves):
            split *= 2
        if position < split:
            return [*self.path(position, leaves[:split]), self.root(leaves[split:])]
        return [*self.path(position - split, leaves[split:]), self.root(leaves[:split])]

    def check_listed(self, entry: Json, inclusion: Json) -> None:
        assert json.loads(self.leaves[inclusion["position"]]) == entry
        assert [raw(each) for each in inclusion["path"]] == self.path(inclusion["position"], self.leaves)


def test_another_program_can_check_all_of_it(pair: World) -> None:
    for name in ("carol", "david", "erin"):
        pair.register(name, 2)
    pair.login("bob")
    pair.rotate("bob", 2)
    pair.visit("anybody")
    certificate = pair.certificate("bob")
    pair.do("anybody", Revoke(certificate=certificate))
    verifier = Verifier(LOG_SPKI)
    log = asked(pair, FetchLog(log_size=0, start=0))
    verifier.read(log)
    assert len(verifier.leaves) == 7
    answer = asked(pair, FetchIdentity(epoch=1, log_size=7, user_id="bob"))
    index = verifier.index("bob", answer["proof"]["index"])
    hashes_of = [
        hashlib.sha256(dumps({k: v for k, v in record.items() if k != "sigs"})) for record in answer["records"]
    ]
    assert len(hashes_of) == 2
    values = [("identity", each.digest()) for each in hashes_of]
    values.append(("revocation", hashlib.sha256(dumps(answer["revocations"][0])).digest()))
    verifier.check_head(answer["proof"]["head"])
    for (kind, value), inclusion in zip(values, answer["proof"]["inclusions"], strict=True):
        encoded = {"index": base64.b64encode(index).decode(), "value": base64.b64encode(value).decode()}
        verifier.check_listed(encoded | {"kind": kind}, inclusion)
    names = [name.encode() for name in ("alice", "bob", "carol")]
    assert not any(name in leaf for leaf in verifier.leaves for name in names)


def test_a_proof_begins_where_the_client_is(pair: World) -> None:
    """That is the last head that went over its link, whatever it knew when it asked."""
    first = asked(pair, FetchLog(log_size=0, start=0))
    assert first["proof"]["consistency"] == []
    pair.register("carol", 2)
    later = asked(pair, FetchIdentity(epoch=0, log_size=0, user_id="bob"))
    assert later["proof"]["head"]["size"] == 3
    assert len(later["proof"]["consistency"]) == 1  # from two entries to three
    pair.login("alice")
    assert asked(pair, FetchLog(log_size=3, start=3))["proof"]["consistency"] == []
    pair.login("alice")
    assert len(asked(pair, FetchLog(log_size=1, start=3))["proof"]["consistency"]) == 2


def test_a_client_that_knows_more_than_there_is_gets_a_head_that_shows_it(pair: World) -> None:
    log = asked(pair, FetchLog(log_size=2**40, start=2**40))
    assert (log["entries"], log["proof"]["consistency"], log["proof"]["head"]["size"]) == ([], [], 2)
    pair.register("carol", 2)
    later = asked(pair, FetchLog(log_size=0, start=0))  # it begins anew, and is taken at its word again
    assert len(later["proof"]["consistency"]) == 1


def test_a_head_is_signed_once_a_change(pair: World) -> None:
    heads = [asked(pair, FetchLog(log_size=0, start=0))["proof"]["head"] for _ in range(2)]
    assert heads[0] == heads[1]  # RSA-PSS is salted
    pair.register("carol", 2)
    assert asked(pair, FetchLog(log_size=0, start=0))["proof"]["head"]["size"] == 3


def test_what_was_there_before_there_was_a_log_is_entered_at_the_start(pair: World) -> None:
    pair.login("bob")
    pair.rotate("bob", 2)
    pair.visit("anybody")
    pair.do("anybody", Revoke(certificate=pair.certificate("bob")))
    before = asked(pair, FetchLog(log_size=0, start=0))
    with pair.store.transaction():
        for name in ("log_entry_keeps", "log_entry_stays", "log_entry_grows"):
            pair.store._db.execute(f"DROP TRIGGER {name}")
        pair.store._db.execute("DELETE FROM log_entry")
        pair.store._db.execute("DELETE FROM log_node")
    pair.crash()
    pair.login("alice")
    assert asked(pair, FetchLog(log_size=0, start=0))["entries"] == before["entries"]


def test_a_group_that_fails_leaves_no_trace_in_the_log(pair: World) -> None:
    before = asked(pair, FetchLog(log_size=0, start=0))
    record = pair.identity("carol", 2)
    pair.visit("carol")
    frame = pair.register_frame(record, pair.code("carol", record))

    def fail() -> None:
        with pair.store.transaction():
            list(pair.relay.receive("carol", [frame], now=pair.now))
            list(pair.relay.receive("alice", [FetchLog(log_size=0, start=0)], now=pair.now))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    pair.login("alice")  # the writer has cut the links
    after = asked(pair, FetchLog(log_size=0, start=0))
    assert (after["entries"], after["proof"]["head"]["root"]) == (before["entries"], before["proof"]["head"]["root"])
    pair.register("david", 2)
    verifier = Verifier(LOG_SPKI)
    verifier.read(asked(pair, FetchLog(log_size=0, start=0)))
    assert len(verifier.leaves) == 3


def test_questions_for_the_log_are_rationed(pair: World) -> None:
    for _ in range(Limits().log_pages.burst):
        assert isinstance(pair.reply("alice", FetchLog(log_size=0, start=2)), Log)
    assert pair.refusal("alice", FetchLog(log_size=0, start=2)) is Code.RATE_LIMITED
    pair.login("bob")
    assert isinstance(pair.reply("bob", FetchLog(log_size=0, start=2)), Log)
