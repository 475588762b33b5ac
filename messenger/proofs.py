"""What the server has to prove of own messages: that it has them, and whether they were fetched."""

from __future__ import annotations

from acceptance import verify_acceptance
from errors import CryptoError
from messenger.archive import Archive
from messenger.events import ON_THE_WAY, AcceptanceMissing, AcceptanceProven
from messenger.history import History
from messenger.keyring import Keyring
from messenger.line import Line, Output
from messenger.log_replica import LogReplica
from protocol import AcceptanceProof, FetchAcceptance, Refusal
from records import Acceptance


class Proofs:
    """Asks for proofs and checks them. Every change runs inside the caller's transaction."""

    def __init__(self, line: Line, keyring: Keyring, archive: Archive, history: History, log: LogReplica) -> None:
        """Work for an account."""
        self._line = line
        self._keyring = keyring
        self._archive = archive
        self._history = history
        self._log = log

    def ask(self, peer: str, output: Output) -> None:
        """Ask the server about the newest own message to somebody, if it says that it has taken it."""
        said, link = self._archive.last_sent(peer), self._line.link
        if link is None or not link.online or said is None or said.state not in ON_THE_WAY:
            return
        link.asked_proof = (peer, said.id)
        output.frames.append(FetchAcceptance(id=said.id))

    def took(self, frame: AcceptanceProof, output: Output, *, now: int) -> None:
        """Check a proof and keep it; one that does not hold is none."""
        asked, self._line.present.asked_proof = self._line.present.asked_proof, None
        if asked is None:
            return
        (peer, message_id), proof = asked, frame.acceptance
        try:
            self._check(proof, message_id)
        except CryptoError:
            output.events.append(AcceptanceMissing(peer, None))
            return
        self._history.note_proof(message_id, proof, now=now)
        output.events.append(AcceptanceProven(peer, message_id, proof.received_at, fetched=proof.fetched))

    def _check(self, proof: Acceptance, message_id: bytes) -> None:
        """Check that a proof is about an own message, and signed by the key of the server's log.

        Raises:
            CryptoError: It is not.
        """
        if (proof.sender_id, proof.id) != (self._keyring.account.user_id, message_id):
            raise CryptoError
        verify_acceptance(self._log.public_key, proof)

    def refused(self, frame: Refusal, output: Output) -> None:
        """Tell the person that the server proves nothing."""
        asked, self._line.present.asked_proof = self._line.present.asked_proof, None
        if asked is not None:
            output.events.append(AcceptanceMissing(asked[0], frame.code))
