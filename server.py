"""The server: `python server.py`. Options, key files, the listening socket, the accept loop and the shutdown.

It joins the two halves that know nothing of each other: transport.py, which has sockets, and relay/, which has
rules. What must never be here is a rule.
"""

from __future__ import annotations

import preflight

preflight.check()

import argparse
import dataclasses
import datetime as dt
import errno
import gc
import logging
import queue
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import command_line
from crypto_utils import RSAPublicKey, fingerprint
from errors import Code, NetworkError, Refused, SecureChatError, UsageError
from link import Link, LinkLimits
from process_lock import ProcessLock
from protocol import MAX_FRAME, Frame, Outbound
from relay.actions import Action, Outgoing, SendCode
from relay.actions import Link as LinkKey
from relay.limits import DAY, Door, Limits, Now, changed
from relay.service import Keys, Relay
from relay.storage.sqlite import SqliteStore
from relay.writer import Job, Writer
from server_key import load_log_key, load_server_key, rotate_server_key, self_signed_certificate
from tls import server_context
from transport import Loop, turn_away

log = logging.getLogger("securechat.server")

IO_THREADS: Final = 1  # more gain nothing: one interpreter lock
ACCEPT_PAUSE_S: Final = 0.2  # when no descriptor is free; without it the loop would spin
SEND_CODE_TIMEOUT_S: Final = 10
MAX_QUEUED_CODES: Final = 100


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    return command_line.parse(make_parser(), arguments)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; the defaults are the limits' own."""
    limits = Limits()
    parser = command_line.parser("server", "SecureChat's server: it routes what it cannot read.")
    parser.add_argument("--host", default="localhost", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=12345, help="0 picks a free one (default: %(default)s)")
    parser.add_argument(
        "--send-code",
        metavar="COMMAND",
        help="brings verification codes to people: gets the number as its argument and the code on"
        " its standard input (default: codes are shown here)",
    )
    parser.add_argument(
        "--max-users", type=_count, default=limits.max_users, metavar="N", help="accounts (default: no limit)"
    )
    parser.add_argument(
        "--stranger-pending",
        type=_count,
        default=limits.stranger_pending,
        metavar="N",
        help="messages that may wait from someone the recipient never wrote to (default: %(default)s)",
    )
    parser.add_argument(
        "--mailbox-limit",
        type=_count,
        default=limits.mailbox_limit,
        metavar="N",
        help="messages that may wait for one device (default: %(default)s)",
    )
    parser.add_argument(
        "--retention-days",
        type=_count,
        default=limits.retention_s // DAY,
        metavar="N",
        help="days after which a message that nobody fetched is dropped (default: %(default)s)",
    )
    parser.add_argument(
        "--limit",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set any other limit of docs/PROTOCOL.md section 10 that is the server's own; may be repeated",
    )
    parser.add_argument(
        "--rotate-key",
        action="store_true",
        help="make another key for the server, signed by the present one: clients that know that one follow",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say more on standard error; never who writes to whom"
    )
    return parser


def _port(text: str) -> int:
    return _number(text, 0, 65535)


def _count(text: str) -> int:
    return _number(text, 1, 10**9)


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        message = f"must be a number from {least} to {most}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _setting(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    known = {each.name for each in (*dataclasses.fields(Limits), *dataclasses.fields(LinkLimits))}
    if name not in known:
        message = f"no such limit: {name} (there are: {', '.join(sorted(known))})"
        raise argparse.ArgumentTypeError(message)
    return name, value


def choose_limits(arguments: argparse.Namespace) -> tuple[Limits, LinkLimits]:
    """Return the limits of the relay and of each link.

    Raises:
        UsageError: A value cannot be.
    """
    named = Limits(
        max_users=arguments.max_users,
        stranger_pending=arguments.stranger_pending,
        mailbox_limit=arguments.mailbox_limit,
        retention_s=arguments.retention_days * DAY,
    )
    limits, link_limits = changed(named, dict(arguments.limit)), changed(LinkLimits(), dict(arguments.limit))
    if limits.delivery_window_size + MAX_FRAME > link_limits.outbox_size:
        raise UsageError("delivery_window_size does not fit into outbox_size", hint="leave 256 KiB between them")
    return limits, link_limits


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Raises:
        NetworkError: The address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        chosen = min(family, key=lambda entry: entry[0] != socket.AF_INET)  # IPv4 first: what `localhost` means to most
        listener = socket.create_server(chosen[4][:2], family=chosen[0], backlog=1024)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while attempting")[0]  # Python adds the address
        message = f"cannot listen on {host}:{port} ({reason.lower()})"
        raise NetworkError(
            message,
            hint=f"give --host a name or address of this machine; if another server has port {port}, choose another",
        ) from error
    listener.setblocking(False)
    return listener


def tell_time() -> Now:
    """Read both clocks for the relay."""
    return Now(int(time.time()), time.monotonic())


class CodeSender:
    """Brings verification codes to people, in a thread of its own: a command may take seconds."""

    def __init__(self, command: str | None, done: Callable[[SendCode, bool], None]) -> None:
        """Prepare the thread.

        Args:
            command: What brings a code; None shows it on this terminal.
            done: Called with each code and whether it is on its way.
        """
        self._command = shlex.split(command) if command else None
        self._done = done
        self._queue: queue.Queue[SendCode | None] = queue.Queue(MAX_QUEUED_CODES)
        self._thread = threading.Thread(target=self._run, name="codes")

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Send the code that is under way, and end; whoever waits for another asks again."""
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._queue.put(None)
        self._thread.join()

    def submit(self, action: SendCode) -> None:
        """Queue a code; does not wait.

        Raises:
            queue.Full: There are too many already.
        """
        self._queue.put_nowait(action)

    def _run(self) -> None:
        for action in iter(self._queue.get, None):
            self._done(action, self._send(action))

    def _send(self, action: SendCode) -> bool:
        if self._command is None:
            print(f"Verification code for {action.user_id}: {action.code}", flush=True)
            return True
        try:
            subprocess.run(  # noqa: S603 - the operator's own command, without a shell
                [*self._command, action.user_id],
                input=action.code.encode(),
                stdout=subprocess.DEVNULL,
                timeout=SEND_CODE_TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            log.error("the --send-code command failed (%s)", type(error).__name__)  # noqa: TRY400 - its text may hold the number
            return False
        return True


class Server:
    """Joins links and relay: frames go to the relay, actions come back to the links."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Open everything but the door.

        Raises:
            SecureChatError: A file or the address cannot be had.
        """
        home: Path = arguments.home
        limits, link_limits = choose_limits(arguments)
        self._lock = ProcessLock(home / "data" / "relay.lock", "this server's folder")
        self.key = (rotate_server_key if arguments.rotate_key else load_server_key)(home / "keys")
        certificate = self_signed_certificate(self.key, dt.datetime.now(dt.UTC))
        self._context = server_context(home / "keys" / "server_private_key.pem", certificate)
        self._store = SqliteStore(home / "data" / "relay.db")
        with self._store.reading():
            log_key = load_log_key(home / "keys", may_make=self._store.log.size == 0)
            self._relay = Relay(self._store, Keys(self.key.private, log_key), limits)
        self._writer = Writer(self._relay, self._store, tell_time, self._perform, self._abandon)
        self._codes = CodeSender(arguments.send_code, self._code_delivered)
        self._door = Door(limits)
        self._loops = [Loop(self, name=f"io-{number}", limits=link_limits) for number in range(IO_THREADS)]

    def start(self) -> None:
        """Start the threads."""
        self._codes.start()
        self._writer.start()
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """Finish what was begun, say goodbye, and let go of the files."""
        self._codes.stop()
        self._writer.stop()
        for loop in self._loops:
            loop.stop()
        self._store.close()
        self._lock.release()

    def admit(self, sock: socket.socket, address: str) -> None:
        """Give a new connection to the I/O thread that has the fewest, unless there are too many."""
        try:
            settled = self._door.enter(address)
        except Refused as refusal:
            log.info("turned away: %s", refusal)
            turn_away(sock)
            return
        min(self._loops, key=lambda loop: loop.links).serve(sock, self._context, address=address, settled=settled)

    # ------------------------------------------------------------ called by the I/O threads

    def opened(self, link: Link) -> None:
        """Tell the relay of a new link."""
        self._writer.submit(Job(link, lambda _now: self._relay.opened(link, link.address)))

    def received(self, link: Link, frames: list[Frame]) -> None:
        """Hand the relay its commands."""
        self._writer.submit(Job(link, lambda now: self._relay.receive(link, frames, now=now)))

    def rest(self) -> None:
        """Have it all done."""
        self._writer.work()

    def closed(self, link: Link, reason: SecureChatError | None) -> None:
        """Tell the relay that a link has ended."""
        log.info("link closed: %s", reason or "orderly")
        self._writer.submit(Job(link, lambda _now: self._relay.closed(link)))

    # ------------------------------------------------------------ called by whoever works on the relay

    def _perform(self, actions: list[Action]) -> None:
        """Carry out what the relay wants."""
        frames: defaultdict[LinkKey, list[Outbound]] = defaultdict(list)
        for action in actions:
            if isinstance(action, Outgoing):
                frames[action.link] += action.frames
            elif isinstance(action, SendCode):
                self._send_code(action)
            elif isinstance(action.link, Link):
                action.link.send(*frames.pop(action.link, ()))
                action.link.close(action.code)
        for link, queued in frames.items():
            if isinstance(link, Link):
                link.send(*queued)

    def _send_code(self, action: SendCode) -> None:
        """Have a code brought, or refuse at once: whoever works on the relay must not wait."""
        try:
            self._codes.submit(action)
        except queue.Full:
            self._perform(self._relay.code_delivered(action.link, action.user_id, delivered=False))

    def _abandon(self, links: set[LinkKey]) -> None:
        """Cut what a failed commit was about; the clients connect again and repeat what was not answered."""
        for link in links:
            if isinstance(link, Link):
                link.close(Code.INTERNAL)

    # ------------------------------------------------------------ called by the thread that sends codes

    def _code_delivered(self, action: SendCode, delivered: bool) -> None:  # noqa: FBT001 - passed on
        self._writer.submit(
            Job(
                action.link,
                lambda _now: self._relay.code_delivered(action.link, action.user_id, delivered=delivered),
            )
        )
        self._writer.work()


def accept_connections(listener: socket.socket, wake: socket.socket, server: Server) -> None:
    """Take in connections until something is written to `wake`.

    Handshakes are not done here: one slow client would keep the others out.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if wake in ready:
                return
            try:
                sock, address = listener.accept()
            except (BlockingIOError, ConnectionError):
                continue
            except OSError as error:
                log.error("cannot accept a connection (%s)", errno.errorcode.get(error.errno or 0, "unknown"))  # noqa: TRY400
                time.sleep(ACCEPT_PAUSE_S)
                continue
            server.admit(sock, str(address[0]))


def serve(arguments: argparse.Namespace) -> None:
    """Run the server until SIGTERM or Ctrl-C."""
    wake, signalled = socket.socketpair()
    with wake, signalled:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # the byte that set_wakeup_fd writes ends the accept loop
        signalled.setblocking(False)
        signal.set_wakeup_fd(signalled.fileno())
        with listen(arguments.host, arguments.port) as listener:
            server = Server(arguments)
            server.start()
            try:
                if arguments.rotate_key:
                    print(
                        "The server has a new key, signed with the old one. Back up keys/ again; newcomers need this:"
                    )
                announce(arguments.host, listener.getsockname()[1], server.key.public)
                accept_connections(listener, wake, server)
            finally:
                listener.close()
                server.stop()
                signal.set_wakeup_fd(-1)


def announce(host: str, port: int, key: RSAPublicKey) -> None:
    """Say where the server is, and the line that a client needs to know it by."""
    print(f"Server listening on {host}:{port}")
    reachable = socket.gethostname() if host in {"", "0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
    bracketed = f"[{reachable}]" if ":" in reachable else reachable
    print(f"securechat://{fingerprint(key)}@{bracketed}:{port}", flush=True)


def main(arguments: list[str]) -> int:
    """Run the program and return its exit code."""
    options = parse_arguments(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # frames live for milliseconds and hold no cycles: looking for some costs a tenth
    return command_line.run(lambda: serve(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
