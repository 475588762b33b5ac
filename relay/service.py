"""The relay: one method for each command of the protocol.

A command and the time go in, actions come out; they are carried out when the transaction around the call is on disk,
but for those that may go out early. One thread at a time calls (relay/writer.py), so nothing here takes a lock.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from msgspec.structs import replace

from crypto_utils import RSAPrivateKey, spki
from errors import Code, Refused
from protocol import (
    NONCE_SIZE,
    VERSIONS,
    AcceptanceProof,
    Acknowledge,
    CodeSent,
    Envelope,
    Erase,
    Erased,
    FetchAcceptance,
    FetchIdentity,
    FetchLog,
    FetchPrekeys,
    FetchRows,
    Frame,
    Goodbye,
    Hello,
    Identity,
    Log,
    LoggedIn,
    Login,
    PublishPrekeys,
    Refusal,
    Register,
    Registered,
    RequestCode,
    Revoke,
    Revoked,
    Rotate,
    Rotated,
    Row,
    Rows,
    Welcome,
    frame_type,
)
from relay.acceptances import Acceptances
from relay.accounts import Accounts, Challenge
from relay.actions import Action, HangUp, Link, Outgoing, SendCode
from relay.answers import Source
from relay.directory import Directory
from relay.limits import Limits, Now, origin
from relay.log_keeper import LogKeeper
from relay.mailboxes import EXPIRE_AT_ONCE, Mailboxes
from relay.prekeys import PrekeyShelf
from relay.presence import Online, Presence
from relay.storage import Address, Store

log = logging.getLogger("securechat.relay")


@dataclass(slots=True)
class Visitor:
    """What the relay knows of a link."""

    address: str  # where it comes from
    challenge: Challenge | None = None
    device: Address | None = None  # set by login
    log_size: int = 0  # of the last head of the key log that was sent over it

    @property
    def account(self) -> Address:
        """The device that is logged in; the protocol's states let no command pass before."""
        assert self.device is not None  # noqa: S101 - protocol.TRANSITIONS holds it
        return self.device


@dataclass(frozen=True, slots=True)
class Keys:
    """The server's private keys."""

    server: RSAPrivateKey  # clients know the server by it
    log: RSAPrivateKey  # signs the key log, and is never another


class Relay:
    """Routes sealed envelopes between devices."""

    def __init__(self, store: Store, keys: Keys, limits: Limits) -> None:
        """Serve what is in a store, under a server's keys."""
        self._limits = limits
        self._presence = Presence()
        self._directory = Directory(store, LogKeeper(store, keys.log), limits)
        self._prekeys = PrekeyShelf(store, limits)
        self._log_key = spki(keys.log.public_key())
        self._accounts = Accounts(store, self._directory, limits, keys.server)
        self._mailboxes = Mailboxes(store, self._directory, self._presence, limits)
        self._acceptances = Acceptances(store, self._mailboxes, keys.log, limits)
        self._visitors: dict[Link, Visitor] = {}
        self._commands: Final[dict[type[Frame], Callable[..., list[Action]]]] = {
            Hello: self._hello,
            RequestCode: self._request_code,
            Register: self._register,
            Login: self._log_in,
            Revoke: self._revoke,
            FetchIdentity: self._fetch_identity,
            FetchLog: self._fetch_log,
            Rotate: self._rotate,
            PublishPrekeys: self._publish_prekeys,
            FetchPrekeys: self._fetch_prekeys,
            FetchRows: self._fetch_rows,
            FetchAcceptance: self._fetch_acceptance,
            Erase: self._erase,
            Goodbye: self._goodbye,
        }

    # ------------------------------------------------------------ links

    def opened(self, link: Link, address: str) -> list[Action]:
        """Note a new link and where it comes from."""
        self._visitors[link] = Visitor(origin(address))
        return []

    def closed(self, link: Link) -> list[Action]:
        """Forget a link; what was pushed over it and not acknowledged stays in its mailbox."""
        visitor = self._visitors.pop(link, None)
        if visitor is not None and visitor.device is not None:
            self._mailboxes.leave(visitor.device)
        return []

    # ------------------------------------------------------------ groups

    def begin(self) -> None:
        """Begin a group: what is committed together."""
        self._mailboxes.begin()

    @property
    def awaits_since_s(self) -> float | None:
        """Since when an acknowledge is awaited that would save an envelope from being written; None: there is none."""
        return self._mailboxes.awaits_since_s

    def committed(self) -> list[Outgoing]:
        """Answer whatever waited for an acknowledge or a commit, now that everything is on disk."""
        return self._mailboxes.committed()

    def give_up(self) -> set[Link]:
        """Take back what was not committed; return the links that must be cut because they were told of it."""
        return self._mailboxes.give_up()

    # ------------------------------------------------------------ commands

    def receive(self, link: Link, frames: list[Frame], *, now: Now) -> Iterator[Action]:
        """Carry out the commands of a link, in their order; when one fails, what those before it want was given out."""
        for kind, group in groupby(frames, type):
            alike: list[Any] = list(group)
            visitor = self._visitors.get(link)
            if visitor is None:  # closed, or replaced, while its last frames were on the way here
                return
            if issubclass(kind, Envelope):
                yield from self._mailboxes.accept(alike, Source(link, visitor.account, now))
            elif kind is Acknowledge:
                sequences = [sequence for frame in alike for sequence in frame.sequences]
                yield from self._mailboxes.acknowledge(visitor.account, sequences)
            else:
                for frame in alike:
                    yield from self._carry_out(link, frame, now)

    def _carry_out(self, link: Link, frame: Any, now: Now) -> list[Action]:
        visitor = self._visitors.get(link)
        if visitor is None:  # the frame before this one has ended it
            return []
        try:
            return self._commands[type(frame)](link, visitor, frame, now)
        except Refused as refusal:
            log.info("refused %s: %s", type(frame).__name__, refusal.code)
            return [Outgoing(link, [_refusal(frame, refusal)])]

    # ------------------------------------------------------------ getting in

    def _hello(self, link: Link, visitor: Visitor, command: Hello, _now: Now) -> list[Action]:
        shared = set(command.versions) & set(VERSIONS)
        if not shared:
            return [HangUp(link, Code.UNSUPPORTED_VERSION)]
        visitor.challenge = Challenge(command.nonce, secrets.token_bytes(NONCE_SIZE), max(shared))
        return [Outgoing(link, [Welcome(nonce=visitor.challenge.server_nonce, version=max(shared))])]

    def _request_code(self, link: Link, visitor: Visitor, command: RequestCode, now: Now) -> list[Action]:
        code = self._accounts.issue_code(command, address=visitor.address, now=now)
        return [SendCode(link, command.user_id, code)]

    def code_delivered(self, link: Link, user_id: str, *, delivered: bool) -> list[Action]:
        """Answer a request for a code once it is known whether the code is on its way."""
        if link not in self._visitors:
            return []
        if delivered:
            return [Outgoing(link, [CodeSent(expires_in_s=self._limits.code_lifetime_s)])]
        refusal = Refusal(
            code=Code.CODE_UNDELIVERABLE, command=frame_type(RequestCode), retry_after_s=0, subject=user_id
        )
        return [Outgoing(link, [refusal])]

    def _register(self, link: Link, _visitor: Visitor, command: Register, now: Now) -> list[Action]:
        identity = self._accounts.register(command, now=now)
        return [Outgoing(link, [Registered(identity_hash=identity)])]

    def _log_in(self, link: Link, visitor: Visitor, command: Login, now: Now) -> list[Action]:
        assert visitor.challenge is not None  # noqa: S101 - protocol.TRANSITIONS holds it
        self._accounts.log_in(command, visitor.challenge, address=visitor.address, now=now)
        device, online = Address(command.user_id, command.device_id), Online(link, self._mailboxes.group)
        pending = self._mailboxes.count(device)
        pushed = self._mailboxes.enter(device, online)  # the store may fail; from here nothing can
        visitor.device = device
        actions: list[Action] = []
        replaced = self._presence.enter(device, online)
        if replaced is not None:
            del self._visitors[replaced]  # its frames are not heard any more
            actions.append(HangUp(replaced, Code.REPLACED))
        logged_in = LoggedIn(log_key=self._log_key, pending=pending, retention_s=self._limits.retention_s)
        actions.append(Outgoing(link, [logged_in]))
        return actions + pushed

    def _revoke(self, link: Link, visitor: Visitor, command: Revoke, now: Now) -> list[Action]:
        certificate = command.certificate
        self._accounts.revoke(certificate, address=visitor.address, now=now)
        self._prekeys.clear(certificate.user_id)
        ended = [online.link for online in self._presence.of_account(certificate.user_id)]
        hang_ups = self._let_go(ended, Code.ACCOUNT_REVOKED)
        return [Outgoing(link, [Revoked(identity_hash=certificate.identity_hash)]), *hang_ups]

    def _let_go(self, links: list[Link], why: Code) -> list[Action]:
        for each in links:
            self.closed(each)
        return [HangUp(each, why) for each in links]

    # ------------------------------------------------------------ logged in

    def _fetch_identity(self, link: Link, visitor: Visitor, command: FetchIdentity, now: Now) -> list[Action]:
        return self._with_head(link, visitor, command, self._directory.fetch, now)

    def _fetch_log(self, link: Link, visitor: Visitor, command: FetchLog, now: Now) -> list[Action]:
        return self._with_head(link, visitor, command, self._directory.fetch_log, now)

    @staticmethod
    def _with_head(
        link: Link, visitor: Visitor, command: FetchIdentity | FetchLog, answer: Callable[..., Identity | Log], now: Now
    ) -> list[Action]:
        """Answer with a proof from the head on that the client has by then: the last that goes to it over this link."""
        log_size = max(command.log_size, visitor.log_size)
        reply = answer(replace(command, log_size=log_size), asked_by=visitor.account.user_id, now=now)
        visitor.log_size = reply.proof.head.size
        return [Outgoing(link, [reply])]

    def _fetch_rows(self, link: Link, visitor: Visitor, command: FetchRows, now: Now) -> list[Action]:
        device = visitor.account
        rows, following = self._directory.rows(device.user_id, command, now=now)
        if (command.table, command.after) == (0, 0):  # what is held in memory and stands in no table
            waiting = self._presence.of(device).waiting
            rows.insert(
                0, Row(columns={"address": visitor.address, "unacknowledged": waiting}, table="link, in memory")
            )
        return [Outgoing(link, [Rows(after=following.after, rows=rows, table=following.table)])]

    def _fetch_acceptance(self, link: Link, visitor: Visitor, command: FetchAcceptance, now: Now) -> list[Action]:
        acceptance = self._acceptances.prove(visitor.account.user_id, command.id, now=now)
        return [Outgoing(link, [AcceptanceProof(acceptance=acceptance)])]

    def _erase(self, link: Link, visitor: Visitor, command: Erase, _now: Now) -> list[Action]:
        user_id = visitor.account.user_id
        gone = self._directory.erase(user_id, command.erasure)
        self._mailboxes.forget_quotas()
        ended = [online.link for online in self._presence.of_account(user_id)]
        return [Outgoing(link, [Erased(rows=gone)]), *self._let_go(ended, Code.ACCOUNT_ERASED)]

    def _publish_prekeys(self, link: Link, visitor: Visitor, command: PublishPrekeys, now: Now) -> list[Action]:
        return [Outgoing(link, [self._prekeys.publish(visitor.account, command, now=now)])]

    def _fetch_prekeys(self, link: Link, visitor: Visitor, command: FetchPrekeys, now: Now) -> list[Action]:
        user_id = visitor.account.user_id
        try:
            return [Outgoing(link, [self._prekeys.fetch(command, asked_by=user_id, now=now)])]
        except Refused as refused:
            if refused.code is Code.UNKNOWN_USER:  # which tells who exists, as a look-up does
                self._directory.charge(user_id, now=now)
            raise

    def _rotate(self, link: Link, visitor: Visitor, command: Rotate, now: Now) -> list[Action]:
        user_id = visitor.account.user_id
        before = self._directory.present_hash(user_id)
        identity = self._directory.rotate(user_id, command.record, now=now)
        if identity != before:  # and not the same command again
            self._prekeys.clear(user_id)
        return [Outgoing(link, [Rotated(identity_hash=identity)])]

    def _goodbye(self, link: Link, _visitor: Visitor, _command: Goodbye, _now: Now) -> list[Action]:
        return self.closed(link)

    # ------------------------------------------------------------ housekeeping

    def expire(self, *, now: Now) -> bool:
        """Drop a round of what is older than the retention; return whether there may be more."""
        return self._mailboxes.expire(now=now) == EXPIRE_AT_ONCE


def _refusal(frame: Any, refused: Refused) -> Frame:
    """Answer a command that was refused, by its type and subject."""
    match frame:
        case Register(record=about) | Rotate(record=about) | Revoke(certificate=about) | Erase(erasure=about):
            subject = about.user_id
        case FetchLog() | FetchRows() | FetchAcceptance() | PublishPrekeys():
            subject = ""
        case _:
            subject = frame.user_id
    return Refusal(
        code=refused.code,
        command=frame_type(frame),
        retry_after_s=refused.retry_after_s,
        subject=subject,
    )
