"""What the two command lines share: where the files are, and which versions these are."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import preflight
from errors import ExitCode, SecureChatError, UsageError, describe
from protocol import VERSIONS

VERSION: Final = "0.1.0"


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """Return a command line with `--home` and `--version`.

    Args:
        program: `server` or `client`.
        description: What it is, in a sentence.
    """
    made = argparse.ArgumentParser(prog=f"{program}.py", description=description)
    made.add_argument(
        "--home",
        type=Path,
        default=Path(__file__).resolve().parent,
        metavar="DIR",
        help="folder of keys/ and data/ (default: the project's)",
    )
    made.add_argument("--version", action="store_true", help="show the versions of this and of what it stands on")
    made.add_argument("--json", action="store_true", dest="version_as_json", help="with --version: one JSON object")
    return made


def parse(
    parser: argparse.ArgumentParser, arguments: list[str], options: argparse.Namespace | None = None
) -> argparse.Namespace:
    """Read a command line; one that asks for the versions is answered, and ends the program.

    Args:
        parser: What `parser` returned.
        arguments: The command line.
        options: Where to put what it says; what is there already is its default.
    """
    options = parser.parse_args(arguments, options)
    if options.version:
        told = _versions(parser.prog.removesuffix(".py"), as_json=options.version_as_json)
        print(told, flush=True)
        parser.exit()
    if options.version_as_json:
        parser.error("argument --json: here it goes with --version; an action that has it takes it behind its name")
    return options


def _versions(program: str, *, as_json: bool) -> str:
    found = preflight.versions()
    if not as_json:
        rest = ", ".join(f"{name} {version}" for name, version in found.items())
        return f"SecureChat {program} {VERSION}, protocol {max(VERSIONS)}, {rest}"
    python = found.pop("Python")
    return json.dumps(
        {"v": 1, "type": "version", "program": program, "version": VERSION, "protocol": VERSIONS}
        | {"python": python, "libraries": found}
    )


def run(program: Callable[[], None]) -> int:
    """Run a program and return its exit code; whatever goes wrong is told in two lines, and never as a traceback."""
    try:
        _prepare_streams()
        program()
    except SecureChatError as error:
        _tell(describe(error))
        return error.exit_code
    except BrokenPipeError:  # whoever read our output has gone; nothing that was not shown was acknowledged
        _forget_output()
        return ExitCode.FAILED
    except OSError as error:
        what = error.filename or "standard output"
        _tell(f"cannot read or write {what} ({error.strerror or error})\n  is the disk full, or the file not yours?")
        _forget_output()
        return ExitCode.STORAGE
    return ExitCode.OK


def _tell(text: str) -> None:
    with suppress(OSError):  # nobody can be told; the exit code is
        print(text, file=sys.stderr, flush=True)


def _prepare_streams() -> None:
    """Make the standard streams fit for any text: what their encoding lacks is spelt out, and not an error.

    Raises:
        UsageError: There is no standard output: what was shown there would be lost, and count as read.
    """
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - for as long as the program runs
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        message = "standard output is closed"
        raise UsageError(message, hint="send it to a file, or to /dev/null")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _forget_output() -> None:
    """Write nothing more to standard output, which has failed: Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
