"""A dialogue with nothing around what is typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Quiet:
    def __init__(
        self,
        prompt: Callable[[], str] = lambda: "> ",
        words: Sequence[str] = (),
        status: str = "",
        before_paths: Sequence[str] = (),
    ) -> None:
        self.prompt = prompt
        self.words = lambda: list(words)
        self.status = lambda: status
        self.before_paths = lambda: list(before_paths)
