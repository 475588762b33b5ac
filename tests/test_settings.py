"""What is configured, where it is from, and that nothing in a file or a variable passes that a flag would not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

import settings
from client_options import make_parser, parse_arguments
from errors import ExitCode, SecureChatError, StorageError, UsageError
from outline import outline

ROOT = Path(__file__).resolve().parents[1]
WORK = """
server = "example.org:1"
plain = true
suite = 1

[profile.work]
server = "example.org:2"
read_receipts = false

[profile.home]
user = "bob"
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the file that is found when nobody names one."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "securechat" / "config.toml"
    path.parent.mkdir()

    def write(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
        return path

    return write


def origins(options: Namespace) -> dict[str, str]:
    return {each.name: str(each.origin) for each in options.settings}


def refused(*arguments: str) -> SecureChatError:
    with pytest.raises(SecureChatError) as caught:
        parse_arguments([*arguments])
    assert caught.value.hint
    return caught.value


# ---------------------------------------------------------------- which of them holds


def test_without_a_file_all_is_as_the_flags_say_it_is_by_default() -> None:
    options = parse_arguments([])
    known = {each.name: each.default for each in outline(make_parser()).options}
    assert all(getattr(options, each.name) == known[each.name] for each in settings.SETTINGS)
    assert set(origins(options).values()) == {"default"}


def test_a_flag_holds_before_the_environment_before_the_file_before_the_default(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert origins(parse_arguments([]))["server"] == "default"
    path = write('server = "example.org:1"')
    options = parse_arguments([])
    assert (options.server, origins(options)["server"]) == ("example.org:1", f"file {path}")
    monkeypatch.setenv("SECURECHAT_SERVER", "example.org:2")
    options = parse_arguments([])
    assert (options.server, origins(options)["server"]) == ("example.org:2", "environment SECURECHAT_SERVER")
    options = parse_arguments(["--server", "example.org:3", "recv"])
    assert (options.server, origins(options)["server"]) == ("example.org:3", "flag")
    monkeypatch.setenv("SECURECHAT_SERVER", "")
    assert parse_arguments([]).server == "example.org:1"


VALUES = {
    "home": ('"/srv/x"', "/srv/x", Path("/srv/x")),
    "server": ('"example.org:1"', "example.org:1", "example.org:1"),
    "user": ('"alice"', "alice", "alice"),
    "password_file": ('"/srv/p"', "/srv/p", "/srv/p"),
    "plain": ("true", "on", True),
    "suite": ("1", "1", 1),
    "read_receipts": ("false", "off", "off"),
    "typing": ("false", "off", "off"),
    "notify": ('"bell"', "bell", "bell"),
    "requests": ('"off"', "off", "off"),
}


@pytest.mark.parametrize("setting", settings.SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_read_from_file_and_environment(
    setting: settings.Setting, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_file, in_variable, value = VALUES[setting.name]
    path = write(f"{setting.name} = {in_file}")
    options = parse_arguments([])
    assert getattr(options, setting.name) == value
    assert origins(options)[setting.name] == f"file {path}"
    path.unlink()
    assert getattr(parse_arguments([]), setting.name) != value
    monkeypatch.setenv(f"SECURECHAT_{setting.name.upper()}", in_variable)
    options = parse_arguments([])
    assert getattr(options, setting.name) == value
    assert origins(options)[setting.name] == f"environment SECURECHAT_{setting.name.upper()}"


def test_a_profile_holds_before_the_top_level(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(WORK)
    options = parse_arguments(["--profile", "work"])
    assert (options.server, options.read_receipts, options.suite, options.user) == ("example.org:2", "off", 1, None)
    assert origins(options)["server"] == f"file {path} [profile work]"
    assert origins(options)["suite"] == f"file {path}"
    monkeypatch.setenv("SECURECHAT_PROFILE", "home")
    assert (parse_arguments([]).user, parse_arguments([]).server) == ("bob", "example.org:1")
    assert parse_arguments(["--profile", "work"]).user is None


def test_a_profile_that_is_not_there(write: Write) -> None:
    write(WORK)
    error = refused("--profile", "play")
    assert (error.exit_code, error.hint) == (ExitCode.USAGE, "there are: home, work")
    write("")
    assert "[profile.NAME]" in refused("--profile", "play").hint


def test_a_switch_that_is_on_in_the_file_can_be_turned_off(write: Write) -> None:
    write("plain = true")
    assert parse_arguments([]).plain is True
    assert parse_arguments(["--no-plain"]).plain is False


def test_paths_begin_where_a_person_would_expect(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    path = write('home = "here"\npassword_file = "~/secret"')
    options = parse_arguments([])
    assert options.home == path.parent / "here"
    assert options.password_file == str(tmp_path / "me" / "secret")
    write('password_file = "-"')
    assert parse_arguments([]).password_file == "-"
    write('home = "~nobody-at-all/x"')
    assert refused().exit_code is ExitCode.USAGE


def test_nothing_is_loaded_that_a_start_need_not() -> None:
    """A start is counted in milliseconds."""
    program = (
        "import sys, client_options as o; o.parse_arguments([]); print({'tomllib', 'completion'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, text=True, capture_output=True, check=True)
    assert run.stdout == "set()\n"


# ---------------------------------------------------------------- which file


def test_another_file_is_named(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write('user = "alice"')
    other = tmp_path / "other.toml"
    assert str(other) in str(refused("--config", str(other)))
    other.write_text('user = "bob"')
    other.chmod(0o600)
    assert parse_arguments(["--config", str(other)]).user == "bob"
    monkeypatch.setenv("SECURECHAT_CONFIG", str(other))
    assert parse_arguments([]).user == "bob"
    assert parse_arguments(["--config", os.devnull]).user is None


def test_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = tmp_path / ".config" / "securechat" / "config.toml"
    assert settings.usual_file({}) == settings.usual_file({"XDG_CONFIG_HOME": "not/absolute"}) == usual
    assert settings.usual_file({"XDG_CONFIG_HOME": "/etc/xdg"}) == Path("/etc/xdg/securechat/config.toml")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(write: Write, mode: int) -> None:
    """It decides where messages go, as that of OpenSSH does."""
    path = write('server = "example.org"')
    assert parse_arguments([]).server == "example.org"
    path.chmod(mode)
    error = refused()
    assert (error.exit_code, error.hint) == (ExitCode.STORAGE, f"chmod go-w {path}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(write: Write) -> None:
    os.chown(write(""), 12345, -1)
    assert isinstance(refused(), StorageError)


def test_a_file_that_cannot_be_read(write: Write) -> None:
    path = write("")
    path.unlink()
    path.mkdir()
    assert isinstance(refused(), StorageError)


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ('sever = "x"', "sever", "no such setting"),
        ('password = "canary-secret"', "password", "no such setting"),
        ("user = 5", "user", "a text in quotes"),
        ('user = ""', "user", "a text in quotes"),
        ('home = "a\\u0000b"', "home", "a text in quotes"),
        ('suite = "1"', "suite", "a number"),
        ("suite = true", "suite", "a number"),
        (f"suite = 0x{'f' * 9000}", "suite", "a number"),
        ("suite = 3", "suite", "choose 1 or 2"),
        ("plain = 1", "plain", "true or false"),
        ('plain = "yes"', "plain", "choose on or off"),
        ('requests = "maybe"', "requests", "choose on or off"),
        ('notify = "say \\"hello"', "notify", "is no command"),
        ('server = "nonsense:x"', "server", "is not the address of a server"),
        ('user = "../x"', "user", "neither a phone number nor a handle"),
        ("[profile.work]\nsuite = 3", "profile.work.suite", "choose 1 or 2"),
        ('[profile.work]\nprofile = "home"', "profile.work.profile", "no such setting"),
        ('profile = "work"', "profile", "must be tables"),
        ("profile.work = 1", "profile", "must be tables"),
        ('user = "a"\nuser = "b"', "", "no TOML"),
        ("user = alice", "", "no TOML"),
        ("a = " + "[" * 20_000, "", "no TOML"),
        ("#" * (settings.MAX_SIZE + 1), "", "larger than"),
    ],
)
def test_what_a_file_cannot_have(write: Write, text: str, where: str, why: str) -> None:
    path = write(text)
    error = refused()
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"{path}: {where}: " if where else f"{path}")
    assert why in str(error)
    assert "canary-secret" not in str(error) + error.hint


def test_a_file_that_is_no_text(write: Write) -> None:
    write("").write_bytes(b'user = "\xff"')
    assert "not UTF-8" in str(refused())


@pytest.mark.parametrize(
    ("name", "text"),
    [("SUITE", "3"), ("SUITE", "two"), ("PLAIN", "1"), ("REQUESTS", "no"), ("SERVER", "x:y"), ("USER", "a")],
)
def test_what_a_variable_cannot_have(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SECURECHAT_{name}", text)
    error = refused()
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"SECURECHAT_{name}: ")


# ---------------------------------------------------------------- config --show


def shown(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "client.py", *arguments], cwd=ROOT, text=True, capture_output=True, check=False,
        stdin=subprocess.DEVNULL, env={**os.environ, **environment},
    )  # fmt: skip


def test_the_settings_are_shown_without_an_account(write: Write, tmp_path: Path) -> None:
    path = write(WORK)
    home = str(tmp_path / "nothing")
    run = shown("--home", home, "--profile", "work", "config", "--show", SECURECHAT_USER="alice")
    assert (run.returncode, run.stderr) == (ExitCode.OK, "")
    assert [line.split(maxsplit=2) for line in run.stdout.splitlines()] == [
        ["config", str(path), "(default)"],
        ["profile", "work", "(flag)"],
        ["home", home, "(flag)"],
        ["server", "example.org:2", f"(file {path} [profile work])"],
        ["user", "alice", "(environment SECURECHAT_USER)"],
        ["password_file", "-", "(default)"],
        ["plain", "on", f"(file {path})"],
        ["suite", "1", f"(file {path})"],
        ["read_receipts", "off", f"(file {path} [profile work])"],
        ["typing", "on", "(default)"],
        ["notify", "off", "(default)"],
        ["requests", "on", "(default)"],
    ]
    assert not Path(home).exists()


def test_the_settings_are_shown_to_programs(write: Write) -> None:
    path = write(WORK)
    run = shown("--profile", "work", "config", "--json", SECURECHAT_USER="alice")
    lines = {line["name"]: line for line in map(json.loads, run.stdout.splitlines())}
    assert all((line.pop("v"), line.pop("type")) == (1, "setting") for line in lines.values())
    assert lines["config"] == {"name": "config", "value": str(path), "origin": "default", "found": True}
    assert lines["user"] == {
        "name": "user", "value": "alice", "origin": "environment", "variable": "SECURECHAT_USER",
    }  # fmt: skip
    assert lines["server"] == {
        "name": "server", "value": "example.org:2", "origin": "file", "file": str(path), "profile": "work",
    }  # fmt: skip
    assert lines["plain"] == {"name": "plain", "value": True, "origin": "file", "file": str(path)}
    assert lines["password_file"] == {"name": "password_file", "value": None, "origin": "default"}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = shown("config", XDG_CONFIG_HOME=str(tmp_path))
    assert run.stdout.splitlines()[0].split(maxsplit=2) == [
        "config", str(tmp_path / "securechat" / "config.toml"), "(default; not there)",
    ]  # fmt: skip


def test_what_cannot_be_is_said_in_two_lines(write: Write) -> None:
    path = write("suite = 3")
    run = shown("recv")
    assert (run.returncode, run.stdout) == (ExitCode.USAGE, "")
    assert run.stderr.splitlines()[0] == f"{path}: suite: '3' cannot be: choose 1 or 2"
    assert len(run.stderr.splitlines()) == 2
