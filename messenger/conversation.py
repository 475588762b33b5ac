"""What a person types, turned into what the engine does; what the engine tells, turned into lines.

Knows neither the screen nor the link: both are functions that it is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from typing import Protocol

from errors import Code, StorageError, UntrustedKeyError, UsageError, describe
from messenger import commands
from messenger.archive import Said, Wanted
from messenger.commands import SHOWN_AT_OPENING
from messenger.content import check_unicode
from messenger.door import Standing
from messenger.durations import spelt
from messenger.engine import Messenger
from messenger.events import (
    FAILED,
    ON_THE_WAY,
    AccountErased,
    Arrival,
    ContactPinned,
    EnvelopeRefused,
    Event,
    MessageReceived,
    MessagesMissing,
    Online,
    StateChanged,
    TimerChanged,
    Typing,
)
from messenger.inbox import Shown
from messenger.line import Output
from messenger.ui.event_lines import event_line
from messenger.ui.text import (
    message_line,
    progress,
    quoted,
    safety_number_lines,
    said_line,
    timer_line,
    unread_line,
    why_lines,
)
from protocol import Frame

ABOUT_MESSAGES = Arrival | MessagesMissing | EnvelopeRefused  # the rest is about the program
NO_RECIPIENT = "Enter recipient phone number (or 'quit' to exit): "
TYPING_SHOWN_S = 15  # since it was last heard
MAX_SHOWN_AT_ONCE = 50  # messages; beyond that the last of them, and how many there are


class Screen(Protocol):
    """What a conversation is shown on: a face of messenger/ui, or a part of one."""

    @property
    def watched(self) -> bool:
        """Whether a person looks at it as it moves; otherwise nothing is left out for their sake."""

    def show(self, line: str) -> None:
        """Show a line of the conversation, flushed before this returns."""

    def tell(self, line: str) -> None:
        """Show a line about everything else."""

    def progress(self, line: str) -> None:
        """Show a line about an own message's way, unless the status says it."""

    def refresh(self) -> None:
        """Show the prompt and the status as they are now."""

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
        notify: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """Join an engine with a link and a screen.

        Args:
            messenger: The engine.
            screen: Where lines are shown.
            send: Takes frames for the relay; without a link it drops them, and they go out over the next.
            leave: Called when the person wants to end.
            notify: Told who has written, so that the person hears it.
        """
        self.messenger = messenger
        self.tell = screen.tell
        self.leave = leave
        self._screen = screen
        self._send = send
        self._notify = notify
        self._recipient: str | None = None
        self._prompt = NO_RECIPIENT
        self._status = ""
        self._words: list[str] = []
        self.failed = 0  # entries that could not be carried out, and messages that were not sent
        self._typing: dict[str, int] = {}  # contacts who are, until when
        self._now = 0
        self._unread: dict[str, int] = {}  # messages that were not shown here, by contact
        self._catching_up = False  # whether more have waited than anybody wants to see pass by
        self._shown_numbers: dict[str, str] = {}

    # ------------------------------------------------------------ what stands below

    def prompt(self) -> str:
        """Return the prompt, which names the recipient; without one nothing is sent. Any thread may ask."""
        return self._prompt

    def status(self) -> str:
        """Return how things stand, in a line. Any thread may ask."""
        return self._status

    def words(self) -> list[str]:
        """Return what an entry may begin with: names, commands and commands with names. Any thread may ask."""
        return self._words

    def before_paths(self) -> list[str]:
        """Return the beginnings of entries in which a path comes next. Any thread may ask."""
        return commands.before_paths()

    def meet(self) -> None:
        """Have `words` know everybody."""
        people = [user_id for user_id, _ in self.messenger.contacts.all()] + list(self.messenger.book.aliases())
        self._words = commands.words(people) + [f"@{peer} " for peer in people] + people

    def refresh(self) -> None:
        """Have prompt and status say how things stand by now."""
        self._prompt, parts = NO_RECIPIENT, ["online" if self.messenger.online else "offline"]
        if self._unread:
            parts.append(f"unread: {unread_line(self._unread_by_name())}")
        parts += [f"{self.name(peer)} is typing" for peer, until in self._typing.items() if until > self._now]
        if self._recipient is not None:
            name = self.name(self._recipient)
            self._prompt = f"Enter message to {name} ({self.messenger.contacts.trust(self._recipient)}): "
            parts += self._own(self._recipient, name)
            lifetime_s = self.messenger.book.entry(self._recipient).lifetime_s
            parts += [f"disappearing: {spelt(lifetime_s)}"] if lifetime_s else []
        self._status = " | ".join(parts)
        self._screen.refresh()

    def _own(self, peer: str, name: str) -> list[str]:
        """Return how far own messages to somebody have come: those of late that were not read, or the last one."""
        newest_first = self.messenger.archive.sent_lately(peer)
        unread = list(takewhile(lambda said: said.state != "read", newest_first))
        if len(unread) <= 1:
            return [f"last to {name}: {progress(said)}" for said in newest_first[:1]]
        counts = Counter(progress(said) for said in reversed(unread))
        return [f"to {name}: " + ", ".join(f"{count} {state}" for state, count in counts.items())]

    def name(self, peer: str) -> str:
        """Return what somebody is called here."""
        return self.messenger.book.name(peer)

    def _unread_by_name(self) -> dict[str, int]:
        return {self.name(peer): count for peer, count in self._unread.items()}

    # ------------------------------------------------------------ one conversation of many

    def begin(self, *, now: int) -> None:
        """Show what came before the program last ended, and who has written what is unread."""
        self.meet()
        self.show_events(self.messenger.resume(), now=now)
        standings = self.messenger.door.all()
        unread = self.messenger.archive.unread()
        self._unread = {peer: unread[peer] for peer in unread if standings.get(peer) is not Standing.BLOCKED}
        waiting = self.messenger.outbox.count_messages()
        if waiting:
            self.tell(f"* not sent yet: {waiting}; it goes out when the server can be reached")
        if self._unread:
            self.tell(f"* unread: {unread_line(self._unread_by_name())}. /to WHO shows it")
        self.refresh()

    def choose(self, recipient: str, *, now: int) -> None:
        """Write to somebody from now on: shows what was said last, and only what they write until there is another."""
        if recipient == self._recipient:
            return
        self.messenger.writing.refuse_own(recipient)
        self._recipient = recipient
        lifetime_s = self.messenger.book.entry(recipient).lifetime_s
        if lifetime_s:
            self.tell(f"* {timer_line(self.name(recipient), lifetime_s)}")
        unread = self._unread.get(recipient, 0)
        self.show_latest(recipient, min(max(SHOWN_AT_OPENING, unread), MAX_SHOWN_AT_ONCE))
        if unread:
            output = self.messenger.read(recipient, now=now)
            self.forget_unread(recipient)
            self.perform(output, now=now)

    def close(self) -> None:
        """Write to nobody for now: shows what everybody writes."""
        self._recipient = None

    def show_latest(self, peer: str, limit: int) -> int:
        """Show the last messages with somebody, and how many there are if there are more; return how many."""
        latest, count = self.messenger.archive.latest(peer, limit=limit), self.messenger.archive.count(peer)
        if count > len(latest):
            name = self.name(peer)
            self.tell(f"* the last {len(latest)} of {count} messages with {name}; /history {name} {count} shows all")
        for said in latest:
            self._screen.show(said_line(self.messenger.book.named(said), numbered=True))
        return len(latest)

    # ------------------------------------------------------------ from the person

    def enter(self, entry: str, *, now: int) -> None:
        """Carry out what a person typed; an error is told and nothing is lost."""
        try:
            check_unicode(entry)
            self._enter(entry, now)
        except (UsageError, UntrustedKeyError, StorageError) as error:
            self.failed += 1
            self.tell(f"! {describe(error)}")
        self.refresh()

    def _enter(self, entry: str, now: int) -> None:
        line = entry.strip()
        if line == "quit":
            self.leave()
        elif line.startswith("/") and not line.startswith("//"):
            commands.run(line, self, now)
        elif line.startswith("@"):
            recipient, _, text = line.removeprefix("@").partition(" ")
            self.write(self.messenger.book.meant(recipient), text, now=now)
        elif self._recipient is None:
            if line:
                self.choose(self.messenger.book.meant(line), now=now)
        elif line:
            text = entry.rstrip()  # a paste mostly ends with a line end
            self.write(self._recipient, text.replace("//", "/", 1) if line.startswith("//") else text, now=now)

    def meant(self, name: str) -> str:
        """Return whom a command is about: who is named, or the recipient.

        Raises:
            UsageError: Neither.
        """
        if name:
            return self.messenger.book.meant(name)
        if self._recipient is None:
            message = "with whom?"
            raise UsageError(message, hint="name somebody, or choose a recipient first: /to WHO")
        return self._recipient

    @property
    def recipient(self) -> str:
        """To whom the person writes.

        Raises:
            UsageError: To nobody.
        """
        return self.meant("")

    def knows(self, name: str) -> bool:
        """Tell whether a word names a contact: by an id, however it is written, or by an alias."""
        try:
            return self.messenger.contacts.find(self.messenger.book.meant(name)) is not None
        except UsageError:
            return False

    def show_found(self, wanted: Wanted) -> None:
        """Show the newest messages that are looked for."""
        found = self.messenger.archive.find(wanted, limit=MAX_SHOWN_AT_ONCE)
        if len(found) == MAX_SHOWN_AT_ONCE:
            self.tell(f"* the newest {MAX_SHOWN_AT_ONCE}; there may be more: narrow it with since:, until: or with:")
        for said in found:
            self._screen.show(said_line(self.messenger.book.named(said), numbered=True))
        if not found:
            self.tell("* nothing found")

    def explain(self, peer: str, *, now: int) -> None:
        """Show the way of the last message to somebody, and have the server prove its part.

        Raises:
            UsageError: There is none.
        """
        said, steps = self.messenger.archive.last_way(peer)
        for line in why_lines(self.messenger.book.named(said), steps):
            self.tell(line)
        self.perform(self.messenger.ask_for_proof(peer, now=now), now=now)

    def show_safety_number(self, peer: str) -> None:
        """Show what the person and a contact compare.

        Raises:
            UsageError: They are no contact.
            UntrustedKeyError: Their key has changed or was revoked.
        """
        number = self._shown_numbers[peer] = self.messenger.decisions.safety_number(peer)
        for line in safety_number_lines(
            self.name(peer), self.messenger.contacts.trust(peer), number, same=f"/verify {self.name(peer)} ok"
        ):
            self.tell(line)
        self._screen.draw(number)

    def shown_number(self, peer: str) -> str:
        """Return the safety number that was shown, which is what the person says yes to: there may be another by now.

        Raises:
            UsageError: None was.
        """
        if peer not in self._shown_numbers:
            name = self.name(peer)
            message = f"you have not seen the safety number that you have with {name}"
            raise UsageError(message, hint=f"/verify {name} shows it")
        return self._shown_numbers[peer]

    def write(self, recipient: str, text: str, *, answers: Said | None = None, now: int) -> bytes:
        """Send a message and return its id.

        Raises:
            UsageError: The text or the recipient cannot be.
            UntrustedKeyError: The recipient's key has changed.
        """
        number = answers.number if answers is not None else None
        message_id, output = self.messenger.writing.send_text(recipient, text, answers=number, now=now)
        quote = answers.as_quote if answers is not None else None
        self._screen.show(message_line(f"you to {self.name(recipient)}", text, now, quote))
        self.perform_sent(output, now=now)
        return message_id

    def perform_sent(self, output: Output, *, now: int) -> None:
        """Send what the person has written, or say that it waits."""
        if not self.messenger.online:
            self.tell("* queued: it goes out when the server can be reached")
        self.perform(output, now=now)

    def typing(self, *, now: int) -> None:
        """Let the recipient know that the person types, unless it cannot be noted: then neither can what is typed."""
        if self._recipient is not None:
            with suppress(StorageError):  # it is told with the message
                self.perform(self.messenger.writing.typing(self._recipient, now=now), now=now)

    # ------------------------------------------------------------ from the engine

    def perform(self, output: Output, *, now: int) -> None:
        """Send the frames of a step and show its events; a message is acknowledged after it was shown."""
        self._send(output.frames)
        self.show_events(output.events, now=now)

    def show_events(self, events: list[Event], *, now: int) -> None:
        """Show events in their order, and how things stand after all of them."""
        self._now = now
        self._show_all(events, now)
        self.refresh()

    def _show_all(self, events: list[Event], now: int) -> None:
        here: list[Shown] = []
        elsewhere: list[Shown] = []
        for event in events:
            if isinstance(event, Arrival):
                looked_at = self._arrived(event)
                (here if looked_at else elsewhere).append((event.peer, event.id))
            else:
                self._happened(event, now)
        for messages, read in ((here, True), (elsewhere, False)):
            if messages:
                output = self.messenger.shown(messages, read=read, now=now)
                self._send(output.frames)
                self._show_all(output.events, now)
        if self._catching_up and self.messenger.caught_up:
            self._catching_up = False
            self._sum_up()

    def _arrived(self, event: Arrival) -> bool:
        """Show what has come in a message where the person looks, or count it; return whether it was shown.

        What changes another is seen with that one, whenever the person looks there.
        """
        self._typing.pop(event.peer, None)
        looked_at = self._is_looked_at(event.peer)
        if looked_at or isinstance(event, TimerChanged):  # that is about what the person writes from then on
            self._show(event)
        elif isinstance(event, MessageReceived):
            self._count(event.peer)
        if isinstance(event, MessageReceived) and not self._catching_up:
            self._ring(event.peer)
        return looked_at

    def _ring(self, peer: str) -> None:
        """Let the person know that somebody has written, unless they are muted."""
        if not self.messenger.book.entry(peer).muted:
            self._notify(self.name(peer))

    def _happened(self, event: Event, now: int) -> None:
        if isinstance(event, Typing):
            self._typing[event.peer] = now + TYPING_SHOWN_S
            return
        self._show(event)
        if isinstance(event, StateChanged) and event.state in FAILED:
            self.failed += 1
        if isinstance(event, StateChanged) and event.reason is Code.UNKNOWN_USER and event.peer == self._recipient:
            self.close()  # it was mistyped: the next entry is for somebody else
        if isinstance(event, ContactPinned):
            self.meet()
        elif isinstance(event, AccountErased):
            self.leave()
        elif isinstance(event, Online):
            self._catching_up = event.pending > MAX_SHOWN_AT_ONCE

    def _is_looked_at(self, peer: str) -> bool:
        """Tell whether what somebody writes is shown as it comes."""
        if not self._screen.watched:
            return True
        return not self._catching_up if self._recipient is None else peer == self._recipient

    def forget_unread(self, peer: str) -> None:
        """Count no longer what somebody has written."""
        self._unread.pop(peer, None)

    def _count(self, peer: str) -> None:
        """Note a message of somebody whom the person does not look at now."""
        unread = self._unread[peer] = self._unread.get(peer, 0) + 1
        if unread == 1 and not self._catching_up and not self.messenger.book.entry(peer).muted:
            name = self.name(peer)
            self.tell(f"* {name} has written: /to {name} shows it")

    def _sum_up(self) -> None:
        """Say what has come while the person was away."""
        if self._unread:
            self.tell(
                f"* unread: {unread_line(self._unread_by_name())}. /to WHO shows it; the last {SHOWN_AT_OPENING}:"
            )
            for said in self.messenger.archive.find(Wanted(), limit=SHOWN_AT_OPENING):
                self._screen.show(said_line(self.messenger.book.named(said)))

    def _show(self, event: Event) -> None:
        line = event_line(self.messenger.book.named(event))
        if isinstance(event, StateChanged) and event.state in ON_THE_WAY:  # no news but of progress
            said = self.messenger.archive.sent(event.peer, event.id)
            if said is not None:  # and not what changes one
                self._screen.progress(f"{line}, {quoted(said.as_quote)}")
        elif isinstance(event, ABOUT_MESSAGES | StateChanged):
            self._screen.show(line)
        else:
            self.tell(line)
