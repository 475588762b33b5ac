"""An account in one file: it opens with the password alone, and nothing that was used is used again."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from crypto_utils import public_key_to_pem
from errors import KeyFileError, StorageError, UsageError
from key_files import write_key_file
from messenger.account import AccountFiles, save
from messenger.backup import Restored, restore, write_backup
from messenger.contacts import COUNTERS_SKIPPED
from messenger.database import Database
from messenger.events import ContactRestored, IdentityRotated, LoginRefused, MessagesMissing
from messenger.opening import open_account
from messenger.ui.event_lines import event_line
from messenger.ui.text import clock, restored_lines
from protocol import Delivery
from relay.limits import DAY
from tests.messenger.people import PASSWORD, Person, Town
from tests.relay.world import SERVER_KEY

pytestmark = pytest.mark.usefixtures("quick_kdf")


class Safe:
    """Where Alice keeps her backup."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.alice, self.bob = town.person("alice"), town.person("bob")
        self.files = AccountFiles(town.folder / "keys", "alice")
        self.path = town.folder / "alice.backup"
        save(self.alice.account, self.files, PASSWORD)
        write_key_file(self.files.keys / "server_public_key.pem", public_key_to_pem(SERVER_KEY.public_key()))

    def write(self) -> None:
        messenger = self.alice.messenger
        write_backup(messenger.keyring, messenger.database, self.files, self.path)

    def restore(self, name: str = "another home") -> Person:
        """Let Alice come back with what is in the backup."""
        self.alice.go_offline()
        home = self.town.folder / name
        restored = restore(self.path, PASSWORD, keys=home / "keys", data=home / "data", now=self.town.now)
        assert restored.user_id == "alice"
        self.alice.database.close()
        keyring, database = open_account(AccountFiles(home / "keys", "alice"), home / "data" / "alice.db", PASSWORD)
        database.close()
        self.alice.path = home / "data" / "alice.db"
        self.alice.account, self.alice.following = keyring.account, keyring.following
        self.alice.open()
        return self.alice


@pytest.fixture
def safe(town: Town) -> Safe:
    return Safe(town)


def test_what_is_restored_goes_on_with_new_keys_and_other_counters(safe: Safe) -> None:
    alice, bob = safe.alice, safe.bob
    alice.write("bob", "before")
    bob.write("alice", "hello")
    safe.write()
    alice.write("bob", "after the backup")
    old = alice.account.key_id
    alice = safe.restore()
    alice.go_online()
    assert alice.messenger.settled
    assert alice.messenger.account.key_id != old
    assert bob.saw(IdentityRotated) == [IdentityRotated("alice", was_verified=False)]
    assert bob.saw(ContactRestored) == [ContactRestored("alice")]
    message = alice.write("bob", "back again")
    assert alice.state(message) == "delivered"
    assert bob.read == ["before", "after the backup", "back again"]
    assert bob.saw(MessagesMissing) == alice.saw(MessagesMissing) == []
    counters = [
        row[0] for row in bob.database.rows("SELECT counter FROM message WHERE direction = 'in' ORDER BY ordinal")
    ]
    assert len(set(counters)) == len(counters) == 3
    assert counters[-1] > COUNTERS_SKIPPED
    assert bob.state(bob.write("alice", "there you are")) == "delivered"


def test_a_restore_that_was_cut_short_makes_its_new_keys_at_login(safe: Safe) -> None:
    safe.alice.write("bob", "hello")
    safe.write()
    alice = safe.restore()
    alice.following = None  # killed before they were made
    alice.restart()
    alice.go_online()
    assert safe.bob.saw(ContactRestored) == [ContactRestored("alice")]
    alice.write("bob", "back again")
    assert safe.bob.read == ["hello", "back again"]
    assert safe.bob.saw(MessagesMissing) == []


def test_what_waited_in_the_outbox_is_shown_once(safe: Safe) -> None:
    """It was sent after the backup was made, and is sent again from it."""
    alice, bob = safe.alice, safe.bob
    alice.write("bob", "hello")
    alice.go_offline()
    alice.write("bob", "queued")
    safe.write()
    alice.go_online()
    assert bob.read == ["hello", "queued"]
    alice = safe.restore()
    alice.go_online()
    assert bob.read == ["hello", "queued"]
    assert alice.messenger.outbox.count_messages() == 0


def test_messages_that_a_server_keeps_back_with_the_notice_of_a_backup_are_missed(safe: Safe) -> None:
    safe.alice.write("bob", "before")
    safe.bob.write("alice", "hello")
    safe.write()
    alice, bob = safe.restore("home"), safe.bob
    safe.town.inward = lambda frame: [] if isinstance(frame, Delivery) else [frame]
    alice.go_online()
    alice.write("bob", "lost")
    safe.town.inward = lambda frame: [frame]
    alice.write("bob", "shown")
    (missing,) = bob.saw(MessagesMissing)
    assert isinstance(missing, MessagesMissing)
    assert "nobody knows" in event_line(missing)


def test_counters_of_a_backup_are_no_missing_messages_for_whoever_counts_anew(safe: Safe) -> None:
    """As somebody does who has accepted another identity of hers meanwhile."""
    safe.alice.write("bob", "hello")
    safe.write()
    alice, bob = safe.restore("home"), safe.bob
    alice.go_online()
    bob.database.run("UPDATE contact SET highest_in = 0")
    alice.write("bob", "back again")
    assert bob.read[-1] == "back again"
    assert bob.saw(MessagesMissing) == []


def test_a_backup_can_be_restored_twice(safe: Safe) -> None:
    """The second time its keys are not the account's any more, and the server says so."""
    safe.alice.write("bob", "hello")
    safe.write()
    safe.restore("first").go_online()
    alice = safe.restore("second")
    alice.go_online()
    (refused,) = alice.saw(LoginRefused)
    assert isinstance(refused, LoginRefused)


def test_a_backup_says_how_far_it_goes(safe: Safe, tmp_path: Path) -> None:
    def restored(name: str) -> Restored:
        return restore(safe.path, PASSWORD, keys=tmp_path / name / "keys", data=tmp_path / name / "data", now=1)

    safe.write()
    assert restored("empty") == Restored("alice", None)
    assert "it has no message" in restored_lines("alice", None)[0]
    safe.path.unlink()
    safe.alice.write("bob", "hello")
    written_at = safe.town.now
    safe.write()
    safe.town.world.pass_time(DAY)
    safe.alice.write("bob", "after the backup")
    assert restored("full") == Restored("alice", written_at)
    assert restored_lines("alice", written_at)[0].endswith(f"its last message is of {clock(written_at, dated=True)}.")


def test_an_old_copy_of_a_home_hears_from_each_contact_how_much_it_lacks(safe: Safe, tmp_path: Path) -> None:
    """It has the keys that the server knows, and so nothing tells it, or them, before somebody writes."""
    alice, bob = safe.alice, safe.bob
    alice.write("bob", "hello")
    bob.write("alice", "hello yourself")
    alice.go_offline()
    alice.database.close()
    old = shutil.copy(alice.path, tmp_path / "old")
    alice.open()
    alice.go_online()
    for text in ("one", "two", "three"):
        bob.write("alice", text)
    alice.go_offline()
    alice.database.close()
    shutil.copy(old, alice.path)
    alice.events.clear()
    alice.open()
    alice.go_online()
    assert alice.saw(MessagesMissing) == []
    bob.write("alice", "four")
    assert alice.saw(MessagesMissing) == [MessagesMissing("bob", 3)]
    assert alice.read == ["four"]


def test_the_same_password_opens_it_and_no_other(safe: Safe) -> None:
    safe.write()
    home = safe.town.folder / "home"
    with pytest.raises(KeyFileError, match="does not open"):
        restore(safe.path, b"another password", keys=home / "keys", data=home / "data", now=1)
    assert not home.exists()
    assert safe.path.stat().st_mode & 0o777 == 0o600
    data = safe.path.read_bytes()
    for visible in (b"alice", b"SQLite", b"PRIVATE KEY"):  # the three letters of "bob" may be there by chance
        assert visible not in data


def test_every_damage_is_noticed_and_nothing_is_left_behind(safe: Safe) -> None:
    safe.write()
    data, home = safe.path.read_bytes(), safe.town.folder / "home"
    copy = safe.town.folder / "damaged"
    for place in (0, 20, len(data) // 2, len(data) - 1):
        damaged = bytearray(data)
        damaged[place] ^= 1
        copy.write_bytes(damaged)
        with pytest.raises((KeyFileError, StorageError)):
            restore(copy, PASSWORD, keys=home / "keys", data=home / "data", now=1)
    copy.write_bytes(data[: len(data) // 2])
    with pytest.raises((KeyFileError, StorageError)):
        restore(copy, PASSWORD, keys=home / "keys", data=home / "data", now=1)
    assert not (home / "keys" / "alice_private_key.pem").exists()


def test_a_database_that_is_no_backup_is_refused(safe: Safe) -> None:
    path = safe.town.folder / "other.db"
    Database(path, PASSWORD).close()
    home = safe.town.folder / "home"
    with pytest.raises(KeyFileError):
        restore(path, PASSWORD, keys=home / "keys", data=home / "data", now=1)


def test_nothing_is_overwritten(safe: Safe, tmp_path: Path) -> None:
    safe.write()
    with pytest.raises(UsageError, match="exists already"):
        safe.write()
    with pytest.raises(UsageError, match="here already"):
        restore(safe.path, PASSWORD, keys=safe.files.keys, data=tmp_path / "data", now=1)
    with pytest.raises(UsageError, match="no file"):
        restore(tmp_path / "none", PASSWORD, keys=tmp_path / "k", data=tmp_path / "d", now=1)


def test_a_missing_file_is_one_error(safe: Safe) -> None:
    (safe.files.keys / "server_public_key.pem").unlink()
    with pytest.raises(KeyFileError, match="server_public_key"):
        safe.write()
    assert not safe.path.exists()


def test_a_place_that_cannot_be_written_leaves_nothing(safe: Safe) -> None:
    messenger = safe.alice.messenger
    with pytest.raises(StorageError, match="cannot write"):
        write_backup(messenger.keyring, messenger.database, safe.files, safe.town.folder / "none" / "alice.backup")
    safe.alice.go_offline()
    messenger.keyring.prepare(now=1)
    with pytest.raises(UsageError, match="being rotated"):
        safe.write()


def test_a_revoked_or_changed_contact_stays_so(safe: Safe) -> None:
    safe.alice.write("bob", "hello")
    with safe.alice.database.transaction():
        safe.alice.database.run(
            "INSERT INTO revoked_identity SELECT identity_hash, user_id, x'00', 1 FROM contact WHERE user_id = 'bob'"
        )
    safe.write()
    alice = safe.restore()
    with closing(alice.database):
        contact = alice.messenger.contacts.find("bob")
        assert contact is not None
        assert contact.trust == "revoked"
    alice.open()
