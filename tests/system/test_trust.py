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
from tests.system.programs import CLIENT, PASSWORD, Person, Program, Server

pytestmark = pytest.mark.xdist_group("trust")  # one server, and one Alice, for all


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), "--stranger-pending", "100") as running:
        yield running


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Person:
    return registered(tmp_path_factory.mktemp("people"), "alice", server)


def met(folder: Path, user_id: str, alice: Person) -> Person:
    """Register somebody whom Alice has written to."""
    person = registered(folder, user_id, alice.server)
    assert alice.run("send", user_id, "hello")[0] == ExitCode.OK
    return person


def registered(folder: Path, user_id: str, server: Server) -> Person:
    person = Person(folder / user_id, user_id, server)
    person.enroll()
    return person


def number_of(lines: list[str]) -> str:
    return "".join(line.replace(" ", "") for line in lines if re.fullmatch(r"  \d{5}( \d{5}){3}", line))


def test_two_people_compare_their_number_and_compare_anew_after_a_rotation(alice: Person, tmp_path: Path) -> None:
    bob = met(tmp_path, "bob", alice)
    assert bob.run("recv")[0] == ExitCode.OK
    seen = [number_of(person.run("verify", peer)[1]) for person, peer in ((alice, "bob"), (bob, "alice"))]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 60
    assert alice.run("verify", "bob", "0" * 60)[0] == ExitCode.UNTRUSTED
    assert alice.run("verify", "bob", *re.findall(r"\d{5}", seen[1]))[0] == ExitCode.OK
    assert bob.run("send", "alice", "hello")[0] == ExitCode.OK
    code, out, _ = alice.run("recv", "--json")
    assert (code, json.loads(out[-1])["trust"]) == (ExitCode.OK, "verified")
    code, _, err = bob.run("keys", "rotate")
    assert (code, len(err)) == (ExitCode.OK, 1)
    assert err[0].startswith("* you have new keys (number 2), and your contacts are told")
    assert "number 2" in bob.run("keys")[1][0]
    code, _, err = alice.run("send", "bob", "to the new keys")
    assert code == ExitCode.OK
    assert any("bob has new keys, signed with the old ones. You had verified the old ones" in line for line in err)
    assert bob.run("recv")[1][-1].endswith("alice: to the new keys")
    assert not list((bob.home / "keys").glob("*next*"))


def test_a_certificate_ends_an_account_without_its_password(alice: Person, tmp_path: Path) -> None:
    dora = met(tmp_path, "dora", alice)
    certificate = tmp_path / "on paper.json"
    shutil.copy(dora.home / "keys" / "dora_revocation.json", certificate)
    elsewhere = ["--home", str(tmp_path / "elsewhere"), "--server", dora.server.address, "keys", "revoke"]
    with dora.converse() as client:
        client.expect("online")
        with Program(CLIENT, *elsewhere, "--certificate", str(certificate)) as revoking:
            revoking.expect("the account dora has ended, for ever")
            assert revoking.end() == ExitCode.OK
        client.expect("this account was revoked, for ever")
        assert client.end() == ExitCode.REFUSED
    assert dora.run("recv")[0] == ExitCode.REFUSED
    code, _, err = alice.run("send", "dora", "are you there?")
    assert (code, "revoked" in err[-2] + err[-1]) == (ExitCode.REFUSED, True)
    assert alice.run("send", "dora", "are you there?")[0] == ExitCode.UNTRUSTED
    for missing, code in ((tmp_path / "none", ExitCode.USAGE), (alice.password_file, ExitCode.PASSWORD)):
        with Program(CLIENT, *elsewhere, "--certificate", str(missing)) as revoking:
            assert revoking.end() == code


def test_the_password_changes(server: Server, tmp_path: Path) -> None:
    erik = registered(tmp_path, "erik", server)
    new = erik.home / "new"
    new.write_text("another good password\n")
    new.chmod(0o600)
    assert erik.run("keys", "password", "--new-password-file", str(new))[0] == ExitCode.OK
    assert erik.run("recv")[0] == ExitCode.PASSWORD
    erik.password_file = new
    assert erik.run("recv")[0] == ExitCode.OK
    with Program(CLIENT, *erik.options, "--plain", "keys", "password", stdin=True) as client:
        client.expect("Enter the new password:")
        client.type(PASSWORD, PASSWORD)
        client.expect("the new password holds from now on")
        assert client.end() == ExitCode.OK
    assert erik.run("recv")[0] == ExitCode.PASSWORD


def test_an_account_comes_back_from_a_backup(alice: Person, tmp_path: Path) -> None:
    fred = met(tmp_path, "fred", alice)
    assert fred.run("recv")[0] == ExitCode.OK
    backup = tmp_path / "fred.backup"
    assert fred.run("backup", str(backup))[0] == ExitCode.OK
    shutil.rmtree(fred.home / "keys")
    shutil.rmtree(fred.home / "data")
    back = Person(tmp_path / "new machine", "fred", fred.server)
    code, _, err = back.run("restore", str(backup))
    assert code == ExitCode.OK
    assert err[0] == "* fred is back, with new keys: the server hears of them at the next start."
    assert back.run("send", "alice", "from the new machine")[0] == ExitCode.OK
    code, out, err = alice.run("recv")
    assert (code, out[-1].endswith("fred: from the new machine")) == (ExitCode.OK, True)
    assert any("fred has gone back to a backup" in line for line in err)
    back.password_file.write_text("not the password\n")
    assert back.run("restore", str(backup))[0] == ExitCode.PASSWORD


def test_clients_follow_the_server_to_its_next_key_once(tmp_path: Path) -> None:
    with Server(tmp_path / "server") as server:
        greta = registered(tmp_path, "greta", server)
        first, port = server.address, server.port
        server.end(signal.SIGTERM)
    with Server(tmp_path / "server", "--rotate-key", port=port) as server:
        assert server.address != first
        with greta.converse() as client:
            client.expect("the server has a new key, signed with the old one")
            client.expect("online")
            assert client.end() == ExitCode.OK
        assert greta.run("recv")[0] == ExitCode.OK
        server.end(signal.SIGTERM)
    with Server(tmp_path / "other", port=port) as other:
        greta.server = other
        assert greta.run("recv")[0] == ExitCode.UNTRUSTED
        other.end(signal.SIGTERM)


def test_the_log_and_the_rows_of_the_server_are_shown(alice: Person, tmp_path: Path) -> None:
    emil = met(tmp_path, "emil", alice)
    assert emil.run("recv")[0] == ExitCode.OK
    code, out, _ = emil.run("log")
    assert code == ExitCode.OK
    assert re.match(r"\* the key log of this server: \d+ entries, signed \d\d:\d\d, root [0-9a-f]{64}", out[0])
    assert "shown the same log: alice." in out[1]
    code, out, _ = emil.run("server-knows")
    assert code == ExitCode.OK
    assert any(line.startswith("  mailbox: ") and "sender_id alice" in line for line in out)
    assert out[-1].startswith("* That was every row")
    code, out, _ = emil.run("server-knows", "--json")
    rows = [row for line in out for row in json.loads(line)["rows"]]
    assert {"account", "device", "identity", "mailbox", "log_entry"} <= {row["table"] for row in rows}


def test_an_account_is_erased_at_its_owners_wish_and_its_number_does_not_come_back(
    alice: Person, tmp_path: Path
) -> None:
    fritz = met(tmp_path, "fritz", alice)
    code, _, err = fritz.run("erase-me", "alice")
    assert code == ExitCode.USAGE
    assert "this would remove the account fritz" in err[0]
    code, _, err = fritz.run("erase-me", "fritz")
    assert code == ExitCode.OK
    assert "your account is gone from the server" in err[-1]
    code, _, err = fritz.run("recv")
    assert code == ExitCode.REFUSED
    assert any("this account was removed" in line for line in err)
    code, _, err = alice.run("send", "fritz", "are you there?")
    assert code == ExitCode.REFUSED
