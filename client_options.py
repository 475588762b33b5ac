"""The client's command line: what it can be told, and how that is explained."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

import command_line
from messenger.content import check_unicode
from messenger.server_address import DEFAULT_PORT
from messenger.suites import SPOKEN
from outline import outline
from settings import CONFIG, PROFILE, SETTINGS, UNSET, choose


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; what it leaves open is as the environment and the configuration file have it.

    Returns:
        The options; `settings` has those that can be configured, and where each is from.

    Raises:
        UsageError: The environment or the file has what cannot be.
        StorageError: The file cannot be read, or is not safe to be believed.
    """
    for word in arguments:
        check_unicode(word)
    parser = make_parser()
    unset = dict.fromkeys((each.name for each in (CONFIG, PROFILE, *SETTINGS)), UNSET)
    options = command_line.parse(parser, arguments, argparse.Namespace(**unset))
    if options.action == "completion":
        from completion import script  # noqa: PLC0415 - other actions need not load it

        print(script(outline(parser), options.shell, options.name), end="", flush=True)
        parser.exit()
    options.settings = choose(options, {each.name: each for each in outline(parser).options}, os.environ)
    vars(options).update({each.name: each.value for each in options.settings})
    return options


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_line.parser("client", "SecureChat: messages that only the two of you can read.")
    _add_account_options(parser)
    _add_habits(parser)
    parser.add_argument(
        "--config", type=Path, metavar="PATH", help="the configuration file (default: config says where)"
    )
    parser.add_argument("--profile", metavar="NAME", help="use the file's [profile.NAME] before its top level")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="one-shot actions (default: converse)")
    actions.add_parser("register", help="create the account and leave")
    _add_messages(actions)
    _add_archive(actions)
    _add_contacts(actions)
    _add_account(actions)
    _add_program(actions)
    return parser


def _add_account_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which account, at which server, on what kind of screen."""
    parser.add_argument(
        "--server",
        default=f"localhost:{DEFAULT_PORT}",
        metavar="ADDRESS",
        help="HOST:PORT, or the securechat:// line that the server prints (default: %(default)s)",
    )
    parser.add_argument("--user", metavar="ID", help="your phone number or handle (default: asked for)")
    parser.add_argument(
        "--password-file", metavar="PATH", help="read the password from the first line of a file; - is standard input"
    )
    parser.add_argument(
        "--plain", action=argparse.BooleanOptionalAction, help="lines in, lines out: for pipes and screen readers"
    )
    parser.set_defaults(plain=False)  # only now: some versions of Python would put it into the help


def _add_habits(parser: argparse.ArgumentParser) -> None:
    """Add how a person wants to write and be written to."""
    parser.add_argument(
        "--suite",
        type=int,
        choices=SPOKEN,
        default=max(SPOKEN),
        help="the least that protects what you write: 1 is for contacts whose client is old, and has no forward secrecy"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--read-receipts",
        choices=["on", "off"],
        default="on",
        help="whether those who write to you hear that you have read it (default: %(default)s)",
    )
    parser.add_argument(
        "--typing",
        choices=["on", "off"],
        default="on",
        help="whether those who have just written see that you are typing to them (default: %(default)s)",
    )
    parser.add_argument(
        "--notify",
        default="off",
        metavar="HOW",
        help="what tells you that somebody has written: off, bell, or a command, to which the sender's name is added"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--requests",
        choices=["on", "off"],
        default="on",
        help="whether strangers hear nothing of their messages until you answer or allow them (default: %(default)s)",
    )


def _add_messages(actions: Any) -> None:
    send = actions.add_parser("send", help="send one message; ends 0 when the server has accepted it")
    reply = actions.add_parser("reply", help="answer a message")
    edit = actions.add_parser("edit", help="change what you wrote, at the other's as well, for a day")
    delete = actions.add_parser("delete", help="take back what you wrote, at the other's as well, for a day")
    react = actions.add_parser("react", help="answer a message with an emoji, or take that back")
    timer = actions.add_parser("timer", help="have messages disappear for both of you, some time after they were read")
    for action in (send, reply, edit, delete, react, timer):
        action.add_argument("to", metavar="WHO", help="phone number, handle or alias")
    for action in (reply, edit, delete, react):
        which = action.add_mutually_exclusive_group()
        which.add_argument(
            "which",
            metavar="NUMBER",
            nargs="?",
            type=_message,
            help="which: its number in `history`, or its id (default: the last)",
        )
        which.add_argument("--message", metavar="NUMBER", help="the same as NUMBER behind the name")
    for action in (send, reply, edit):
        action.add_argument("text", metavar="TEXT", help="- reads it from standard input")
    react.add_argument("emoji", metavar="EMOJI", help="an emoji, or off")
    timer.add_argument("time", metavar="TIME", help="30s, 5m, 1h, 7d or 4w, or off")
    for action in (send, reply, edit, delete, react, timer):
        is_text = action in {send, reply}  # what changes one is not read by itself
        action.add_argument(
            "--wait",
            choices=["accepted", "delivered", *(["read"] if is_text else [])],
            default="accepted",
            help=f"end when it has come so far: at the server, at the other's device{', or read' if is_text else ''}"
            " (default: %(default)s)",
        )
        action.add_argument("--json", action="store_true", help="say in a JSON object what became of it")
    recv = actions.add_parser("recv", help="show what waits and leave")
    recv.add_argument("--follow", action="store_true", help="stay, and show what comes")
    recv.add_argument("--json", action="store_true", help="one JSON object a line")
    actions.add_parser("daemon", help="serve a program: requests and events are lines of JSON on stdin and stdout")


def _add_archive(actions: Any) -> None:
    history = actions.add_parser("history", help="show the last messages with somebody")
    history.add_argument("to", metavar="WHO", help="phone number, handle or alias")
    how_many = history.add_mutually_exclusive_group()
    how_many.add_argument("count", metavar="NUMBER", nargs="?", type=_number, help="how many (default: 20)")
    why = actions.add_parser("why", help="the way of your last message to somebody, or why it did not go")
    why.add_argument("to", metavar="WHO", help="phone number, handle or alias")
    why.add_argument("--ask", action="store_true", help="have the server prove what it says, with its signature")
    search = actions.add_parser("search", help="show messages in which all words, or words that begin so, stand")
    search.add_argument("words", metavar="WORD", nargs="+")
    export = actions.add_parser("export", help="write every message to standard output, or into a file")
    export.add_argument("--output", metavar="PATH", type=Path, help="a new file, which only you can read")
    for action in (how_many, search):
        action.add_argument(
            "-n", "--number", type=_number, default=20, help="the newest so many (default: %(default)s)"
        )
    for action in (search, export):
        action.add_argument("--with", dest="peer", metavar="WHO", help="only with this person")
        action.add_argument("--since", metavar="DATE", help="from this day on: 2026-12-31")
        action.add_argument("--until", metavar="DATE", help="up to this day")
    for action in (history, why, search, export):
        action.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_contacts(actions: Any) -> None:
    contacts = actions.add_parser("contacts", help="everybody you have met, and how far their key is trusted")
    allow = actions.add_parser("allow", help="let somebody in who has written to you, or whom you have blocked")
    block = actions.add_parser("block", help="see nothing of somebody any more")
    accept = actions.add_parser("accept", help="remember the new key of a contact whose key has changed")
    keep = actions.add_parser("keep", help="stay with the remembered key of a contact whose key has changed")
    alias = actions.add_parser("alias", help="call somebody by another name, here only")
    note = actions.add_parser("note", help="remember something about somebody, here only")
    mute = actions.add_parser("mute", help="hear no bell for what somebody writes")
    keep_for = actions.add_parser("keep-for", help="how long messages with somebody are kept here")
    for action in (allow, block, accept, keep, alias, note, mute, keep_for):
        action.add_argument("to", metavar="WHO", help="phone number, handle or alias")
    alias.add_argument(
        "alias", metavar="NAME", nargs="?", default="", help="one word with a capital letter, or nothing"
    )
    note.add_argument("note", metavar="TEXT", nargs="?", help="the note, or off (default: show it)")
    mute.add_argument("muted", nargs="?", choices=["on", "off"], default="on", help="(default: %(default)s)")
    keep_for.add_argument("time", metavar="TIME", help="30s, 5m, 1h, 7d or 4w, or off, which is for ever")
    for action in (contacts, allow, block, accept, keep, alias, note, mute, keep_for):
        action.add_argument("--json", action="store_true", help="one JSON object for each of them")


def _message(text: str) -> str:
    if not re.fullmatch("#?[1-9][0-9]{0,17}|[0-9a-f]{32}", text):
        message = f"{text!r} names no message: give its number in `history`, or its id"
        raise argparse.ArgumentTypeError(message)
    return text


def _number(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        message = "give a number from 1 on"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _add_account(actions: Any) -> None:
    verify = actions.add_parser("verify", help="show the safety number that you have with somebody, or compare it")
    verify.add_argument("to", metavar="WHO", help="phone number, handle or alias")
    verify.add_argument("number", nargs="*", metavar="NUMBER", help="the number that they see")
    log = actions.add_parser("log", help="whether the server shows everybody the same keys; ends 8 if it does not")
    log.add_argument("--forget", action="store_true", help="believe it again, and read its key log anew")
    status = actions.add_parser(
        "status", help="whether the server lets you in, what waits, what is unread; ends 9 if not"
    )
    for action in (verify, log, status):
        action.add_argument("--json", action="store_true", help="as a JSON object")
    knows = actions.add_parser("server-knows", help="every row that the server holds about you")
    knows.add_argument("--json", action="store_true", help="one JSON object a page")
    erase = actions.add_parser("erase-me", help="have the server remove your account, for ever")
    erase.add_argument("number", metavar="YOUR-NUMBER", help="your own number again: nobody gets it after you")
    erase.add_argument("--json", action="store_true", help="say in a JSON object that it is done")
    backup = actions.add_parser("backup", help="write the account into one file, which its password opens")
    backup.add_argument("path", metavar="PATH", type=Path, help="a new file")
    restore = actions.add_parser("restore", help="put an account back from such a file; it gets new keys")
    restore.add_argument("path", metavar="PATH", type=Path, help="the file")
    _add_keys(actions.add_parser("keys", help="your keys: show, rotate, revoke, change the password"))


def _add_program(actions: Any) -> None:
    config = actions.add_parser("config", help="every setting that can be configured, and where it is from")
    config.add_argument("--show", action="store_true", help="show them (the default)")
    config.add_argument("--json", action="store_true", help="one JSON object a line")
    completion = actions.add_parser("completion", help="a script that has a shell complete this command line")
    completion.add_argument("shell", metavar="SHELL", choices=["bash", "fish", "zsh"], help="bash, fish or zsh")
    completion.add_argument(
        "--name", type=_command, default="client.py", help="what you call the client (default: %(default)s)"
    )


def _command(text: str) -> str:
    if not re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.+-]*", text):
        message = "give the name of a command or an alias"
        raise argparse.ArgumentTypeError(message)
    return text


def _add_keys(keys: argparse.ArgumentParser) -> None:
    what = keys.add_subparsers(dest="keys", metavar="WHAT", title="what to do (default: show them)")
    show = what.add_parser("show", help="what there is to know of them")
    show.add_argument("--json", action="store_true", help="as a JSON object")
    rotate = what.add_parser("rotate", help="make new keys, which the old ones sign, and tell your contacts")
    rotate.add_argument("--json", action="store_true", help="show the new ones as a JSON object")
    password = what.add_parser("password", help="protect them by another password")
    password.add_argument("--new-password-file", metavar="PATH", help="its first line; - is standard input")
    revoke = what.add_parser("revoke", help="end an account for ever; needs no password, and works on any machine")
    revoke.add_argument("--certificate", required=True, metavar="PATH", help="the account's revocation certificate")
