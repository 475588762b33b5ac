"""The table of /commands: name, arguments, help, function."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from errors import UsageError
from messenger.address_book import MAX_KEPT_S
from messenger.archive import Said, Wanted, wanted
from messenger.content import MAX_LIFETIME_S
from messenger.durations import OFF, seconds, unless_off
from messenger.exporting import export_lines, export_to, path_of
from messenger.line import Output
from messenger.profile import profiles
from messenger.ui.held_rows import HELD_ROWS
from messenger.ui.text import (
    accepted_line,
    alias_line,
    allowed_line,
    blocked_line,
    body,
    clock,
    contact_line,
    keep_line,
    kept_line,
    log_lines,
    messages,
    mute_line,
    note_line,
    own_keys_line,
    quoted,
    reaction_line,
    timer_line,
)

if TYPE_CHECKING:
    from messenger.conversation import Conversation

SHOWN_AT_OPENING: Final = 20  # messages of a conversation


@dataclass(frozen=True, slots=True)
class Command:
    """Something a person can do besides writing."""

    name: str
    arguments: str  # as the help shows them; empty for none
    help: str
    run: Callable[[Conversation, str, int], None]  # conversation, the rest of the line, now


def _to(conversation: Conversation, argument: str, now: int) -> None:
    if argument:
        conversation.choose(conversation.meant(argument), now=now)
    else:
        conversation.close()


def _history(conversation: Conversation, argument: str, _now: int) -> None:
    who, number = argument, ""
    *before, last = argument.split() or [""]
    if re.fullmatch("[0-9]{1,6}", last) and (before or not conversation.knows(last)):
        who, number = " ".join(before), last
    peer = conversation.meant(who)
    if number and not int(number):
        message = "/history 0 shows nothing"
        raise UsageError(message, hint="give a number from 1 on")
    if not conversation.show_latest(peer, int(number) if number else SHOWN_AT_OPENING):
        conversation.tell(f"* nothing was said with {conversation.name(peer)} yet")


def _search(conversation: Conversation, argument: str, _now: int) -> None:
    conversation.show_found(_wanted(argument.split(), conversation.meant))


def _wanted(entry: list[str], meant: Callable[[str], str]) -> Wanted:
    """Read what a person looks for: words, and with:WHO, since:DATE, until:DATE among them.

    Raises:
        UsageError: One of them cannot be, or there is no word.
    """
    words: list[str] = []
    bounds: dict[str, str] = {}
    for word in entry:
        key, colon, value = word.partition(":")
        if colon and key in {"with", "since", "until"}:
            bounds[key] = value
        else:
            words.append(word)
    peer = meant(bounds["with"]) if "with" in bounds else None
    return wanted(" ".join(words), peer, bounds.get("since"), bounds.get("until"))


def _numbered(conversation: Conversation, argument: str, *, outgoing: bool) -> tuple[str, Said, str]:
    """Return the recipient, the message that a command is about, and the rest of the line.

    Args:
        conversation: Where it is.
        argument: `#NUMBER` and the rest, or the rest alone, for the last one.
        outgoing: Whether that is one's own.

    Raises:
        UsageError: There is no such message, or nobody is written to.
    """
    peer, archive = conversation.recipient, conversation.messenger.archive
    number, _, rest = argument.partition(" ")
    if number.startswith("#"):
        return peer, archive.meant(peer, number, outgoing=outgoing), rest.strip()
    return peer, archive.meant(peer, None, outgoing=outgoing), argument


def _reply(conversation: Conversation, argument: str, now: int) -> None:
    peer, said, text = _numbered(conversation, argument, outgoing=False)
    conversation.write(peer, text, answers=said, now=now)


def _edit(conversation: Conversation, argument: str, now: int) -> None:
    peer, said, text = _numbered(conversation, argument, outgoing=True)
    _, output = conversation.messenger.writing.edit(peer, said.number, text, now=now)
    conversation.tell(f"* what you wrote at {clock(said.timestamp)} says now: {body(text)}")
    conversation.perform_sent(output, now=now)


def _delete(conversation: Conversation, argument: str, now: int) -> None:
    peer, said, rest = _numbered(conversation, argument, outgoing=True)
    if rest:
        message = "/delete wants nothing but a number"
        raise UsageError(message, hint="/delete [#NUMBER]")
    _, output = conversation.messenger.writing.delete(peer, said.number, now=now)
    conversation.tell(
        f"* {quoted(said.as_quote)} is deleted here, and at {conversation.name(peer)} as far as their client goes along"
    )
    conversation.perform_sent(output, now=now)


def _react(conversation: Conversation, argument: str, now: int) -> None:
    peer, said, emoji = _numbered(conversation, argument, outgoing=False)
    if not emoji:
        message = "with what?"
        raise UsageError(message, hint="/react [#NUMBER] EMOJI, or off to take it back")
    _, output = conversation.messenger.writing.react(peer, said.number, unless_off(emoji), now=now)
    conversation.tell(reaction_line("you", unless_off(emoji), said.as_quote))
    conversation.perform_sent(output, now=now)


def _span(conversation: Conversation, argument: str, longest: int) -> tuple[str, int | None]:
    """Return whom `[WHO] [TIME | off]` is about, and how many seconds stand there, if any do."""
    *who, last = argument.split() or [""]
    if not last or (not who and conversation.knows(last)):
        return conversation.meant(argument), None
    return conversation.meant(" ".join(who)), seconds(last, longest=longest)


def _timer(conversation: Conversation, argument: str, now: int) -> None:
    peer, lifetime_s = _span(conversation, argument, MAX_LIFETIME_S)
    if lifetime_s is None:
        lifetime_s = conversation.messenger.book.entry(peer).lifetime_s
        conversation.tell(f"* {timer_line(conversation.name(peer), lifetime_s)}")
        return
    _, output = conversation.messenger.writing.set_timer(peer, lifetime_s, now=now)
    conversation.tell(f"* {timer_line(conversation.name(peer), lifetime_s)}")
    conversation.perform_sent(output, now=now)


def _export(conversation: Conversation, argument: str, _now: int) -> None:
    name, _, who = argument.partition(" ")
    everything = Wanted(peer=conversation.meant(who) if who.strip() else None)
    path = path_of(name)
    count = export_to(path, export_lines(conversation.messenger, everything, as_json=path.suffix == ".jsonl"))
    conversation.tell(f"* {path} holds {messages(count)}, for everybody to read who can open it")


def _why(conversation: Conversation, argument: str, now: int) -> None:
    conversation.explain(conversation.meant(argument), now=now)


def _status(conversation: Conversation, _argument: str, _now: int) -> None:
    conversation.refresh()
    conversation.tell(f"* {conversation.status()}")


def _decide(
    conversation: Conversation, argument: str, now: int, decide: Callable[..., Output], line: Callable[[str], str]
) -> str:
    """Carry out a decision about a contact, say so, and return who it is."""
    peer = conversation.meant(argument)
    conversation.perform(decide(peer, now=now), now=now)
    conversation.tell(line(conversation.name(peer)))
    return peer


def _accept(conversation: Conversation, argument: str, now: int) -> None:
    _decide(conversation, argument, now, conversation.messenger.decisions.accept, accepted_line)


def _keep(conversation: Conversation, argument: str, now: int) -> None:
    _decide(conversation, argument, now, conversation.messenger.decisions.keep, kept_line)


def _verify(conversation: Conversation, argument: str, now: int) -> None:
    """Show the safety number, or take the person's word that the other has the same."""
    name, _, rest = argument.partition(" ")
    peer, answer = conversation.meant(name), rest.strip()
    if not answer:
        conversation.show_safety_number(peer)
        return
    number = conversation.shown_number(peer) if answer == "ok" else answer
    conversation.perform(conversation.messenger.decisions.verify(peer, number, now=now), now=now)
    conversation.tell(f"* {conversation.name(peer)} is verified: you have compared your keys")


def _keys(conversation: Conversation, argument: str, now: int) -> None:
    account = conversation.messenger.account
    if argument == "rotate":
        conversation.perform(conversation.messenger.rotate(now=now), now=now)
        if not conversation.messenger.online:
            conversation.tell("* your new keys are on disk; the server hears of them when it can be reached")
    elif argument:
        message = f"/keys {argument} is not known"
        raise UsageError(message, hint="/keys, or /keys rotate; python client.py keys --help does more")
    else:
        conversation.tell(f"* {own_keys_line(account)}")


def _log(conversation: Conversation, argument: str, now: int) -> None:
    messenger = conversation.messenger
    if argument == "forget":
        output = messenger.forget_log(now=now)
        conversation.tell("* the key log is read anew, and what contacts say is compared anew")
        conversation.perform(output, now=now)
    elif argument:
        message = f"/log {argument} is not known"
        raise UsageError(message, hint="/log, or /log forget")
    else:
        for line in log_lines(messenger.log):
            conversation.tell(line)


def _server_knows(conversation: Conversation, _argument: str, now: int) -> None:
    output = conversation.messenger.ask_what_the_server_knows(now=now)
    conversation.tell(HELD_ROWS)
    conversation.perform(output, now=now)


def _erase_me(conversation: Conversation, argument: str, now: int) -> None:
    conversation.perform(conversation.messenger.erase_account(argument, now=now), now=now)


def _contacts(conversation: Conversation, _argument: str, _now: int) -> None:
    people = profiles(conversation.messenger)
    for each in people:
        conversation.tell(contact_line(each))
    if not people:
        conversation.tell("* no contacts yet")


def _allow(conversation: Conversation, argument: str, now: int) -> None:
    _decide(conversation, argument, now, conversation.messenger.decisions.allow, allowed_line)


def _block(conversation: Conversation, argument: str, now: int) -> None:
    peer = _decide(conversation, argument, now, conversation.messenger.decisions.block, blocked_line)
    conversation.forget_unread(peer)


def _change_book(conversation: Conversation, now: int, change: Callable[[], None]) -> None:
    """Change what is remembered of a conversation."""
    conversation.perform(conversation.messenger.decisions.change_book(change, now=now), now=now)
    conversation.meet()


def _alias(conversation: Conversation, argument: str, now: int) -> None:
    name, _, alias = argument.partition(" ")
    peer, book = conversation.meant(name), conversation.messenger.book
    _change_book(conversation, now, lambda: book.set_alias(peer, alias.strip()))
    conversation.tell(alias_line(peer, alias.strip()))


def _note(conversation: Conversation, argument: str, now: int) -> None:
    name, _, rest = argument.partition(" ")
    peer, book, note = conversation.meant(name), conversation.messenger.book, rest.strip()
    if note:
        _change_book(conversation, now, lambda: book.set_note(peer, unless_off(note)))
    conversation.tell(note_line(book.name(peer), book.entry(peer).note))


def _mute(conversation: Conversation, argument: str, now: int) -> None:
    name, _, rest = argument.partition(" ")
    peer, book, muted = conversation.meant(name), conversation.messenger.book, rest.strip() != OFF
    if rest.strip() not in {"", OFF}:
        message = f"/mute {rest} is not known"
        raise UsageError(message, hint="/mute WHO, or /mute WHO off")
    _change_book(conversation, now, lambda: book.mute(peer, muted=muted))
    conversation.tell(mute_line(book.name(peer), muted=muted))


def _keep_for(conversation: Conversation, argument: str, now: int) -> None:
    book = conversation.messenger.book
    peer, kept_s = _span(conversation, argument, MAX_KEPT_S)
    if kept_s is not None:
        wanted = kept_s
        _change_book(conversation, now, lambda: book.keep(peer, wanted))
    conversation.tell(keep_line(book.name(peer), book.entry(peer).kept_s))


def _help(conversation: Conversation, argument: str, _now: int) -> None:
    if argument:
        command = _command(argument.removeprefix("/"))
        conversation.tell(f"  /{command.name} {command.arguments}  {command.help}")
        return
    width = max(len(command.name) + len(command.arguments) for command in COMMANDS.values()) + 4
    for command in COMMANDS.values():
        conversation.tell(f"  {f'/{command.name} {command.arguments}':{width}}{command.help}")
    conversation.tell(f"  {'@WHO TEXT':{width}}write to somebody without changing to them")
    conversation.tell(f"  {'//TEXT':{width}}send a text that begins with a slash")


def _quit(conversation: Conversation, _argument: str, _now: int) -> None:
    conversation.leave()


COMMANDS = {
    command.name: command
    for command in (
        Command("to", "[WHO]", "write to somebody from now on, and see only what they write; alone: to nobody", _to),
        Command("history", "[WHO] [NUMBER]", "the last messages with somebody", _history),
        Command(
            "search",
            "WORDS [with:WHO] [since:DATE] [until:DATE]",
            "messages in which all words, or words that begin so, stand; a date is 2026-12-31",
            _search,
        ),
        Command("export", "PATH [WHO]", "write all messages into a new file; as JSON lines if it ends .jsonl", _export),
        Command("reply", "[#NUMBER] TEXT", "answer a message: the last one, or that of a number (/history)", _reply),
        Command("edit", "[#NUMBER] TEXT", "change what you wrote, at the other's as well, for a day", _edit),
        Command("delete", "[#NUMBER]", "take back what you wrote, at the other's as well, for a day", _delete),
        Command("react", "[#NUMBER] EMOJI | off", "answer a message with an emoji, or take that back", _react),
        Command("timer", "[WHO] [TIME | off]", "have messages disappear for both of you: 30s, 5m, 1h, 7d, 4w", _timer),
        Command("why", "[WHO]", "the way of your last message to somebody, step by step, or why it did not go", _why),
        Command("status", "", "whether you are online, how far your last message is, what is unread", _status),
        Command("accept", "WHO", "remember the new key of a contact whose key has changed", _accept),
        Command("keep", "WHO", "stay with the remembered key of a contact whose key has changed", _keep),
        Command(
            "verify",
            "WHO [ok | NUMBER]",
            "show the safety number that you have with somebody, or say that it is right",
            _verify,
        ),
        Command("keys", "[rotate]", "your keys; rotate makes new ones, which the old ones sign", _keys),
        Command("log", "[forget]", "whether the server shows everybody the same keys; forget begins anew", _log),
        Command("server-knows", "", "every row that the server holds about you, and what it cannot see", _server_knows),
        Command("erase-me", "[YOUR NUMBER]", "have the server remove your account, for ever", _erase_me),
        Command("allow", "WHO", "let somebody in who has written to you, or whom you have blocked", _allow),
        Command("block", "WHO", "see nothing of somebody any more", _block),
        Command("alias", "WHO [NAME]", "call somebody by another name, here only; without one by their own", _alias),
        Command("note", "WHO [TEXT | off]", "remember something about somebody, here only; alone it is shown", _note),
        Command("mute", "WHO [off]", "hear no bell for what somebody writes", _mute),
        Command("keep-for", "[WHO] [TIME | off]", "how long messages with somebody are kept here: 7d, 4w", _keep_for),
        Command("contacts", "", "everybody you have met, and how far their key is trusted", _contacts),
        Command("help", "[COMMAND]", "this list, or a line of it", _help),
        Command("quit", "", "leave (`quit` alone does the same)", _quit),
    )
}


def words(people: list[str]) -> list[str]:
    """Return every command, and every one that is about somebody with each of these people."""
    about = [command.name for command in COMMANDS.values() if command.arguments.strip("[]").startswith("WHO")]
    return [f"/{name} " for name in COMMANDS] + [f"/{name} {peer} " for name in about for peer in people]


def before_paths() -> list[str]:
    """Return the beginnings of entries in which a path comes next."""
    return [f"/{command.name} " for command in COMMANDS.values() if command.arguments.startswith("PATH")]


def _command(name: str) -> Command:
    """Return a command.

    Raises:
        UsageError: There is none of that name.
    """
    command = COMMANDS.get(name)
    if command is None:
        message = f"there is no command {name!r}"
        raise UsageError(message, hint="/help lists them; begin with // to send a text that begins with a slash")
    return command


def run(line: str, conversation: Conversation, now: int) -> None:
    """Carry out a line that begins with a slash.

    Raises:
        UsageError: There is no such command, or it wants an argument.
    """
    name, _, argument = line.removeprefix("/").partition(" ")
    command = _command(name)
    optional = command.arguments and re.fullmatch(r"(\[[^]]*\] ?)*", command.arguments)
    if not optional and bool(argument.strip()) != bool(command.arguments):
        message = f"/{name} wants {command.arguments or 'no argument'}"
        raise UsageError(message, hint=command.help)
    command.run(conversation, argument.strip(), now)
