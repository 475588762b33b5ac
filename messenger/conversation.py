"""What a person types, turned into what the engine does; what the engine tells, turned into lines.

Knows neither the screen nor the link: both are functions that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from errors import UntrustedKeyError, UsageError, describe
from messenger import commands
from messenger.account import normalise_user_id
from messenger.engine import Messenger
from messenger.events import AccountErased, EnvelopeRefused, Event, MessageReceived, MessagesMissing, StateChanged
from messenger.inbox import Shown
from messenger.line import Output
from messenger.ui.text import event_line, message_line, safety_number_lines
from protocol import Frame

ABOUT_MESSAGES = (MessageReceived, MessagesMissing, StateChanged, EnvelopeRefused)  # the rest is about the program
NO_RECIPIENT = "Enter recipient phone number (or 'quit' to exit): "


class Screen(Protocol):
    """What a conversation is shown on: a face of messenger/ui, or a part of one."""

    def show(self, line: str) -> None:
        """Show a line of the conversation, flushed before this returns."""

    def tell(self, line: str) -> None:
        """Show a line about everything else."""

    def draw(self, text: str) -> None:
        """Show a text as a QR code, where one can be seen."""


class Conversation:
    """A person at the keyboard."""

    def __init__(
        self,
        messenger: Messenger,
        screen: Screen,
        *,
        send: Callable[[list[Frame]], None],
        leave: Callable[[], None],
    ) -> None:
        """Join an engine with a link and a screen.

        Args:
            messenger: The engine.
            screen: Where lines are shown.
            send: Takes frames for the relay; without a link it drops them, and they go out over the next.
            leave: Called when the person wants to end.
        """
        self.messenger = messenger
        self.tell = screen.tell
        self.leave = leave
        self._screen = screen
        self._send = send
        self._recipient: str | None = None
        self._prompt = NO_RECIPIENT
        self._shown_numbers: dict[str, str] = {}

    def prompt(self) -> str:
        """Return the prompt, which names the recipient; without one nothing is sent. Any thread may ask."""
        return self._prompt

    def _note_trust(self) -> None:
        """Have the prompt say how far the recipient's key is trusted by now."""
        if self._recipient is not None:
            self._prompt = f"Enter message to {self._recipient} ({self._trust(self._recipient)}): "

    def _trust(self, user_id: str) -> str:
        """Return how far somebody's key is trusted, in a word."""
        contact = self.messenger.contacts.find(user_id)
        return contact.trust if contact is not None else "new"

    def choose(self, recipient: str) -> None:
        """Write to somebody from now on."""
        self._recipient = recipient
        self._note_trust()

    # ------------------------------------------------------------ from the person

    def enter(self, entry: str, *, now: int) -> None:
        """Carry out what a person typed; an error is told and nothing is lost."""
        try:
            self._enter(entry, now)
        except (UsageError, UntrustedKeyError) as error:
            self.tell(f"! {describe(error)}")
        self._note_trust()

    def _enter(self, entry: str, now: int) -> None:
        line = entry.strip()
        if line == "quit":
            self.leave()
        elif line.startswith("/") and not line.startswith("//"):
            commands.run(line, self, now)
        elif line.startswith("@"):
            recipient, _, text = line.removeprefix("@").partition(" ")
            self.write(normalise_user_id(recipient), text, now=now)
        elif self._recipient is None:
            if line:
                self.choose(normalise_user_id(line))
        elif line:
            self.write(self._recipient, entry.replace("//", "/", 1) if line.startswith("//") else entry, now=now)

    def show_safety_number(self, peer: str) -> None:
        """Show what the person and a contact compare.

        Raises:
            UsageError: They are no contact.
            UntrustedKeyError: Their key has changed or was revoked.
        """
        number = self._shown_numbers[peer] = self.messenger.safety_number(peer)
        for line in safety_number_lines(peer, self._trust(peer), number, same=f"/verify {peer} ok"):
            self.tell(line)
        self._screen.draw(number)

    def shown_number(self, peer: str) -> str:
        """Return the safety number that was shown, which is what the person says yes to: there may be another by now.

        Raises:
            UsageError: None was.
        """
        if peer not in self._shown_numbers:
            message = f"you have not seen the safety number that you have with {peer}"
            raise UsageError(message, hint=f"/verify {peer} shows it")
        return self._shown_numbers[peer]

    def write(self, recipient: str, text: str, *, now: int) -> bytes:
        """Send a message and return its id.

        Raises:
            UsageError: The text or the recipient cannot be.
            UntrustedKeyError: The recipient's key has changed.
        """
        message_id, output = self.messenger.send_text(recipient, text, now=now)
        self._screen.show(message_line(f"you to {recipient}", text, now))
        if not self.messenger.online:
            self.tell("* queued: it goes out when the server can be reached")
        self.perform(output, now=now)
        return message_id

    # ------------------------------------------------------------ from the engine

    def perform(self, output: Output, *, now: int) -> None:
        """Send the frames of a step and show its events; a message is acknowledged after it was shown."""
        self._send(output.frames)
        self.show_events(output.events, now=now)

    def show_events(self, events: list[Event], *, now: int) -> None:
        """Show events in their order."""
        shown: list[Shown] = []
        for event in events:
            if isinstance(event, ABOUT_MESSAGES):
                self._screen.show(event_line(event))
            else:
                self.tell(event_line(event))
            if isinstance(event, AccountErased):
                self.leave()
            if isinstance(event, MessageReceived):
                shown.append((event.peer, event.id))
        self._note_trust()
        if shown:
            self.perform(self.messenger.shown(shown, now=now), now=now)
