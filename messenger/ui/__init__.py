"""The faces of the client: what the core needs of a screen, and the screens that give it.

A face shows lines, in the order in which it is told to, and asks for lines. It knows no command and no frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Dialogue(Protocol):
    """What a face shows around what a person types; any thread may ask."""

    def prompt(self) -> str:
        """Name the recipient; asked again before each entry."""

    def status(self) -> str:
        """Say how things stand, in a line, for a face that has a place where it can change."""

    def words(self) -> list[str]:
        """Return what an entry may begin with, for a face that completes it."""

    def before_paths(self) -> list[str]:
        """Return the beginnings of entries in which a path comes next."""


class Face(Protocol):
    """A screen."""

    @property
    def watched(self) -> bool:
        """Whether a person looks at it as it moves; otherwise nothing is left out for their sake."""

    def ask(self, prompt: str, *, secret: bool = False) -> str:
        """Ask one question before the conversation begins and return the answer, without its line end.

        Raises:
            EOFError: There will be no answer.
            KeyboardInterrupt: The person wants to leave.
        """

    def tell(self, line: str) -> None:
        """Show a line about the program itself; from any thread."""

    def show(self, line: str) -> None:
        """Show a line of the conversation; from any thread.

        It is flushed before this returns, but where a prompt is open that has to make room for it: then soon, or when
        the prompt closes.
        """

    def draw(self, text: str) -> None:
        """Show a text as a QR code, where one can be seen."""

    def ring(self) -> None:
        """Ring the terminal's bell, where there is a terminal; from any thread."""

    def progress(self, line: str) -> None:
        """Show a line about an own message's way, unless the status says it; from any thread."""

    def converse(self, dialogue: Dialogue, submit: Callable[[str], None], typed: Callable[[str], None]) -> None:
        """Hand over what the person types, an entry at a time, until they end it.

        Args:
            dialogue: What stands around the entry.
            submit: Carries out an entry.
            typed: Told of each letter, where they can be seen singly: the entry as far as it is.
        """

    def refresh(self) -> None:
        """Show the prompt and the status as they are now; from any thread."""

    def stop(self) -> None:
        """End `converse` from another thread."""

    def interrupt(self, error: BaseException) -> bool:
        """Have a question or `converse` raise something, called by a signal in the thread that waits in it.

        Returns:
            Whether the face does that; otherwise the signal raises it.
        """
