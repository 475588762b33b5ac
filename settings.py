"""What a person has configured for the client: a file, the environment, and which of them holds.

A flag holds before the environment, that before the file, and that before the default. What must never be here is a
secret, or a rule about a value that the command line does not have.
"""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from errors import StorageError, UsageError
from messenger.account import normalise_user_id
from messenger.server_address import read_address
from messenger.ui.json_lines import json_line, setting_data
from messenger.ui.text import sanitise
from notifier import check_notification
from outline import Option

MAX_SIZE: Final = 64 * 1024  # bytes of a file: nobody has that much to configure
LARGEST: Final = 2**63  # TOML has no larger number
PREFIX: Final = "SECURECHAT_"


@dataclass(frozen=True, slots=True)
class Setting:
    """An option that can be configured.

    Attributes:
        name: Of the option, and of the key in the file.
        check: A rule that the option is held to only where it is used: what breaks it raises a UsageError.
    """

    name: str
    check: Callable[[str], object] | None = None

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()


SETTINGS: Final = (
    Setting("home"),
    Setting("server", read_address),
    Setting("user", normalise_user_id),
    Setting("password_file"),
    Setting("plain"),
    Setting("suite"),
    Setting("read_receipts"),
    Setting("typing"),
    Setting("notify", check_notification),
    Setting("requests"),
)
CONFIG: Final = Setting("config")  # these two say where to look, so no file can set them
PROFILE: Final = Setting("profile")
UNSET: Final = object()  # stands for an option that no flag has set


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value is from.

    Attributes:
        kind: `flag`, `environment`, `file` or `default`.
        where: The variable, or the file.
        profile: The file's profile; None for its top level.
    """

    kind: str
    where: str = ""
    profile: str | None = None

    def __str__(self) -> str:
        """Return how a person reads it."""
        return " ".join(filter(None, (self.kind, self.where, self.profile and f"[profile {self.profile}]")))

    @property
    def data(self) -> dict[str, object]:
        """The same for programs."""
        place = {"environment": "variable", "file": "file"}.get(self.kind)
        profile = {"profile": self.profile} if self.profile is not None else {}
        return {"origin": self.kind, **({place: self.where} if place else {}), **profile}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A setting as it holds."""

    name: str
    value: Any
    origin: Origin
    found: bool | None = None  # of the file's place alone: whether it is there

    @property
    def line(self) -> str:
        """How a person reads it."""
        value = ("on" if self.value else "off") if isinstance(self.value, bool) else self.value
        missing = "; not there" if self.found is False else ""
        return sanitise(f"  {self.name:<14} {'-' if value is None else value}  ({self.origin}{missing})")

    @property
    def json(self) -> str:
        """How a program reads it."""
        plain = self.value if isinstance(self.value, int | None) else str(self.value)
        found = {} if self.found is None else {"found": self.found}
        return json_line(setting_data(self.name, plain, {**self.origin.data, **found}))


Tables = dict[str | None, dict[str, Chosen]]  # what a file says, by profile; None stands for its top level

# ---------------------------------------------------------------- which of them holds


def choose(options: argparse.Namespace, known: Mapping[str, Option], environment: Mapping[str, str]) -> list[Chosen]:
    """Return every setting as it holds, and where that is from; first which file and which profile.

    Args:
        options: The command line; what no flag has set is UNSET.
        known: The options that there are, by their names.
        environment: The variables.

    Raises:
        UsageError: The environment or the file has what cannot be.
        StorageError: The file cannot be read, or is not safe to be believed.
    """
    config = _outside(CONFIG, known[CONFIG.name], options, environment)
    path = usual_file(environment) if config is None else config.value
    tables = _read(path, known)
    if tables is None and config is not None:
        message = f"there is no file {path}"
        raise UsageError(message, hint=f"write it first, or leave out --config and {CONFIG.variable}")
    profile = _outside(PROFILE, known[PROFILE.name], options, environment)
    from_file = _layered(tables or {None: {}}, profile.value if profile else None, path)
    chosen = [
        Chosen(CONFIG.name, path, config.origin if config else Origin("default"), found=tables is not None),
        profile or Chosen(PROFILE.name, None, Origin("default")),
    ]
    for setting in SETTINGS:
        option = known[setting.name]
        default = Chosen(setting.name, option.default, Origin("default"))
        chosen.append(_outside(setting, option, options, environment) or from_file.get(setting.name) or default)
    return chosen


def _layered(tables: Tables, profile: str | None, path: Path) -> dict[str, Chosen]:
    """Return what the file says: its profile's values before those of its top level."""
    if profile not in tables:
        message = f"there is no profile {profile!r} in {path}"
        there = ", ".join(sorted(sanitise(name) for name in tables if name is not None))
        raise UsageError(message, hint=f"there are: {there}" if there else "one begins with a line [profile.NAME]")
    return tables[None] | tables[profile]


def _outside(
    setting: Setting, option: Option, options: argparse.Namespace, environment: Mapping[str, str]
) -> Chosen | None:
    """Return what a flag or the environment says; a variable that is empty is as one that is not there."""
    given = getattr(options, setting.name)
    if given is not UNSET:
        return Chosen(setting.name, given, Origin("flag"))
    text = environment.get(setting.variable)
    if not text:
        return None
    return Chosen(
        setting.name, _checked(setting, option, text, setting.variable), Origin("environment", setting.variable)
    )


def _checked(setting: Setting, option: Option, text: str, where: str) -> Any:
    """Return the value that a text gives an option, held to the same rules as the flag's."""
    try:
        value = option.value(text)
        if setting.check is not None:
            setting.check(value)
    except UsageError as error:
        message = f"{where}: {error}"
        raise UsageError(message, hint=error.hint or option.help) from None
    return value


# ---------------------------------------------------------------- the file


def usual_file(environment: Mapping[str, str]) -> Path:
    """Return where the file is when nobody says otherwise."""
    folder = Path(environment.get("APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME") or ".")
    if not folder.is_absolute():  # which the XDG rules have us ignore
        try:
            folder = Path.home() / ".config"
        except RuntimeError:  # nobody's: there is no home, and so no file
            return Path(os.devnull)
    return folder / "securechat" / "config.toml"


def _read(path: Path, known: Mapping[str, Option]) -> Tables | None:
    """Read a file, if it is there, and check all of it, not only what holds.

    Raises:
        UsageError: Something in it cannot be.
        StorageError: It cannot be read, or others can write it.
    """
    data = _bytes(path)
    if data is None:
        return None
    top = _parse(path, data)
    profiles = top.pop(PROFILE.name, {})
    if not isinstance(profiles, dict) or not all(isinstance(each, dict) for each in profiles.values()):
        message = f"{path}: {PROFILE.name}: must be tables"
        raise UsageError(message, hint="a profile begins with a line [profile.NAME]")
    return {name: _table(path, name, table, known) for name, table in [(None, top), *profiles.items()]}


def _bytes(path: Path) -> bytes | None:
    """Return what is in a file, None if there is none; refuse what others can write, as OpenSSH does."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MAX_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        message = f"cannot read {path} ({error.strerror})"
        raise StorageError(message, hint="check its permissions") from error
    if os.name != "nt" and not stat.S_ISCHR(status.st_mode):  # /dev/null is everybody's
        if stat.S_IMODE(status.st_mode) & 0o022:
            message = f"{path} can be written by others"
            raise StorageError(message, hint=f"chmod go-w {path}")
        if status.st_uid not in {0, os.getuid()}:
            message = f"{path} belongs to somebody else"
            raise StorageError(message, hint="copy it, and use the copy")
    return data


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - most people have no such file

    if len(data) > MAX_SIZE:
        message = f"{path} is larger than {MAX_SIZE} bytes"
        raise UsageError(message, hint="is it a configuration file?")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else sanitise(str(error))
        message = f"{path}: no TOML ({reason})"
        raise UsageError(message, hint='a line is like: server = "localhost:12345"') from None


def _table(path: Path, profile: str | None, table: Mapping[str, Any], known: Mapping[str, Option]) -> dict[str, Chosen]:
    settings, found = {each.name: each for each in SETTINGS}, {}
    for key, value in table.items():
        where = sanitise(f"{path}: {key}" if profile is None else f"{path}: {PROFILE.name}.{profile}.{key}")
        if key not in settings:
            message = f"{where}: no such setting"
            raise UsageError(message, hint=f"there are: {', '.join(settings)}")
        text = _text(known[key], value, where)
        if known[key].is_path and text != "-":
            text = _anchored(text, path, where)
        checked = _checked(settings[key], known[key], text, where)
        found[key] = Chosen(key, checked, Origin("file", str(path), profile))
    return found


def _text(option: Option, value: Any, where: str) -> str:
    """Return a value of the file as it would be typed on the command line."""
    if option.is_switch:
        wanted, text = "true or false", {True: "on", False: "off"}.get(value) if isinstance(value, bool) else value
    elif option.is_number:
        is_one = isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST
        wanted, text = "a number", str(value) if is_one else None
    else:
        wanted, text = "a text in quotes", value
    if not isinstance(text, str) or not text or "\0" in text:
        message = f"{where}: must be {wanted}"
        raise UsageError(message, hint=option.help)
    return text


def _anchored(text: str, path: Path, where: str) -> str:
    """Return a path that no shell has seen: ~ is a home, and what is relative begins at the file's folder."""
    try:
        return str(path.absolute().parent / Path(text).expanduser())
    except RuntimeError:
        message = f"{where}: there is nobody {text!r}"
        raise UsageError(message, hint="begin it with / or ~/") from None
