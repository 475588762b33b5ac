"""Whether the server shows everybody the same keys: the client's half of the key log (docs/PROTOCOL.md section 4.7).

Three things are held against each other: the log as it was read, what the directory answers, and what contacts say of
the log inside their messages. The server that contradicts itself is not believed any more. A contact that contradicts
it is reported, and no more than that: it may be the contact who lies.
"""

from __future__ import annotations

from typing import Final

from errors import CryptoError
from identity import identity_hash, verify_chain
from key_log import ERASURE, IDENTITY, State, entry_for, verify_entries, verify_growth, verify_index
from messenger.contacts import Contacts, Trust
from messenger.content import KnownLog
from messenger.events import ContactErased, LogAlarm, LogDisagrees, LogWithheld
from messenger.identities import Identities
from messenger.keyring import Keyring
from messenger.line import Line, Output
from messenger.log_replica import LogReplica
from protocol import FetchLog, Identity, Log, LoggedIn
from records import IdentityRecord, LogEntry, LogProof

MAX_ENTRIES: Final = 2_000_000  # some 400 MB here; a server that makes up more would fill this disk
OVERDUE_S: Final = 600  # after which a server that has not shown all of its log withholds it
READ_EVERY_S: Final = 3600  # on a link that lasts; what is looked up meanwhile shows when the log has grown

NOT_THE_KEY = "its key log is signed by another key than before"
NOT_GROWN = "its key log is not the one that was known, or is not signed"
NOT_IN_LOG = "it hands out a key that is not in its key log, or not the latest there"
NOT_COMPLETE = "it does not show all of its key log"
NOT_OURS = "its key log holds a key of yours that you did not make"
TOO_LONG = "its key log is too long to be true"
NOT_LISTED = "its key log does not hold your key"


class LogWatch:
    """Reads the key log, and looks whether everything fits. Every change runs inside the caller's transaction."""

    def __init__(
        self, line: Line, keyring: Keyring, contacts: Contacts, identities: Identities, log: LogReplica
    ) -> None:
        """Work for an account."""
        self._line = line
        self._keyring = keyring
        self._contacts = contacts
        self._identities = identities
        self._log = log
        self._index: bytes | None = None  # this account's in the log
        self._heard: dict[str, KnownLog] = {}  # what contacts have said last: mostly they say it again
        self._own: list[IdentityRecord] = []  # this account's identities, from the first on, while they are fetched

    # ------------------------------------------------------------ reading

    def logged_in(self, frame: LoggedIn, output: Output, *, now: int) -> None:
        """Read what is new in the log, if it is the one that was known."""
        self._line.present.log_key = frame.log_key
        self._own.clear()  # what an earlier link left half done
        if self._log.key is None:
            self._log.begin(frame.log_key)
        self._log.add_own(self._present_identities())
        if self._log.key != frame.log_key:
            self._alarm(NOT_THE_KEY, output)
        self._read_on(output, now=now)

    def forget(self, output: Output, *, now: int) -> None:
        """Believe the server again, and begin with its log anew: the person's decision."""
        self._log.forget()
        self._heard.clear()
        link = self._line.link
        if link is not None and link.online:
            self._log.begin(link.log_key)
            link.reply_is_stale = link.reading_log
            self._read_on(output, now=now)

    def tick(self, output: Output, *, now: int) -> None:
        """Read on when it is time to."""
        link = self._line.present
        if link.log_overdue_at is not None and now >= link.log_overdue_at:
            link.log_overdue_at = now + READ_EVERY_S
            output.events.append(LogWithheld())
        if link.online and link.read_log_at is not None and now >= link.read_log_at:
            self._read_on(output, now=now)

    def put_off(self, seconds: int, *, now: int) -> None:
        """Read on later: the server says that it was asked too often."""
        link = self._line.present
        link.reading_log = link.reply_is_stale = False
        link.read_log_at = now + min(seconds, READ_EVERY_S)

    def _read_on(self, output: Output, *, now: int) -> None:
        link = self._line.link
        if link is None or not link.online or link.reading_log or self._log.alarm is not None:
            return
        if link.behind:  # the log does not hold our present identity yet
            link.read_log_at = now
            return
        link.reading_log, link.read_log_at = True, now + READ_EVERY_S
        link.log_overdue_at = link.log_overdue_at or now + OVERDUE_S
        self._log.note_asked()
        output.frames.append(FetchLog(log_size=self._log.known[0], start=self._log.size))

    def took(self, frame: Log, output: Output, *, now: int) -> None:
        """Take in entries of the log."""
        link = self._line.present
        was_asked, is_stale = link.reading_log, link.reply_is_stale
        link.reading_log = link.reply_is_stale = False
        if not was_asked or self._log.alarm is not None:
            return
        if is_stale:  # it was asked for before the log was begun anew
            self._read_on(output, now=now)
            return
        try:
            if frame.start != self._log.size:
                raise CryptoError  # noqa: TRY301 - as all that follows
            size, root = self._grown(frame.proof)
            self._index = verify_index(self._log.public_key, self._keyring.account.user_id, frame.proof.index)
        except CryptoError:
            self._alarm(NOT_GROWN, output)
            return
        if size > MAX_ENTRIES:
            self._alarm(TOO_LONG, output)
            return
        self._log.append(frame.entries)
        if self._log.size < size and frame.entries:
            self._read_on(output, now=now)
        elif self._log.size != size or self._log.root(size) != root:
            self._alarm(NOT_COMPLETE, output)
        else:
            self._check(output, now=now)

    def _grown(self, proof: LogProof) -> State:
        state = verify_growth(self._log.public_key, self._log.known, proof)
        self._log.remember(proof.head)
        return state

    # ------------------------------------------------------------ what the directory answers

    def check_answer(self, frame: Identity, output: Output, *, now: int) -> bytes:
        """Check that the log holds what the directory hands out, and nothing later; return the account's index.

        Raises:
            CryptoError: It does not; the server is not believed any more.
        """
        user_id = frame.records[-1].user_id
        try:
            if self._log.alarm is not None:
                raise CryptoError  # noqa: TRY301 - as all that follows
            state = self._grown(frame.proof)
            index = verify_index(self._log.public_key, user_id, frame.proof.index)
            entries = [entry_for(index, event) for event in (*frame.records, *frame.revocations)]
            verify_entries(state, entries, frame.proof.inclusions)
            if self._contacts.log_index(user_id) not in {None, index}:
                raise CryptoError  # noqa: TRY301 - there is one for each account
            self._check_latest(index, frame)
        except CryptoError:
            self._alarm(NOT_IN_LOG, output)
            raise
        if self._log.size < state[0]:
            self._read_on(output, now=now)
        return index

    def _check_latest(self, index: bytes, frame: Identity) -> None:
        """Check that the log holds nothing after what was handed out, unless that is one page of more."""
        newest = max(inclusion.position for inclusion in frame.proof.inclusions)
        if not self._identities.is_page(frame) and self._log.entries_of(index, after=newest):
            raise CryptoError

    # ------------------------------------------------------------ what the log says

    def _check(self, output: Output, *, now: int) -> None:
        """Look at what was read, now that all of it has come."""
        self._line.present.log_overdue_at = None
        fresh = {entry.index for entry in self._log.take_unchecked()}
        for index, user_id in self._contacts.by_log_index().items():
            for latest in self._log.entries_of(index)[-1:]:
                self._compare(user_id, latest, output, is_news=index in fresh)
        for user_id in self._contacts.without_log_index():
            self._identities.look_up(user_id, output)
        self._check_own(output)
        for peer, claim, asked in self._log.open_claims():
            if claim[0] <= self._log.size or asked:
                self._settle(peer, claim, output)
            else:
                self._read_on(output, now=now)

    def _compare(self, user_id: str, latest: LogEntry, output: Output, *, is_news: bool) -> None:
        """See whether the latest of a contact is what is pinned; until that is clear nothing is sealed for them."""
        contact = self._contacts.find(user_id)
        if contact is None or contact.trust in {Trust.CHANGED, Trust.REVOKED}:
            return
        if latest.kind == ERASURE:
            if is_news:
                output.events.append(ContactErased(user_id))
        elif latest.value != contact.identity_hash and not self._contacts.was_declined(user_id, latest.value):
            self._identities.doubt(user_id, output)

    def _present_identities(self) -> list[bytes]:
        """Return the hash of the present identity, and of the next, which the server may have by now."""
        accounts = (self._keyring.account, self._keyring.following)
        return [account.identity_hash for account in accounts if account is not None]

    def _check_own(self, output: Output) -> None:
        """See whether the log holds this account's identities, and none that it did not make."""
        assert self._index is not None  # noqa: S101 - it came with the entries
        me, own = self._keyring.account, self._present_identities()
        self._log.add_own(own)
        listed = self._log.entries_of(self._index)
        values = [entry.value for entry in listed]
        if not set(own) & set(values):
            self._alarm(NOT_LISTED, output)
        elif values[-1] not in own or len(set(values)) < len(values):  # the latest is what others are handed
            self._alarm(NOT_OURS, output)
        elif all(entry.kind == IDENTITY and self._log.is_own(entry.value) for entry in listed):
            self._own.clear()
        elif self._identities.awaits(me.user_id):
            pass
        elif not self._own and me.record.epoch > 1:  # identities that this device never saw?
            self._identities.look_up(me.user_id, output, epoch=1)
        else:
            self._alarm(NOT_OURS, output)

    def learn_own(self, frame: Identity, output: Output) -> None:
        """Take in this account's former identities: those that lead to the present one are its own.

        Raises:
            CryptoError: They do not follow each other.
        """
        follows = bool(self._own)
        self._own += frame.records[1:] if follows else frame.records
        hashes = [identity_hash(record) for record in self._own]
        try:
            verify_chain(self._own)
        except CryptoError:
            self._own.clear()
            raise
        if self._keyring.account.identity_hash in hashes:
            self._log.add_own(hashes[: hashes.index(self._keyring.account.identity_hash) + 1])
            self._check_own(output)
        elif self._identities.is_page(frame) and self._own[-1].epoch < self._keyring.account.record.epoch:
            self._identities.look_up(self._keyring.account.user_id, output, epoch=self._own[-1].epoch)
        else:
            self._alarm(NOT_OURS, output)

    def nothing_to_learn(self, output: Output) -> None:
        """Take note that the server does not show this account's own identities."""
        self._alarm(NOT_OURS, output)

    # ------------------------------------------------------------ what contacts say

    def forget_step(self) -> None:
        """Listen anew, after a step that has failed: what contacts said in it is not on disk."""
        self._heard.clear()

    def heard(self, peer: str, log: KnownLog, output: Output, *, now: int) -> None:
        """Compare the log that a contact knows with ours."""
        if self._heard.get(peer) == log:
            return
        self._heard[peer] = log
        if log.size > self._log.size:
            self._log.claim(peer, (log.size, log.root))
            self._read_on(output, now=now)
        else:
            self._settle(peer, (log.size, log.root), output)

    def _settle(self, peer: str, claim: State, output: Output) -> None:
        """Note whether a contact knows the same log; what is larger than ours was not shown to us."""
        size, root = claim
        agrees = size <= self._log.size and self._log.root(size) == root
        if self._log.settle_claim(peer, claim, agrees=agrees) and not agrees:
            output.events.append(LogDisagrees(peer))

    def _alarm(self, reason: str, output: Output) -> None:
        if self._log.raise_alarm(reason):
            output.events.append(LogAlarm(reason))
