"""Verification codes guessed, and used by many at once, over the wire (R-22)."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from random import Random

from bench.securechat import keys, record
from connection import Connection, Role
from crypto_utils import RSAPublicKey, public_key_from_pem
from errors import Code
from identity import create_record, identity_hash, seal_code
from protocol import CodeSent, Frame, Hello, Register, Registered, RequestCode
from records import IdentityRecord
from tests.faults.crowd import Relay
from tests.trial import Trial

DOOR = ("--limit", "startups=1000:1:2000", "--limit", "startups_per_address=1000", "--limit", "login_s=120")


class Visitor:
    """A connection that has said hello, and says just what a test wants."""

    def __init__(self, relay: Relay, server_key: RSAPublicKey) -> None:
        self.sock = relay.speak()
        self._connection = Connection(Role.CLIENT)
        self._key = server_key
        self.ask(Hello(nonce=bytes(32), versions=[1]))

    def ask(self, command: Frame) -> Frame:
        self.sock.sendall(self._connection.send(command))
        while True:
            for frame in self._connection.receive(self.sock.recv(65536)):
                return frame

    def request(self, made: IdentityRecord) -> Frame:
        return self.ask(RequestCode(identity_hash=identity_hash(made), user_id=made.user_id))

    def register(self, made: IdentityRecord, code: str) -> Frame:
        return self.ask(Register(encrypted_code=seal_code(self._key, code, identity_hash(made)), record=made))


def kind(reply: Frame) -> str:
    return str(getattr(reply, "code", type(reply).__name__))


def test_a_code_is_good_for_one_of_fifty_and_for_nobody_who_guesses(tmp_path: Path, trial: Trial) -> None:
    """R-22: fifty links use the right code at the same moment; then somebody tries number after number."""
    guesses = trial.size(200, 5_000)
    with Relay(tmp_path / "server", [], *DOOR) as relay:
        key = public_key_from_pem((relay.home / "keys" / "server_public_key.pem").read_bytes())
        visitors, replies = [Visitor(relay, key) for _ in range(50)], list[str]()
        assert isinstance(visitors[0].request(record("walter")), CodeSent)
        code, together = relay.code_for("walter"), threading.Barrier(50)

        def use(visitor: Visitor) -> None:
            together.wait()
            replies.append(kind(visitor.register(record("walter"), code)))

        threads = [threading.Thread(target=use, args=(visitor,)) for visitor in visitors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        used = Counter(replies)
        assert used[Registered.__name__] == 1
        assert used[Code.CODE_EXPIRED] + used[Code.ALREADY_REGISTERED] == 49
        answers = Counter(guess(visitors, trial.random, guesses))
        for visitor in visitors:
            visitor.sock.close()
    trial.note(**answers)
    assert set(answers) == {Code.WRONG_CODE, Code.CODE_EXPIRED, Code.RATE_LIMITED}
    assert answers[Code.WRONG_CODE] == 9  # three guesses at each of the three codes that a number gets in ten minutes


def guess(visitors: list[Visitor], chance: Random, guesses: int) -> list[str]:
    """Ask for a code again and again, guess four times, and return what was answered."""
    victim, answers = create_record(keys(), "victim", created=0, suites=[1]), list[str]()
    for number in range(guesses // 5):
        visitor = chance.choice(visitors)
        asked = kind(visitor.request(victim))
        assert asked == CodeSent.__name__ if number < 3 else asked == Code.RATE_LIMITED
        answers += [asked] if number >= 3 else []
        answers += [kind(visitor.register(victim, f"{chance.randrange(10**6):06}")) for _ in range(4)]
    return answers
