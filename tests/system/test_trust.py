"""Keys, verification, revocation, passwords and backups as people meet them: by the programs."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import ExitCode
from tests.system.programs import PASSWORD, Person, Program, Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "server", "--stranger-pending", "100") as running:
        yield running
        running.end(signal.SIGTERM)


@pytest.fixture
def alice(tmp_path: Path, server: Server) -> Person:
    return registered(tmp_path, "alice", server)


@pytest.fixture
def bob(tmp_path: Path, server: Server, alice: Person) -> Person:
    made = registered(tmp_path, "bob", server)
    assert alice.run("send", "bob", "hello")[0] == ExitCode.OK
    assert made.run("recv")[0] == ExitCode.OK
    return made


def registered(folder: Path, user_id: str, server: Server) -> Person:
    person = Person(folder / user_id, user_id, server)
    person.register()
    return person


def number_of(lines: list[str]) -> str:
    return "".join(line.replace(" ", "") for line in lines if re.fullmatch(r"  \d{5}( \d{5}){3}", line))


def test_two_people_compare_their_number(alice: Person, bob: Person) -> None:
    seen = [number_of(person.run("verify", peer)[1]) for person, peer in ((alice, "bob"), (bob, "alice"))]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 60
    assert alice.run("verify", "bob", "0" * 60)[0] == ExitCode.UNTRUSTED
    assert alice.run("verify", "nobody")[0] == ExitCode.USAGE
    assert alice.run("verify", "bob", "perhaps")[0] == ExitCode.USAGE
    assert alice.run("verify", "bob", *re.findall(r"\d{5}", seen[1]))[0] == ExitCode.OK
    assert bob.run("send", "alice", "hello")[0] == ExitCode.OK
    code, out, _ = alice.run("recv", "--json")
    assert (code, json.loads(out[-1])["trust"]) == (ExitCode.OK, "verified")


def test_new_keys_are_made_and_followed(alice: Person, bob: Person) -> None:
    assert alice.run("verify", "bob", number_of(alice.run("verify", "bob")[1]))[0] == ExitCode.OK
    before = bob.run("keys")[1][0]
    code, _, err = bob.run("keys", "rotate")
    assert (code, err) == (ExitCode.OK, ["* you have new keys (number 2), and your contacts are told"])
    after = bob.run("keys")[1][0]
    assert ("number 1" in before, "number 2" in after) == (True, True)
    code, out, err = alice.run("recv")
    assert (code, out) == (ExitCode.OK, [])
    assert any("bob has new keys, signed with the old ones. You had verified the old ones" in line for line in err)
    assert alice.run("send", "bob", "to the new keys")[0] == ExitCode.OK
    assert bob.run("recv")[1][-1].endswith("alice: to the new keys")
    assert not list((bob.home / "keys").glob("*next*"))


def test_a_certificate_ends_an_account_without_its_password(alice: Person, bob: Person, tmp_path: Path) -> None:
    certificate = tmp_path / "on paper.json"
    shutil.copy(bob.home / "keys" / "bob_revocation.json", certificate)
    elsewhere = ["--home", str(tmp_path / "elsewhere"), "--server", bob.server.address, "keys", "revoke"]
    with bob.converse() as client:
        client.expect("online")
        with Program("client.py", *elsewhere, "--certificate", str(certificate)) as revoking:
            revoking.expect("the account bob has ended, for ever")
            assert revoking.end() == ExitCode.OK
        client.expect("this account was revoked, for ever")
        assert client.end() == ExitCode.REFUSED
    assert bob.run("recv")[0] == ExitCode.REFUSED
    code, _, err = alice.run("send", "bob", "are you there?")
    assert (code, "revoked" in err[-2] + err[-1]) == (ExitCode.REFUSED, True)
    assert alice.run("send", "bob", "are you there?")[0] == ExitCode.UNTRUSTED
    for missing, code in ((tmp_path / "none", ExitCode.USAGE), (tmp_path / "alice" / "password", ExitCode.PASSWORD)):
        with Program("client.py", *elsewhere, "--certificate", str(missing)) as revoking:
            assert revoking.end() == code


def test_the_password_changes(bob: Person) -> None:
    new = bob.home / "new"
    new.write_text("another good password\n")
    new.chmod(0o600)
    assert bob.run("keys", "password", "--new-password-file", str(new))[0] == ExitCode.OK
    assert bob.run("recv")[0] == ExitCode.PASSWORD
    bob.password_file = new
    assert bob.run("recv")[0] == ExitCode.OK
    with Program("client.py", *bob.options, "--plain", "keys", "password", stdin=True) as client:
        client.expect("Enter the new password:")
        client.type(PASSWORD, PASSWORD)
        client.expect("the new password holds from now on")
        assert client.end() == ExitCode.OK
    assert bob.run("recv")[0] == ExitCode.PASSWORD


def test_an_account_comes_back_from_a_backup(alice: Person, bob: Person, tmp_path: Path) -> None:
    backup = tmp_path / "bob.backup"
    assert bob.run("backup", str(backup))[0] == ExitCode.OK
    assert bob.run("backup", str(backup))[0] == ExitCode.USAGE
    shutil.rmtree(bob.home / "keys")
    shutil.rmtree(bob.home / "data")
    back = Person(tmp_path / "new machine", "bob", bob.server)
    code, _, err = back.run("restore", str(backup))
    assert (code, err) == (ExitCode.OK, ["* bob is back, with new keys: the server hears of them at the next start"])
    assert back.run("restore", str(backup))[0] == ExitCode.USAGE
    assert back.run("send", "alice", "from the new machine")[0] == ExitCode.OK
    code, out, err = alice.run("recv")
    assert (code, out[-1].endswith("bob: from the new machine")) == (ExitCode.OK, True)
    assert any("bob has gone back to a backup" in line for line in err)
    back.password_file.write_text("not the password\n")
    assert back.run("restore", str(backup))[0] == ExitCode.PASSWORD


def test_clients_follow_the_server_to_its_next_key_once(tmp_path: Path) -> None:
    with Server(tmp_path / "server") as server:
        alice = registered(tmp_path, "alice", server)
        first, port = server.address, server.port
        server.end(signal.SIGTERM)
    with Server(tmp_path / "server", "--rotate-key", port=port) as server:
        assert server.address != first
        with alice.converse() as client:
            client.expect("the server has a new key, signed with the old one")
            client.expect("online")
            assert client.end() == ExitCode.OK
        assert alice.run("recv")[0] == ExitCode.OK
        server.end(signal.SIGTERM)
    with Server(tmp_path / "other", port=port) as other:
        alice.server = other
        assert alice.run("recv")[0] == ExitCode.UNTRUSTED
        other.end(signal.SIGTERM)
