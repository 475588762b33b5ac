"""What the two command lines share: where the files are, and which versions these are."""

from __future__ import annotations

import argparse
import io
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
    made.add_argument("--version", action=_Version, nargs=0, help="show the versions of this and of what it stands on")
    return made


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


class _Version(argparse.Action):
    """As argparse's own, but asks for the versions only when somebody wants to know."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        program = parser.prog.removesuffix(".py")
        print(f"SecureChat {program} {VERSION}, protocol {max(VERSIONS)}, {preflight.versions()}")
        parser.exit()
