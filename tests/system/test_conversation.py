"""The programs as people use them: processes, pipes, a pseudo-terminal, homes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from errors import ExitCode
from tests.system.programs import CLIENT, PASSWORD, ROOT, Person, Program, Server
from tests.system.terminal import Terminal


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("people")


def registered(folder: Path, user_id: str, server: Server) -> Person:
    person = Person(folder / user_id, user_id, server)
    person.enroll()
    return person


@pytest.fixture(scope="module")
def alice(folder: Path, server: Server) -> Person:
    return registered(folder, "alice", server)


@pytest.fixture(scope="module")
def bob(folder: Path, server: Server) -> Person:
    return registered(folder, "bob", server)


# ---------------------------------------------------------------- one-shot


def test_send_and_recv(alice: Person, bob: Person) -> None:
    """Keys need not come from the same folder: the seed's failure 32."""
    assert alice.run("send", "bob", "hello bob")[0] == ExitCode.OK
    code, out, _ = bob.run("recv")
    assert (code, len(out)) == (ExitCode.OK, 1)
    assert out[0].endswith("alice: hello bob")
    assert bob.run("recv")[:2] == (ExitCode.OK, [])


def test_nothing_need_be_typed_that_is_configured(alice: Person, bob: Person, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        f'server = "localhost:{alice.server.port}"\n'
        f'[profile.bobs]\nuser = "bob"\nhome = "{bob.home}"\npassword_file = "{bob.password_file}"\n'
    )
    path.chmod(0o600)
    assert alice.run("send", "bob", "configured")[0] == ExitCode.OK
    run = subprocess.run(
        [sys.executable, CLIENT, "--profile", "bobs", "recv"], cwd=ROOT, text=True, capture_output=True, check=False,
        stdin=subprocess.DEVNULL, env={**os.environ, "SECURECHAT_CONFIG": str(path)},
    )  # fmt: skip
    assert (run.returncode, run.stdout.strip().endswith("alice: configured")) == (ExitCode.OK, True), run.stderr


def test_recv_as_json_is_one_object_a_line_and_harmless(alice: Person, bob: Person) -> None:
    hostile = "\x1b]0;owned\x07 \x7f\u202e\nnew line"
    assert alice.run("send", "bob", hostile)[0] == ExitCode.OK
    code, out, _ = bob.run("recv", "--json")
    assert code == ExitCode.OK
    assert all(line.isascii() and line.isprintable() for line in out)
    *before, message = map(json.loads, out)
    assert before in ([], [{"v": 1, "type": "request", "from": "alice"}])
    assert (message["v"], message["type"], message["from"], message["text"]) == (1, "message", "alice", hostile)


@pytest.mark.parametrize("size", [1450, 64 * 1024])
def test_long_messages_arrive(alice: Person, bob: Person, size: int) -> None:
    text = "".join(chr(97 + number * number % 26) for number in range(size))
    options = [*alice.options, "send", "bob", "-"]
    sent = subprocess.run([sys.executable, CLIENT, *options], cwd=ROOT, input=text.encode(), check=False, timeout=60)
    assert sent.returncode == ExitCode.OK
    assert json.loads(bob.run("recv", "--json")[1][-1])["text"] == text


def test_wrong_passwords(alice: Person) -> None:
    before = (alice.home / "keys" / "alice_private_key.pem").read_bytes()
    options = ["--home", str(alice.home), "--user", "alice", "--server", f"localhost:{alice.server.port}", "--plain"]
    with Program(CLIENT, *options, "recv", stdin=True) as client:
        client.type("wrong password 1", "short", "wrong password 3")
        client.expect("Authentication failed: Maximum attempts exceeded")
        assert client.end() == ExitCode.PASSWORD
        assert not any("wrong password" in line for line in client.lines)
    assert (alice.home / "keys" / "alice_private_key.pem").read_bytes() == before
    assert alice.run("recv")[0] == ExitCode.OK


def test_an_account_is_used_by_one_program_at_a_time(alice: Person) -> None:
    """R-31."""
    with alice.converse() as first:
        first.expect("online")
        code, _, err = alice.run("recv")
        assert code == ExitCode.IN_USE
        assert f"in use by pid {first.process.pid}" in err[0]
        first.type("quit")
        assert first.end() == ExitCode.OK


def test_a_home_that_cannot_be(alice: Person, tmp_path: Path) -> None:
    """R-08."""
    (tmp_path / "file").write_text("in the way")
    home = ["--home", str(tmp_path / "file")]
    client = [CLIENT, *home, "--user", "x-y", "--server", alice.server.address, "recv"]
    for program in (["server.py", *home, "--port", "0"], client):
        run = subprocess.run([sys.executable, *program], cwd=ROOT, text=True, capture_output=True, check=False)
        assert run.returncode == ExitCode.STORAGE
        assert "Traceback" not in run.stderr
        assert "cannot" in run.stderr


@pytest.mark.parametrize("address", ["nonsense:x", "securechat://zz@localhost", "localhost:99999"])
def test_an_address_that_is_none(alice: Person, address: str) -> None:
    run = subprocess.run(
        [sys.executable, CLIENT, "--home", str(alice.home), "--server", address, "recv"],
        cwd=ROOT, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert run.returncode == ExitCode.USAGE
    assert "is not the address of a server" in run.stderr


def test_output_that_cannot_be_written_is_one_error_and_nothing_is_lost(alice: Person, tmp_path: Path) -> None:
    petra = registered(tmp_path, "petra", alice.server)
    assert alice.run("send", "petra", "\u6f22")[0] == ExitCode.OK
    receive = [sys.executable, CLIENT, *petra.options, "recv"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        run = subprocess.run(receive, cwd=ROOT, text=True, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (run.returncode, run.stderr.splitlines()[-2]) == (
        ExitCode.STORAGE, "cannot read or write standard output (No space left on device)",
    )  # fmt: skip
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *receive]
    run = subprocess.run(closed, cwd=ROOT, text=True, stderr=subprocess.PIPE, check=False)
    assert (run.returncode, run.stderr.splitlines()[0]) == (ExitCode.USAGE, "standard output is closed")
    plain = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    run = subprocess.run(receive, cwd=ROOT, text=True, capture_output=True, check=False, env=plain)
    assert (run.returncode, run.stdout.strip()[-13:]) == (ExitCode.OK, "alice: \\u6f22")


def test_a_database_that_is_gone_is_not_passed_over(alice: Person, tmp_path: Path) -> None:
    gerda = registered(tmp_path, "gerda", alice.server)
    assert gerda.run("send", "alice", "hello")[0] == ExitCode.OK
    (gerda.home / "data" / "gerda.db").unlink()
    code, _, err = gerda.run("send", "alice", "to whoever that is now")
    assert (code, err[0]) == (ExitCode.PASSWORD, f"there is no database {gerda.home / 'data' / 'gerda.db'}")
    with gerda.converse() as client:
        client.expect("gerda.db was not there: history, contacts")
        client.expect("online")
        assert client.end() == ExitCode.OK
    assert gerda.run("recv") == (ExitCode.OK, [], [])


# ---------------------------------------------------------------- registration


def test_a_number_cannot_be_taken_over(server: Server, alice: Person, tmp_path: Path) -> None:
    thief = Person(tmp_path, "alice", server)
    with Program(
        CLIENT, "--home", str(tmp_path), "--server", server.address, "--plain", "register", stdin=True
    ) as client:
        client.type("alice")
        client.expect("registered with another key")
        assert client.end() == ExitCode.REFUSED
    assert not (thief.home / "keys" / "alice_private_key.pem").exists()
    assert alice.run("recv")[0] == ExitCode.OK


def test_a_wrong_code_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    options = ["--home", str(tmp_path), "--server", server.address, "--plain", "register"]
    with Program(CLIENT, *options, stdin=True) as client:
        client.type("walter")
        right = server.code_for("walter")
        client.type("12", f"{(int(right) + 1) % 10**6:06}", PASSWORD, "something else", PASSWORD, PASSWORD)
        client.expect("a code has 6 digits")
        client.expect("the two passwords differ")
        client.expect("the verification code is wrong")
        client.type(right)
        client.expect("registered as walter")
        assert client.end() == ExitCode.OK
        assert right not in "".join(client.lines)  # the server's terminal shows it, never its link


def test_a_registration_that_was_cut_short_goes_on_with_the_same_keys(server: Server, tmp_path: Path) -> None:
    person = Person(tmp_path, "yvonne", server)
    options = ["--home", str(tmp_path), "--server", server.address, "--plain", "register"]
    with Program(CLIENT, *options, stdin=True) as client:
        client.type("yvonne")
        code = server.code_for("yvonne")
        client.type(f"{(int(code) + 1) % 10**6:06}", PASSWORD, PASSWORD)
        client.expect("the verification code is wrong")
        client.end(signal.SIGKILL)
    key = (tmp_path / "keys" / "yvonne_private_key.pem").read_bytes()
    with Program(CLIENT, *person.options, "--plain", "register", stdin=True) as client:
        client.expect("does not know yvonne yet")
        client.type(server.code_for("yvonne", count=2))
        client.expect("registered as yvonne")
        assert client.end() == ExitCode.OK
    assert (tmp_path / "keys" / "yvonne_private_key.pem").read_bytes() == key


def test_a_server_that_forgot_an_account_is_told_of_it_again(tmp_path: Path) -> None:
    """Its database is gone, its key is not: the running client registers again and the conversation goes on."""
    with Server(tmp_path / "server") as server:
        port = server.port
        alice, bob = registered(tmp_path, "alice", server), registered(tmp_path, "bob", server)
        assert alice.run("recv")[0] == ExitCode.OK  # reads the key log, too
        assert alice.run("keys", "rotate")[0] == ExitCode.OK  # the record that she registers again is not her first
        with alice.converse() as a:
            a.type("bob")
            a.expect("online")
            assert server.end(signal.SIGTERM) == 0
            for path in (tmp_path / "server" / "data").glob("relay.db*"):
                path.unlink()
            with Server(tmp_path / "server", port=port) as again:
                a.expect("does not know alice yet")
                a.type(again.code_for("alice"))
                a.expect("alice_revocation_2.json is the certificate that ends the account there")
                a.expect("registered as alice")
                a.expect("the server contradicts itself")  # its key log is gone, too
                a.type("/log forget")
                a.expect("the key log is read anew")
                with Program(CLIENT, *bob.options, "--plain", "register", stdin=True) as b:
                    b.type(again.code_for("bob"))
                    assert b.end() == 0
                a.type("@bob still here", "quit")
                assert a.end() == 0
                assert bob.run("log", "--forget")[0] == ExitCode.OK
                assert bob.run("recv")[1][0].endswith("alice: still here")


def test_a_command_brings_the_code(tmp_path: Path) -> None:
    """The number is its argument, the code its standard input; neither is shown by the server."""
    script = tmp_path / "send.sh"
    script.write_text(f'#!/bin/sh\necho "$1 $(cat)" > "{tmp_path}/sent"\n')
    script.chmod(0o755)
    with Server(tmp_path / "server", "--send-code", str(script)) as server:
        options = ["--home", str(tmp_path / "carol"), "--server", server.address, "--plain", "register"]
        with Program(CLIENT, *options, stdin=True) as client:
            client.type("carol")
            client.expect("Enter the verification code")
            number, code = (tmp_path / "sent").read_text().split()
            assert number == "carol"
            client.type(code, PASSWORD, PASSWORD)
            client.expect("registered as carol")
            assert client.end() == ExitCode.OK
        assert code not in "".join(server.lines)
        assert server.end(signal.SIGTERM) == ExitCode.OK


def test_a_command_that_fails_is_said(tmp_path: Path) -> None:
    with Server(tmp_path / "server", "--send-code", "false", "--max-users", "1") as server:
        options = ["--home", str(tmp_path / "carol"), "--server", server.address, "--plain", "register"]
        with Program(CLIENT, *options, stdin=True) as client:
            client.type("carol")
            client.expect("could not send the verification code")
            assert client.end() == ExitCode.REFUSED


# ---------------------------------------------------------------- conversations


def test_a_conversation_with_restarts_in_between(tmp_path: Path) -> None:
    """Offline delivery, server restart in between, client restart in between; reconnects by themselves."""
    with Server(tmp_path / "server") as server:
        port = server.port
        alice, bob = registered(tmp_path, "alice", server), registered(tmp_path, "bob", server)
        with alice.converse() as a:
            with bob.converse() as b:
                a.type("bob", "one")
                b.expect("alice: one")
                b.expect("alice is nobody you have written to")
                b.type("alice", "so you are no stranger", "quit")
                assert b.end() == 0
                a.expect(r"\* read: bob")
                a.expect("bob: so you")
            a.type("two")
            a.expect(r"\* accepted: bob", count=2)
            assert server.end(signal.SIGTERM) == 0
            a.expect("offline: .*")
            a.type("three")
            a.expect("queued: it goes out")
            with Server(tmp_path / "server", port=port) as again:
                a.expect(r"\* accepted: bob", count=3)
                again.process.kill()
                a.expect("offline: .*", count=2)
                a.type("four", "five")
                with Server(tmp_path / "server", port=port) as third, bob.converse() as b:
                    for text in ("two", "three", "four", "five"):
                        b.expect(f"alice: {text}")
                    assert not any("missing" in line for line in b.lines)
                    shown = [line.rpartition(" ")[2] for line in b.lines if "alice: " in line]
                    assert shown == ["two", "three", "four", "five"]
                    a.expect(r"\* read: bob", count=5)
                    b.type("alice", "six", "quit")
                    assert b.end() == 0
                    a.expect("bob: six")
                    a.type("quit")
                    assert a.end() == 0
                    assert third.end(signal.SIGINT) == 0
        database = sqlite3.connect(tmp_path / "server" / "data" / "relay.db")
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_a_plain_client_at_once(alice: Person, number: signal.Signals, code: int) -> None:
    """R-36."""
    with alice.converse() as client:
        client.expect("online")
        began = time.monotonic()
        assert client.end(number) == code
        assert time.monotonic() - began < 1


def test_a_reader_that_goes_away_is_no_traceback(alice: Person, bob: Person) -> None:
    """R-36: a broken pipe; the message that could not be written comes again."""
    assert alice.run("send", "bob", "for a pipe")[0] == 0
    client = subprocess.Popen(
        [sys.executable, CLIENT, *bob.options, "recv", "--json"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert client.stdout is not None
    assert client.stderr is not None
    client.stdout.close()
    errors = client.stderr.read().decode()
    client.stderr.close()
    assert client.wait() == ExitCode.FAILED
    assert "Traceback" not in errors
    assert json.loads(bob.run("recv", "--json")[1][-1])["text"] == "for a pipe"


# ---------------------------------------------------------------- a terminal


def test_two_terminals_from_registration_to_quit(server: Server, tmp_path: Path) -> None:
    """The main job, as a newcomer does it: two homes, two ptys, a server."""
    terminals = {}
    for name in ("tina", "theo"):
        terminal = terminals[name] = Terminal("--home", str(tmp_path / name), "--server", server.address)
        terminal.expect("Enter your phone number:")
        terminal.type(name)
        terminal.expect("Enter the verification code shown above:")
        terminal.type(server.code_for(name))
        for prompt in ("Create a password to protect your private key:", "Confirm your password:"):
            terminal.expect(prompt)
            terminal.type(PASSWORD)
        terminal.expect("online")
        assert PASSWORD not in str(terminal.child.before)  # nothing is echoed
        terminal.expect("Enter recipient phone number")
    tina, theo = terminals["tina"], terminals["theo"]
    tina.type("theo")
    tina.expect("Enter message to theo ")
    tina.type("hello theo")
    theo.expect("tina is nobody you have written to")
    theo.expect("tina: hello theo")
    tina.see("online | last to theo: accepted")
    tina.type("/to somebody")
    tina.expect("Enter message to somebody ")
    theo.type("/to tina")
    theo.see("tina: hello theo")
    theo.type("are you there?")
    theo.see("last to tina: delivered")
    tina.see("theo has written: /to theo shows it")
    tina.see("unread: theo 1")
    tina.type("/to theo")
    theo.see("last to tina: read")
    tina.see("theo: are you there?")
    assert not any("unread: " in line for line in tina.see("online | last to theo: read"))
    theo.type("half a senten", enter=False)
    tina.type("\x1b[200~two\nlines\x1b[201~")  # a bracketed paste is one message
    theo.expect(r"tina: two\r*\n  \| lines")
    theo.type("ce", enter=False)
    theo.type("\rquit")  # the begun line was not disturbed: it names a recipient that cannot be; typing on is not lost
    theo.expect("half a sentence")
    assert theo.end() == 0
    tina.type("\x03", enter=False)
    assert tina.end(within_s=1) == ExitCode.INTERRUPTED


def test_a_terminal_that_closes_ends_the_client(alice: Person) -> None:
    """R-36."""
    terminal = Terminal(*alice.options)
    terminal.expect("online")
    terminal.child.kill(signal.SIGTERM)
    assert terminal.end(within_s=1) == ExitCode.TERMINATED
    terminal = Terminal(*alice.options)
    terminal.expect("online")
    terminal.child.close(force=False)  # hangs up
    deadline = time.monotonic() + 1
    while terminal.child.isalive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not terminal.child.isalive()
    assert terminal.child.exitstatus == 128 + signal.SIGHUP
    assert alice.run("recv")[0] == 0  # and its files are free


def test_a_terminal_that_closes_with_an_editor_open_ends_the_client(
    alice: Person, bob: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line that came meanwhile waits for the editor, which outlives the terminal here."""
    editor, opened = tmp_path / "editor", tmp_path / "opened"
    editor.write_text(f"#!/bin/sh\ntrap '' HUP\ntouch {opened}\nsleep 1\n")
    editor.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(editor))
    terminal = Terminal(*bob.options)
    terminal.expect("online")
    terminal.type("\x18\x05", enter=False)
    deadline = time.monotonic() + 10
    while not opened.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert alice.run("send", "bob", "while you write")[0] == 0
    time.sleep(0.3)  # until it waits for the editor: nothing says so
    terminal.child.ptyproc.fileobj.close()
    while terminal.child.isalive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not terminal.child.isalive()
    assert terminal.child.exitstatus == 128 + signal.SIGHUP


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_can_do_nothing_has_plain_lines(alice: Person, term: str) -> None:
    terminal = Terminal(*alice.options, term=term)
    terminal.expect("online")
    assert "\x1b" not in terminal.written.getvalue()
    terminal.child.kill(signal.SIGTERM)
    assert terminal.end(within_s=1) == ExitCode.TERMINATED


def test_a_terminal_that_a_killed_program_has_left_raw_knows_enter_again(alice: Person) -> None:
    options = ["--home", str(alice.home), "--user", "alice", "--server", f"localhost:{alice.server.port}"]
    terminal = Terminal(*options, before=lambda: tty.setraw(0))
    terminal.expect("Enter your password")
    terminal.type(PASSWORD)
    terminal.expect("online")
    terminal.type("quit")
    terminal.child.expect(pexpect.EOF, timeout=20)
    terminal.child.close()


def test_hostile_text_reaches_no_terminal(alice: Person, bob: Person) -> None:
    """R-39, by a real pty: what the sender wrote is spelt out, not carried out."""
    terminal = Terminal(*bob.options)
    terminal.expect("online")
    terminal.expect("Enter recipient phone number")
    hostile = "begin\x1b]0;owned\x07\x1b[2J\x9b31m\x08\r\u202eend"
    assert alice.run("send", "bob", hostile)[0] == 0
    terminal.expect("alice: begin")
    terminal.expect("end")
    shown = terminal.child.before
    assert shown == "<U+001B>]0;owned<U+0007><U+001B>[2J<U+009B>31m<U+0008><U+000D><U+202E>"
    wide = "x " * 80 + "[12:00] carol: I am somebody else"  # what the terminal wraps looks no different
    assert alice.run("send", "bob", wide)[0] == 0
    terminal.expect(r"\n  \| [x ]+\[12:00\] carol")
    for entry, shown in (
        ("/to alice", r"#\d+ .*begin<U\+001B>"), ("/search owned", "#"), ("/react \N{FIRE}", "you: \N{FIRE} to .x x"),
        ("/reply \x1b]0;owned", "answering .x x"), ("/why", "you to alice"), ("/edit \x1b]0;owned", "says now"),
        ("/note alice \x1b]0;owned", "note on alice: "), ("/contacts", "alice .*owned"),
    ):  # fmt: skip
        terminal.paste(entry)
        terminal.expect(shown)
    written = terminal.written.getvalue()  # also where it was quoted, found, changed and explained
    assert not any(control in written for control in ("\x1b]0;owned", "\x9b31m", "\x07", "\u202e"))
    terminal.type("quit")
    assert terminal.end() == 0


@pytest.mark.parametrize("prompt", ["Enter your phone number", "Enter your password"])
@pytest.mark.parametrize(("sent", "code"), [("\x03", ExitCode.INTERRUPTED), ("\x04", ExitCode.USAGE)])
def test_leaving_at_a_question(alice: Person, prompt: str, sent: str, code: int) -> None:
    """R-36: Ctrl-C and Ctrl-D before the conversation."""
    terminal = Terminal("--home", str(alice.home), "--server", f"localhost:{alice.server.port}")
    terminal.expect("Enter your phone number")
    if prompt == "Enter your password":
        terminal.type("alice")
        terminal.expect(prompt)
    time.sleep(0.2)
    terminal.type(sent, enter=False)
    assert terminal.end(within_s=1) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_leaving_while_the_server_is_gone_and_messages_wait(
    tmp_path: Path, alice: Person, number: signal.Signals
) -> None:
    """R-36: the outbox cannot go out, and does not keep anybody."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts nothing, and refuses nothing
        terminal = with_a_message_that_waits(alice, deaf)
        terminal.child.kill(number)
        assert terminal.end(within_s=1) == 128 + number
    assert alice.run("recv")[0] == 0


def test_a_terminal_that_closes_while_messages_wait_is_what_ended_the_client(alice: Person) -> None:
    """And not that nobody could be told of them."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        terminal = with_a_message_that_waits(alice, deaf)
        terminal.child.close(force=False)
        assert terminal.child.exitstatus == 128 + signal.SIGHUP


def with_a_message_that_waits(person: Person, server: socket.socket) -> Terminal:
    terminal = Terminal(*person.options[:-1], f"localhost:{server.getsockname()[1]}")
    terminal.expect("Enter recipient phone number")
    terminal.type("bob")
    terminal.expect("Enter message to bob ")
    terminal.type("for later")
    terminal.expect("queued")
    time.sleep(0.2)
    return terminal


def test_what_is_typed_while_something_is_carried_out_is_not_echoed(alice: Person) -> None:
    terminal = Terminal(*alice.options)
    terminal.see("online")
    terminal.child.send("/contacts\r/status\r/log\r/keys\r")
    terminal.see("the keys of alice")
    screen = terminal.see("Enter recipient phone number")
    assert not any(line.strip().startswith("/") for line in screen), screen
    terminal.type("quit")
    assert terminal.end() == 0
