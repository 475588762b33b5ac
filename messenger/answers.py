"""What programs are answered when they ask for something.

What must never be here is a rule: a request does what the command or the one-shot action of its name does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from messenger.address_book import MAX_KEPT_S
from messenger.archive import Said, wanted
from messenger.content import MAX_LIFETIME_S
from messenger.decisions import Decisions
from messenger.durations import seconds, unless_off
from messenger.engine import Messenger
from messenger.line import Output
from messenger.profile import profile_of, profiles
from messenger.requests import (
    Accept,
    Alias,
    Allow,
    Block,
    Delete,
    Edit,
    EraseMe,
    History,
    Keep,
    KeepFor,
    Keys,
    Log,
    Mute,
    Note,
    People,
    Quit,
    React,
    Read,
    Request,
    Search,
    Send,
    ServerKnows,
    StatusNow,
    Timer,
    Typing,
    Verify,
    Why,
)
from messenger.status import status_of
from messenger.ui.json_lines import (
    Data,
    contact_data,
    keys_data,
    log_data,
    safety_number_data,
    said_data,
    sent_data,
    status_data,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request brought."""

    result: Data
    output: Output = field(default_factory=Output)


Handler = Callable[[Messenger, Any, int], Answer]


def _meant(messenger: Messenger, name: str) -> str:
    return messenger.book.meant(name)


def _sent(messenger: Messenger, peer: str, done: tuple[bytes, Output]) -> Answer:
    message_id, output = done
    return Answer(sent_data(message_id, peer, messenger.history.state(message_id)[0]), output)


def _send(messenger: Messenger, request: Send, now: int) -> Answer:
    peer, archive = _meant(messenger, request.to), messenger.archive
    answers = archive.meant(peer, request.answers, outgoing=False).number if request.answers else None
    return _sent(messenger, peer, messenger.writing.send_text(peer, request.text, answers=answers, now=now))


def _edit(messenger: Messenger, request: Edit, now: int) -> Answer:
    peer, archive = _meant(messenger, request.to), messenger.archive
    number = archive.meant(peer, request.message, outgoing=True).number
    return _sent(messenger, peer, messenger.writing.edit(peer, number, request.text, now=now))


def _delete(messenger: Messenger, request: Delete, now: int) -> Answer:
    peer, archive = _meant(messenger, request.to), messenger.archive
    number = archive.meant(peer, request.message, outgoing=True).number
    return _sent(messenger, peer, messenger.writing.delete(peer, number, now=now))


def _react(messenger: Messenger, request: React, now: int) -> Answer:
    peer, archive = _meant(messenger, request.to), messenger.archive
    number = archive.meant(peer, request.message, outgoing=False).number
    return _sent(messenger, peer, messenger.writing.react(peer, number, unless_off(request.emoji), now=now))


def _timer(messenger: Messenger, request: Timer, now: int) -> Answer:
    peer, lifetime_s = _meant(messenger, request.to), seconds(request.time, longest=MAX_LIFETIME_S)
    return _sent(messenger, peer, messenger.writing.set_timer(peer, lifetime_s, now=now))


def _typing(messenger: Messenger, request: Typing, now: int) -> Answer:
    return Answer({}, messenger.writing.typing(_meant(messenger, request.to), now=now))


def _read(messenger: Messenger, request: Read, now: int) -> Answer:
    return Answer({}, messenger.read(_meant(messenger, request.to), now=now))


def _found(said: list[Said]) -> Answer:
    return Answer({"messages": [said_data(each) for each in said]})


def _history(messenger: Messenger, request: History, _now: int) -> Answer:
    return _found(messenger.archive.latest(_meant(messenger, request.to), limit=request.number))


def _search(messenger: Messenger, request: Search, _now: int) -> Answer:
    peer = _meant(messenger, request.to) if request.to is not None else None
    looked_for = wanted(request.words, peer, request.since, request.until)
    return _found(messenger.archive.find(looked_for, limit=request.number))


def _why(messenger: Messenger, request: Why, now: int) -> Answer:
    peer = _meant(messenger, request.to)
    said, steps = messenger.archive.last_way(peer)
    return Answer(said_data(said, steps, messenger.archive.proof(said)), messenger.ask_for_proof(peer, now=now))


def _contact(messenger: Messenger, peer: str) -> Data:
    return contact_data(profile_of(messenger, peer))


def _contacts(messenger: Messenger, _request: People, _now: int) -> Answer:
    return Answer({"contacts": [contact_data(each) for each in profiles(messenger)]})


def _decided(decide: Callable[[Decisions], Callable[..., Output]]) -> Handler:
    """Return what carries out one of the person's decisions about a contact."""

    def handle(messenger: Messenger, request: Allow | Block | Accept | Keep, now: int) -> Answer:
        peer = _meant(messenger, request.to)
        output = decide(messenger.decisions)(peer, now=now)
        return Answer(_contact(messenger, peer), output)

    return handle


def _remembered(change: Callable[[Messenger, str, Any], None]) -> Handler:
    """Return what changes the address book."""

    def handle(messenger: Messenger, request: Any, now: int) -> Answer:
        peer = _meant(messenger, request.to)
        output = messenger.decisions.change_book(lambda: change(messenger, peer, request), now=now)
        return Answer(_contact(messenger, peer), output)

    return handle


def _note(messenger: Messenger, peer: str, request: Note) -> None:
    if request.note is not None:
        messenger.book.set_note(peer, unless_off(request.note))


def _verify(messenger: Messenger, request: Verify, now: int) -> Answer:
    peer, output = _meant(messenger, request.to), Output()
    if request.number is not None:
        output = messenger.decisions.verify(peer, request.number, now=now)
    number = messenger.decisions.safety_number(peer)
    return Answer(safety_number_data(peer, messenger.contacts.trust(peer), number), output)


def _keys(messenger: Messenger, request: Keys, now: int) -> Answer:
    output = messenger.rotate(now=now) if request.rotate else Output()
    return Answer(keys_data(messenger.account), output)


def _log(messenger: Messenger, request: Log, now: int) -> Answer:
    output = messenger.forget_log(now=now) if request.forget else Output()
    return Answer(log_data(messenger.log), output)


HANDLERS: Final[dict[type[Request], Handler]] = {
    Send: _send,
    Edit: _edit,
    Delete: _delete,
    React: _react,
    Timer: _timer,
    Typing: _typing,
    Read: _read,
    History: _history,
    Search: _search,
    Why: _why,
    People: _contacts,
    Allow: _decided(lambda decisions: decisions.allow),
    Block: _decided(lambda decisions: decisions.block),
    Accept: _decided(lambda decisions: decisions.accept),
    Keep: _decided(lambda decisions: decisions.keep),
    Verify: _verify,
    Alias: _remembered(lambda messenger, peer, request: messenger.book.set_alias(peer, request.alias)),
    Note: _remembered(_note),
    Mute: _remembered(lambda messenger, peer, request: messenger.book.mute(peer, muted=request.muted)),
    KeepFor: _remembered(
        lambda messenger, peer, request: messenger.book.keep(peer, seconds(request.time, longest=MAX_KEPT_S))
    ),
    Keys: _keys,
    Log: _log,
    StatusNow: lambda messenger, _request, _now: Answer(status_data(status_of(messenger))),
    ServerKnows: lambda messenger, _request, now: Answer({}, messenger.ask_what_the_server_knows(now=now)),
    EraseMe: lambda messenger, request, now: Answer({}, messenger.erase_account(request.number, now=now)),
    Quit: lambda _messenger, _request, _now: Answer({}),
}


def carry_out(request: Request, messenger: Messenger, *, now: int) -> Answer:
    """Do what a request wants.

    Raises:
        SecureChatError: It cannot be done.
    """
    return HANDLERS[type(request)](messenger, request, now)
