"""Frames of every kind, and what Hypothesis makes of them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

import protocol
import records
from canonical_json import canonical
from crypto_utils import encode_base64
from errors import Code
from protocol import (
    AcceptanceProof,
    Accepted,
    Acknowledge,
    CodeSent,
    Deliveries,
    Delivery,
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
    Message,
    Ping,
    Pong,
    Prekeys,
    PrekeysHeld,
    PublishPrekeys,
    Receipt,
    Refusal,
    Register,
    Registered,
    Rejected,
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
from records import (
    Acceptance,
    Erasure,
    IdentityRecord,
    Inclusion,
    LogEntry,
    LogProof,
    OneTimePrekey,
    PrekeySignatures,
    Revocation,
    Signatures,
    SignedPrekey,
    TreeHead,
)

LOG_SPKI = bytes(294)
PROOF = LogProof(
    consistency=[bytes(32)],
    head=TreeHead(root=bytes(32), signature=bytes(256), size=3, timestamp=1),
    inclusions=[Inclusion(path=[bytes(32)], position=1)],
    index=bytes(256),
)
ACCEPTANCE = Acceptance(
    fetched=False, id=bytes(16), mark=bytes(32), received_at=1, sender_id="alice", signature=bytes(256), timestamp=2
)
ERASURE = Erasure(created=1, identity_hash=bytes(32), sig=bytes(64), user_id="alice", v=1)
RECORD = IdentityRecord(
    created=1, ed25519=bytes(32), epoch=1, mldsa65=bytes(1952), prev=b"", rsa=bytes(294),
    sigs=Signatures(ed25519=bytes(64), mldsa65=bytes(3309), prev=b"", rsa=bytes(256)),
    suites=[1], user_id="alice", v=1, x25519=bytes(32),
)  # fmt: skip
_PREKEY: dict[str, Any] = {"device_id": 1, "id": 1, "identity_hash": bytes(32), "key": bytes(1216), "user_id": "bob"}
ONE_TIME_PREKEY = OneTimePrekey(sig=bytes(64), **_PREKEY)
SIGNED_PREKEY = SignedPrekey(created=1, sigs=PrekeySignatures(ed25519=bytes(64), mldsa65=bytes(3309)), **_PREKEY)
ENVELOPE: dict[str, Any] = {
    "encrypted_aes_key": encode_base64(bytes(256)), "encrypted_content": encode_base64(bytes(272)),
    "id": bytes(16), "recipient_device": 0,
    "recipient_id": "bob", "recipient_key": bytes(16), "sender_device": 1, "sender_id": "alice",
    "sender_key": bytes(16), "signature": encode_base64(bytes(256)),
    "suite": 1, "timestamp": 1_700_000_000,
}  # fmt: skip
_FRAMES: list[Frame] = [
    Hello(nonce=bytes(32), versions=[1]),
    Welcome(nonce=bytes(32), version=1),
    RequestCode(identity_hash=bytes(32), user_id="alice"),
    CodeSent(expires_in_s=300),
    Register(encrypted_code=bytes(256), record=RECORD),
    Registered(identity_hash=bytes(32)),
    Login(device_id=1, identity_hash=bytes(32), proof=bytes(64), user_id="alice"),
    LoggedIn(log_key=LOG_SPKI, pending=2, retention_s=2_592_000),
    Message(**ENVELOPE),
    Receipt(**ENVELOPE),
    Accepted(ids=[bytes(16)], timestamp=1_700_000_000),
    Rejected(code=Code.MAILBOX_FULL, id=bytes(16)),
    FetchIdentity(epoch=0, log_size=0, user_id="bob"),
    FetchLog(log_size=0, start=2),
    FetchRows(after=0, table=0),
    Rows(after=2, rows=[Row(columns={"created_at": 1, "user_id": "alice"}, table="account")], table=6),
    FetchAcceptance(id=bytes(16)),
    AcceptanceProof(acceptance=ACCEPTANCE),
    Erase(erasure=ERASURE),
    Erased(rows=7),
    Log(entries=[LogEntry(index=bytes(32), kind="identity", value=bytes(32))], proof=PROOF, start=2),
    Identity(proof=PROOF, records=[RECORD], revocations=[]),
    Rotate(record=RECORD),
    Rotated(identity_hash=bytes(32)),
    Revoke(certificate=Revocation(created=1, identity_hash=bytes(32), sig=bytes(64), user_id="alice", v=1)),
    Revoked(identity_hash=bytes(32)),
    PublishPrekeys(one_time=[ONE_TIME_PREKEY], signed=[SIGNED_PREKEY]),
    PrekeysHeld(one_time=100, signed=1),
    FetchPrekeys(device_id=1, user_id="bob"),
    Prekeys(one_time=[ONE_TIME_PREKEY], signed=SIGNED_PREKEY),
    Delivery(envelope=msgspec.Raw(canonical(Message(**ENVELOPE))), sequence=1),
    Acknowledge(sequences=[1, 2, 3]),
    Refusal(code=Code.RATE_LIMITED, command="fetch_identity", retry_after_s=3, subject="bob"),
    Ping(),
    Pong(),
    Goodbye(code=Code.SHUTTING_DOWN),
]
FRAMES = {frame_type(frame): frame for frame in _FRAMES}
assert {type(frame) for frame in _FRAMES} == set(protocol.AnyFrame.__args__)

_integers = st.integers(0, records.MAX_INTEGER)
_ids = st.binary(min_size=16, max_size=16)
_users = st.from_regex(records.USER_ID_PATTERN, fullmatch=True)
envelopes = st.builds(
    lambda kind, **fields: kind(**fields),
    st.sampled_from([Message, Receipt]),
    encrypted_aes_key=st.binary(min_size=1, max_size=300).map(encode_base64),
    encrypted_content=st.binary(min_size=1, max_size=600).map(encode_base64),
    id=_ids,
    recipient_device=st.integers(0, 2**16 - 1),
    recipient_id=_users,
    recipient_key=_ids,
    sender_device=st.integers(1, 2**16 - 1),
    sender_id=_users,
    sender_key=_ids,
    signature=st.binary(min_size=64, max_size=256).map(encode_base64),
    suite=st.integers(1, 255),
    timestamp=_integers,
)
frames = st.one_of(
    st.sampled_from(_FRAMES),
    envelopes,
    st.builds(Acknowledge, sequences=st.lists(_integers, min_size=1, max_size=256)),
    st.builds(Rejected, code=st.sampled_from(Code), id=_ids),
    st.builds(FetchIdentity, epoch=st.integers(0, 2**31), log_size=_integers, user_id=_users),
    st.builds(FetchLog, log_size=_integers, start=_integers),
    st.builds(Delivery, envelope=envelopes.map(lambda envelope: msgspec.Raw(canonical(envelope))), sequence=_integers),
)


def deliveries_of(together: Deliveries) -> list[Delivery]:
    """Return the frames as which they are written."""
    pairs = zip(together.sequences, together.envelopes, strict=True)
    return [Delivery(envelope=msgspec.Raw(envelope), sequence=sequence) for sequence, envelope in pairs]
