"""Writes the manual pages from the command lines: `make man`. What only a manual says stands here.

The pages are kept in the tree, so that they can be read and installed without running anything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import client_options
import server
from command_line import VERSION
from errors import EXIT_MEANINGS, ExitCode
from outline import Option, Outline, outline
from settings import CONFIG, PROFILE, SETTINGS

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "man"


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says beside its command line.

    Attributes:
        name: Of the page.
        program: The command line.
        summary: What the program is, in a few words.
        description: Paragraphs.
        exits: The exit codes that it can have.
        environment: Variables, and what they do.
        files: Files, and what is in them.
        see_also: Other pages and documents.
    """

    name: str
    program: Outline
    summary: str
    description: Sequence[str]
    exits: Sequence[ExitCode]
    environment: Sequence[tuple[str, str]]
    files: Sequence[tuple[str, str]]
    see_also: str


# ---------------------------------------------------------------- what only a manual says

CLIENT: Final = """\
Without an action it opens a conversation: a live prompt on a terminal, lines in and lines out everywhere else or with
--plain; /help lists what can be typed there. With an action it does one thing and ends. Standard output has what was
asked for, standard error everything else.

The password is asked for, or read from --password-file; no option and no variable takes it.

A flag holds before the environment, that before the profile of the configuration file, and that before the file's top
level. The config action shows what holds, and where it is from.
"""
CONFIGURATION: Final = """\
The configuration, in TOML, under the rules of the flags: a switch is true or false, a path begins at the file's folder
or with ~. A table [profile.NAME] has the same keys. A file that others can write is refused. The keys are\
"""
SERVER: Final = """\
At its start it prints where it listens, and the securechat:// line by which clients know it: give people that line on a
way that you trust. Verification codes are shown on standard output unless --send-code names a command that brings them.

After SIGTERM or Ctrl-C it finishes what it had begun, and ends with 0. Its log, on standard error, holds no user ids,
codes, keys or texts.
"""


def client_page() -> Page:
    """Return what the client's page says."""
    program = outline(client_options.make_parser())
    known = {each.name: each for each in program.options}
    environment = [(each.variable, _as_flag(known[each.name])) for each in (CONFIG, PROFILE, *SETTINGS)]
    return Page(
        name="securechat-client",
        program=program,
        summary="end-to-end encrypted messages for the terminal",
        description=CLIENT.split("\n\n"),
        exits=tuple(ExitCode),
        environment=[
            *environment,
            ("XDG_CONFIG_HOME", "the folder of securechat/config.toml (default: ~/.config; on Windows %APPDATA%)"),
            ("TERM", "where it is dumb, or not set, there is no live prompt"),
            ("VISUAL, EDITOR", "the editor that Ctrl-X Ctrl-E opens"),
        ],
        files=[
            ("~/.config/securechat/config.toml", f"{CONFIGURATION} {', '.join(each.name for each in SETTINGS)}"),
            ("DIR/keys/ID_private_key.pem", "the account's private keys, under its password"),
            ("DIR/keys/ID_revocation.json", "the certificate that ends the account without its password"),
            ("DIR/keys/server_public_key.pem", "the key that the server must have"),
            ("DIR/data/ID.db", "history, contacts and what waits to be sent, under the same password"),
        ],
        see_also="securechat-server(1), README.md, docs/THREAT_MODEL.md",
    )


def server_page() -> Page:
    """Return what the server's page says."""
    ends = {ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.SETUP, ExitCode.STORAGE, ExitCode.PASSWORD}
    return Page(
        name="securechat-server",
        program=outline(server.make_parser()),
        summary="routes end-to-end encrypted messages that it cannot read",
        description=SERVER.split("\n\n"),
        exits=sorted(ends | {ExitCode.IN_USE, ExitCode.NETWORK}),
        environment=[("TZ", "the time zone of the log; nothing is configured by variables")],
        files=[
            ("DIR/keys/server_private_key.pem", "the server's key; back it up: clients refuse a server without it"),
            ("DIR/keys/log_private_key.pem", "the key that signs the key log; back it up, too"),
            ("DIR/data/relay.db", "accounts, waiting messages and the key log, in SQLite"),
        ],
        see_also="securechat-client(1), docs/OPERATIONS.md, docs/PROTOCOL.md section 10 (the limits)",
    )


def _as_flag(option: Option) -> str:
    return f"as {option.flags[-1]}" + (", on or off" if option.is_switch else "")


# ---------------------------------------------------------------- roff


def roff(page: Page) -> str:
    """Return a page as man(7) has it."""
    program = page.program
    lines = [
        '.\\" Made by tools/man.py: change that, or the command line, and type: make man',
        f'.TH {page.name.upper()} 1 "" "SecureChat {VERSION}" "SecureChat"',
        ".nh",  # what is copied from a page must not hold the hyphens of its lines
        ".ad l",
        ".SH NAME",
        f"{page.name} \\- {_plain(page.summary)}",
        ".SH SYNOPSIS",
        _bold(program.name) + _takes(program, f"[{program.what} ...]" if program.actions else ""),
        ".SH DESCRIPTION",
        *_paragraphs([program.help, *page.description]),
        ".SH OPTIONS",
        *_options(program.options),
    ]
    if program.actions:
        lines += [".SH ACTIONS", *_actions(program)]
    lines += [
        ".SH EXIT STATUS",
        *_tagged((str(int(code)), EXIT_MEANINGS[code]) for code in page.exits),
        ".SH ENVIRONMENT",
        *_tagged(page.environment),
        ".SH FILES",
        *_tagged(page.files),
        ".SH SEE ALSO",
        _plain(page.see_also),
    ]
    return "\n".join(lines) + "\n"


def _actions(level: Outline, path: str = "") -> Iterable[str]:
    """Yield the lines of each action, and of those behind it."""
    for action in level.actions:
        typed = f"{path}{action.name}"
        yield f".SS {_bold(typed)}{_takes(action, f'[{action.what}]' if action.actions else '')}"
        yield from _paragraphs([action.help])
        yield from _options([*action.operands, *action.options])
        yield from _actions(action, f"{typed} ")


def _takes(level: Outline, more: str) -> str:
    """Return what stands behind a name in a synopsis."""
    optional = [each for each in _without_help(level.options) if each.optional]
    required = [f"{each.flags[-1]} {each.metavar}" for each in level.options if not each.optional]
    operands = [each.metavar + (" ..." if each.several else "") for each in level.operands]
    shown = [f"[{text}]" if each.optional else text for text, each in zip(operands, level.operands, strict=True)]
    parts = (*(["[OPTION ...]"] if optional else []), *required, *shown, more)
    return "".join(f" \\fI{_plain(each)}\\fR" for each in parts if each)


def _options(options: Iterable[Option]) -> Iterable[str]:
    for option in filter(lambda each: each.help, _without_help(options)):
        value = f" \\fI{_plain(option.metavar)}\\fR" if option.metavar else ""
        names = [_bold(flag) + value for flag in option.flags] + ([_bold(option.off)] if option.off else [])
        yield ".TP"
        yield ", ".join(names) or value.strip()
        yield from _wrapped(option.help)


def _without_help(options: Iterable[Option]) -> list[Option]:
    return [option for option in options if option.name != "help"]


def _tagged(rows: Iterable[tuple[str, str]]) -> Iterable[str]:
    for tag, text in rows:
        yield ".TP"
        yield _bold(tag)
        yield from _wrapped(text)


def _paragraphs(texts: Iterable[str]) -> Iterable[str]:
    for number, text in enumerate(texts):
        if number:
            yield ".PP"
        yield from _wrapped(text)


def _wrapped(text: str) -> Iterable[str]:
    """Yield a text in short lines, none of which reads as a command."""
    sentence = text[:1].upper() + text[1:]
    full = sentence if sentence.endswith((".", "?")) else f"{sentence}."
    for line in textwrap.wrap(full, 72, break_long_words=False, break_on_hyphens=False):
        yield ("\\&" if line[0] in ".'" else "") + _plain(line)


def _bold(text: str) -> str:
    return f"\\fB{_plain(text)}\\fR"


def _plain(text: str) -> str:
    """Return a text in which nothing means anything to roff, and a dash is one that can be copied."""
    marks = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "^": "\\(ha", "~": "\\(ti", "`": "\\(ga", '"': "\\(dq"}
    return "".join(marks.get(letter, letter) for letter in text)


def pages() -> dict[Path, str]:
    """Return every page by its place."""
    return {FOLDER / f"{page.name}.1": roff(page) for page in (client_page(), server_page())}


if __name__ == "__main__":
    for place, text in pages().items():
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, encoding="ascii")
        print(f"wrote {place.relative_to(FOLDER.parents[1])}")
