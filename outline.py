"""What a command line takes, read out of its parser: for the settings, the shells' completion and the manual.

argparse keeps this in attributes of its own; they are touched here and nowhere else.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import UsageError


@dataclass(frozen=True, slots=True)
class Option:
    """One option, or one operand, which has no flags.

    Attributes:
        name: Where argparse puts its value.
        flags: As they are typed, the long one last; of a switch that can be turned off, without the one that does.
        off: The flag that turns it off; empty when there is none.
        metavar: What stands for its value; empty when it takes none.
        several: Whether it takes more than one value at once.
        optional: Whether it may be left out.
        choices: The values that it can have; empty when there is another rule.
        help: What it is for.
        default: Its value when it is not given.
        kind: Makes its value of a text.
    """

    name: str
    flags: tuple[str, ...]
    off: str
    metavar: str
    several: bool
    optional: bool
    choices: tuple[Any, ...]
    help: str
    default: Any
    kind: Callable[[str], Any]

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off."""
        return bool(self.off) or set(self.choices) == {"on", "off"}

    @property
    def is_number(self) -> bool:
        """Whether it counts something."""
        return self.kind is int

    @property
    def is_path(self) -> bool:
        """Whether its value names a file or a folder."""
        return self.kind is Path or self.metavar in {"PATH", "DIR"}

    def value(self, text: str) -> Any:
        """Return the value that a text gives it, under the rules of the command line.

        Raises:
            UsageError: It cannot have that value.
        """
        if self.off:
            if text not in {"on", "off"}:
                message = "choose on or off"
                raise UsageError(message)
            return text == "on"
        try:
            value = self.kind(text)
        except argparse.ArgumentTypeError as error:
            raise UsageError(str(error)) from None
        except ValueError:
            message = f"{text!r} cannot be"
            raise UsageError(message) from None
        if self.choices and value not in self.choices:
            message = f"{text!r} cannot be: choose {' or '.join(map(str, self.choices))}"
            raise UsageError(message)
        return value


@dataclass(frozen=True, slots=True)
class Outline:
    """A program, or one of its actions.

    Attributes:
        name: How it is typed; of the program, its file.
        help: What it does, in a line.
        options: What may stand anywhere behind its name.
        operands: What must stand there in this order.
        what: What one of its actions is called; empty when it has none.
        actions: What may follow, each with a command line of its own.
    """

    name: str
    help: str
    options: tuple[Option, ...]
    operands: tuple[Option, ...]
    what: str = ""
    actions: tuple[Outline, ...] = ()


def outline(parser: argparse.ArgumentParser, name: str = "", help_text: str = "") -> Outline:
    """Read a parser.

    Args:
        parser: The program's, or an action's.
        name: How it is typed (default: as the parser says).
        help_text: What it does (default: as the parser says).
    """
    options: list[Option] = []
    operands: list[Option] = []
    actions: list[Outline] = []
    what = ""
    for each in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(each, argparse._SubParsersAction):  # noqa: SLF001
            what = str(each.metavar)
            known = each._choices_actions  # noqa: SLF001
            actions += [outline(each.choices[action.dest], action.dest, action.help or "") for action in known]
        elif each.help != argparse.SUPPRESS:
            (options if each.option_strings else operands).append(_option(parser, each))
    return Outline(
        name or parser.prog,
        help_text or parser.description or "",
        tuple(options),
        tuple(operands),
        what,
        tuple(actions),
    )


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> Option:
    flags: Sequence[str] = action.option_strings
    turns_off = isinstance(action, argparse.BooleanOptionalAction)
    off = next((flag for flag in flags if turns_off and flag.startswith("--no-")), "")
    choices = tuple(action.choices or ())
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if choices and action.metavar is None:
        metavar = "|".join(map(str, choices))
    return Option(
        name=action.dest,
        flags=tuple(sorted((flag for flag in flags if flag != off), key=len)),
        off=off,
        metavar="" if action.nargs == 0 else metavar,
        several=action.nargs in {"*", "+"},
        optional=action.nargs in {"*", "?"} if not flags else not action.required,
        choices=choices,
        help=(action.help or "") % {**vars(action), "prog": parser.prog},
        default=action.default,
        kind=action.type if callable(action.type) else str,
    )
