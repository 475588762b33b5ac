"""SecureChat's own server under load, over TLS: it has no other door."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Final

from bench.load import Heard
from bench.peers.common import connect, secured
from canonical_json import canonical
from connection import Connection, Role
from crypto_utils import (
    Label,
    PrivateKeys,
    encode_base64,
    public_key_from_pem,
    sha256,
    sign,
    spki,
)
from identity import create_record, identity_hash, key_id, login_statement
from messenger.content import NO_LOG, Text, pack
from messenger.outbox import PREFIX
from messenger.suites.suite2 import HEADER
from protocol import Frame, Hello, LoggedIn, Login, Message, Pong, Welcome, encode_frames
from records import ED25519_SIGNATURE_SIZE, IdentityRecord
from relay.storage import Address, Arrival
from relay.storage.sqlite import SqliteStore

ROOT: Final = Path(__file__).resolve().parents[1]
NONCE: Final = bytes(32)
TAG_SIZE: Final = 16  # bytes that AES-GCM adds
BULK: Final = 20_000  # rows a transaction
WAITING: Final = 2**40  # the number of the first envelope that waits before the start: none that will be sent


@cache
def keys() -> PrivateKeys:
    """Return the keys that all accounts of a benchmark share: making thousands would take an hour."""
    return PrivateKeys.generate()


@cache
def record(user_id: str) -> IdentityRecord:
    return create_record(keys(), user_id, created=0, suites=[1, 2])


def create_accounts(home: Path, accounts: list[str]) -> None:
    """Put accounts into the database of a server that does not run; each even one knows the odd one after it."""
    store = SqliteStore(home / "data" / "relay.db")
    with store.transaction():
        for user_id in accounts:
            store.create_account(user_id, created_at=0)
            made = record(user_id)
            store.append_identity(user_id, 1, identity_hash(made), canonical(made), recorded_at=0)
        for a, b in zip(accounts[::2], accounts[1::2], strict=False):
            store.note_written(a, b)
            store.note_written(b, a)
    store.close()


def fill(home: Path, owner: str, writer: str, waiting: int) -> None:
    """Let so many messages wait: half of them for the owner of one mailbox, half for a thousand others."""
    before, after = template(writer, owner, 1024)
    store, now = SqliteStore(home / "data" / "relay.db"), int(time.time())
    for at in range(0, waiting, BULK):
        with store.transaction():
            for number in range(at, min(at + BULK, waiting)):
                to = owner if number % 2 else f"other{number // 2 % 1000:03}"
                message_id = envelope_id(WAITING + number, now - (waiting - number) // 100)
                envelope = before[4:] + base64.b64encode(message_id) + after
                store.put(Address(to, 1), writer, [Arrival(message_id, envelope, bytes(32))], at=now)
    store.close()


def key_hash(home: Path) -> bytes:
    """Return what a login to this server signs."""
    return sha256(spki(public_key_from_pem((home / "keys" / "server_public_key.pem").read_bytes())))


class SecureChatServer:
    """The real program, with accounts that were put into its database before the start."""

    def __init__(self, home: Path, accounts: list[str], *, pin: int, waiting: int = 0) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        create_accounts(home, accounts)
        if waiting:
            fill(home, accounts[1], accounts[0], waiting)
            os.sync()  # or the system would write it while we measure
        self.pin = pin
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable, "server.py", "--home", str(self.home), "--port", "0", "--mailbox-limit", "2000000",
                "--stranger-pending", "1000000", "--limit", "startups_per_address=100",  # all come from one
                "--limit", "startups=100:30:200",
            ],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.sched_setaffinity(self.process.pid, {self.pin})
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if match := re.search(r"@localhost:(\d+)", line):
                self.port = int(match[1])
                break
        self.key_hash = key_hash(self.home)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.communicate(timeout=30)

    def log_in(self, user_id: str, partner: str, *, size: int = 1024) -> SecureChatClient:
        return SecureChatClient(self.port, self.key_hash, user_id, partner, size=size)


class SecureChatClient:
    """A logged-in account that writes to its partner."""

    def __init__(self, port: int, server_key_hash: bytes, user_id: str, partner: str, *, size: int = 1024) -> None:
        self.sock = secured(connect(port))
        self._connection = Connection(Role.CLIENT)
        try:
            self._log_in(server_key_hash, user_id)
        except BaseException:
            self.sock.close()
            raise
        self._rest, self._began = b"", divmod(time.time_ns() // 1000, 1_000_000)
        self._prefix, self._suffix = template(user_id, partner, size)

    def _ask(self, frame: Frame) -> Frame:
        self.sock.sendall(self._connection.send(frame))
        length = self._exactly(4)  # not a byte of what comes after the reply
        (reply,) = self._connection.receive(length + self._exactly(int.from_bytes(length, "big")))
        return reply

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.sock.recv(size - len(data))
        return data

    def _log_in(self, server_key_hash: bytes, user_id: str) -> None:
        welcome = self._ask(Hello(nonce=NONCE, versions=[1]))
        assert isinstance(welcome, Welcome)
        identity = identity_hash(record(user_id))
        statement = login_statement(
            server_key_hash=server_key_hash, client_nonce=NONCE, server_nonce=welcome.nonce, user_id=user_id,
            device_id=1, identity=identity, version=1,
        )  # fmt: skip
        proof = sign(keys().ed25519, Label.LOGIN, statement)
        answer = self._ask(Login(device_id=1, identity_hash=identity, proof=proof, user_id=user_id))
        assert isinstance(answer, LoggedIn), answer

    def message(self, number: int) -> bytes:
        return self._prefix + base64.b64encode(envelope_id(number, *self._began)) + self._suffix

    def hear(self, data: bytes) -> Heard:
        data = self._rest + data
        heard, at, sequences = Heard(), 0, []
        size = len(data)
        while size - at >= 4:
            end = at + 4 + int.from_bytes(data[at : at + 4], "big")
            if end > size:
                break
            kind = data[at + 5 : at + 9]
            if kind == b'"ids':  # {"ids":["...",...],"timestamp":...,"type":"accepted"}
                heard.accepted += data.count(b",", at, data.index(b"]", at)) + 1
            elif kind == b'"env':
                tail = data.rindex(b'"sequence":', at, end)
                sequences.append(data[tail + 11 : data.index(b",", tail)])
                start = data.index(b'"id":"', at) + 6
                heard.delivered.append(int.from_bytes(base64.b64decode(data[start : start + 24])[8:], "big"))
            elif data[end - 7 : end] == b'"ping"}':
                heard.answer += PONG
            else:
                message = f"the server said {data[at:end][:200]!r}"
                raise ConnectionError(message)
            at = end
        self._rest = data[at:]
        for first in range(0, len(sequences), 256):
            body = b'{"sequences":[' + b",".join(sequences[first : first + 256]) + b'],"type":"acknowledge"}'
            heard.answer += len(body).to_bytes(4, "big") + body
        return heard


PONG: Final = encode_frames(Pong())


def envelope_id(number: int, second: int, microsecond: int = 0) -> bytes:
    """Return an id like those of a client (messenger.outbox) in which a number can be found again.

    Later in the same second the same number gives another id, and a higher one.
    """
    return PREFIX.pack(second, (microsecond + number) % 2**32) + number.to_bytes(8, "big")


def template(user_id: str, partner: str, size: int) -> tuple[bytes, bytes]:
    """Return what stands before and after the id in a message frame whose envelope has so many bytes.

    No envelope is small: where even an empty one would have more, it is that of a text of so many bytes, in suite 2.
    """

    def frame(header: int, content: str) -> bytes:
        return canonical(
            Message(
                encrypted_aes_key=encode_base64(os.urandom(header)), encrypted_content=content, id=bytes(16),
                recipient_device=0, recipient_id=partner, recipient_key=key_id(record(partner)), sender_device=1,
                sender_id=user_id, sender_key=key_id(record(user_id)),
                signature=encode_base64(os.urandom(ED25519_SIGNATURE_SIZE)), suite=2, timestamp=0,
            )
        )  # fmt: skip

    room = (size - len(frame(96, ""))) // 4 * 4  # characters of base64
    if room > 0:
        body = frame(96, encode_base64(os.urandom(room // 4 * 3)))
    else:
        text = pack(Text(counter=1, log=NO_LOG, text="x" * size))
        body = frame(HEADER.size, encode_base64(os.urandom(len(text) + TAG_SIZE)))
    before, after = body.split(b'"id":"' + base64.b64encode(bytes(16)), 1)
    return len(body).to_bytes(4, "big") + before + b'"id":"', after
