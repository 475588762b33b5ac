"""What the two command lines share: where the files are, and which versions these are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import preflight
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


class _Version(argparse.Action):
    """As argparse's own, but asks for the versions only when somebody wants to know."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        program = parser.prog.removesuffix(".py")
        print(f"SecureChat {program} {VERSION}, protocol {max(VERSIONS)}, {preflight.versions()}")
        parser.exit()
