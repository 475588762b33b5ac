"""What programs ask for: a line of JSON each, which names what it wants in `do`. docs/FACES.md lists them.

A request may have an `id`, which its reply repeats.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from errors import UsageError

MAX_FOUND: Final = 1000  # messages in one reply
Number = Annotated[int, Meta(ge=1, le=MAX_FOUND)]
Id = str | int | None  # of a request, as its program likes it


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """What every request may have."""

    id: Id = None


class Send(Request, tag="send"):
    """Write to somebody, or answer the message of a number or id."""

    to: str
    text: str
    answers: str | None = None


class Edit(Request, tag="edit"):
    """Change what one wrote: the last, or that of a number or id."""

    to: str
    text: str
    message: str | None = None


class Delete(Request, tag="delete"):
    """Take back what one wrote."""

    to: str
    message: str | None = None


class React(Request, tag="react"):
    """Answer a message with an emoji, or `off`."""

    to: str
    emoji: str
    message: str | None = None


class Timer(Request, tag="timer"):
    """Have messages disappear: `1h`, or `off`."""

    to: str
    time: str


class Typing(Request, tag="typing"):
    """Let somebody see that an answer is being written."""

    to: str


class Read(Request, tag="read"):
    """Let somebody know that all they wrote so far was read."""

    to: str


class History(Request, tag="history"):
    """The last messages with somebody."""

    to: str
    number: Number = 20


class Search(Request, tag="search"):
    """The newest messages in which all words stand."""

    words: str
    to: str | None = None
    since: str | None = None
    until: str | None = None
    number: Number = 20


class Why(Request, tag="why"):
    """The way of the last message to somebody."""

    to: str


class People(Request, tag="contacts"):
    """Everybody whom the account has met."""


class Allow(Request, tag="allow"):
    """Let somebody in."""

    to: str


class Block(Request, tag="block"):
    """See nothing of somebody any more."""

    to: str


class Accept(Request, tag="accept"):
    """Pin the changed key of somebody."""

    to: str


class Keep(Request, tag="keep"):
    """Stay with the pinned key of somebody."""

    to: str


class Verify(Request, tag="verify"):
    """The safety number with somebody; or, with a number, the word that it is right."""

    to: str
    number: str | None = None


class Alias(Request, tag="alias"):
    """Call somebody by another name here."""

    to: str
    alias: str = ""


class Note(Request, tag="note"):
    """What is remembered of somebody; with a note that from now on, with `off` nothing."""

    to: str
    note: str | None = None


class Mute(Request, tag="mute"):
    """Ring no more for somebody."""

    to: str
    muted: bool = True


class KeepFor(Request, tag="keep-for"):
    """How long messages with somebody are kept here: `4w`, or `off`."""

    to: str
    time: str


class Keys(Request, tag="keys"):
    """One's own keys; with `rotate` new ones."""

    rotate: bool = False


class Log(Request, tag="log"):
    """The server's key log; with `forget` it is believed again."""

    forget: bool = False


class StatusNow(Request, tag="status"):
    """How things stand."""


class ServerKnows(Request, tag="server-knows"):
    """Every row that the server holds about the account: they come as events."""


class EraseMe(Request, tag="erase-me"):
    """Have the server remove the account: `number` is its own id."""

    number: str


class Quit(Request, tag="quit"):
    """End when all has gone out."""


_decoder: Final = msgspec.json.Decoder(
    Send | Edit | Delete | React | Timer | Typing | Read | History | Search | Why | People | Allow | Block | Accept
    | Keep | Verify | Alias | Note | Mute | KeepFor | Keys | Log | StatusNow | ServerKnows | EraseMe | Quit
)  # fmt: skip


def parse(line: str) -> Request:
    """Read a request.

    Raises:
        UsageError: It is none.
    """
    try:
        request: Request = _decoder.decode(line.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        message = f"that is no request: {error}"
        raise UsageError(message, hint='a request is like: {"do": "send", "to": "bob", "text": "hello"}') from None
    return request


class _Named(msgspec.Struct):
    id: Id = None


def id_of(line: str) -> Id:
    """Return the id of what may be no request, so that its reply can be told."""
    try:
        return msgspec.json.decode(line.encode(), type=_Named).id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
