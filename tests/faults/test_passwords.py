"""kill -9 while a password changes, and while keys are rotated: one password opens everything, with one set of keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from crypto_utils import PrivateKeys, normalise_password
from errors import WrongPasswordError
from identity import create_record
from messenger.account import Account, AccountFiles, save
from messenger.opening import open_account
from tests.trial import Trial

pytestmark = pytest.mark.usefixtures("quick_kdf")

ROOT = Path(__file__).resolve().parents[2]
PASSWORDS = [normalise_password(f"password number {number}") for number in range(2)]

CHANGES = """
import sys
from itertools import cycle
from pathlib import Path
import crypto_utils
from crypto_utils import PrivateKeys, encrypt_private_keys
from messenger import account, opening
from messenger.account import AccountFiles
from messenger.opening import change_password, open_account

home, what = Path(sys.argv[1]), sys.argv[2]
passwords = [word.encode() for word in sys.argv[3:]]
crypto_utils.PBKDF2_MIN_ITERATIONS = 1000  # few rounds: more kills in the same time
for module in (account, opening):
    module.encrypt_private_keys = lambda keys, word: encrypt_private_keys(keys, word, iterations=1000)
files = AccountFiles(home / "keys", "alice")
keyring, database = open_account(files, home / "data" / "alice.db", passwords[0])
pool = cycle([PrivateKeys.generate() for _ in range(3 if what == "keys" else 0)])
PrivateKeys.generate = lambda: next(pool)
print("go", flush=True)
while what == "password":
    passwords.reverse()
    change_password(keyring, database, files, passwords[0])
while what == "keys":
    if keyring.following is None:
        keyring.prepare(now=1)
    with database.transaction():
        keyring.retire(now=1)
    keyring.advance()
"""


def changed_until_killed(home: Path, what: str, passwords: list[bytes], seconds: float) -> None:
    arguments = [sys.executable, "-c", CHANGES, str(home), what, *(word.decode() for word in passwords)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as changing:
        assert changing.stdout is not None
        assert changing.stdout.readline() == "go\n"
        time.sleep(seconds)
        os.kill(changing.pid, signal.SIGKILL)


def opened_by(home: Path) -> tuple[bytes, int]:
    """Return the password that opens the account, the only one, and the epoch of its keys."""
    files, found = AccountFiles(home / "keys", "alice"), []
    for password in PASSWORDS:
        try:
            keyring, database = open_account(files, home / "data" / "alice.db", password)
        except WrongPasswordError:
            continue
        with closing(database):
            assert database.rows("SELECT count(*) FROM seen") == [(1000,)]
            found.append((password, keyring.account.record.epoch))
    (only,) = found
    return only


def make(home: Path, keys: PrivateKeys) -> None:
    files = AccountFiles(home / "keys", "alice")
    save(Account("alice", keys, create_record(keys, "alice", created=1, suites=[1])), files, PASSWORDS[0])
    _, database = open_account(files, home / "data" / "alice.db", PASSWORDS[0])
    with closing(database), database.transaction():
        for number in range(1000):
            database.run("INSERT INTO seen VALUES ('bob', ?, 1)", number.to_bytes(16, "big"))


def test_kill_9_while_the_password_changes(tmp_path: Path, some_keys: list[PrivateKeys], trial: Trial) -> None:
    make(tmp_path, some_keys[0])
    present = PASSWORDS[0]
    for _ in range(trial.size(5, 60)):
        other = PASSWORDS[1 - PASSWORDS.index(present)]
        changed_until_killed(tmp_path, "password", [present, other], trial.random.uniform(0.0, 0.5))
        present, _ = opened_by(tmp_path)


def test_kill_9_while_the_keys_are_rotated(tmp_path: Path, some_keys: list[PrivateKeys], trial: Trial) -> None:
    make(tmp_path, some_keys[0])
    epochs = [1]
    for _ in range(trial.size(5, 60)):
        changed_until_killed(tmp_path, "keys", [PASSWORDS[0]], trial.random.uniform(0.0, 0.5))
        epochs.append(opened_by(tmp_path)[1])
    assert epochs == sorted(epochs)
    assert epochs[-1] > 1
