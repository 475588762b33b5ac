"""What is said over the wire: limits, frame types, and these as bytes. When it may be said is in connection.py.

A frame is a 4-byte big-endian length and that many bytes of canonical JSON (canonical_json.py). Nothing here opens a
socket, reads a clock or knows a key; what must never be here is a decision about accounts, mailboxes or trust.
docs/PROTOCOL.md specifies all of it.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Sequence
from operator import methodcaller
from typing import Annotated, Any, Final, get_args

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from canonical_json import canonical, decode_all_strictly, decode_strictly
from errors import Code, RemoteProtocolError
from records import (
    MAX_RECORDS,
    Acceptance,
    DeviceId,
    EnvelopeId,
    Erasure,
    Hash,
    IdentityRecord,
    Integer,
    KeyId,
    LogEntry,
    LogProof,
    OneTimePrekey,
    Record,
    Revocation,
    Signature64,
    Signature256,
    SignedPrekey,
    UserId,
    is_user_id,
)

VERSIONS: Final = (1,)  # versions of the protocol that this program speaks
LENGTH_SIZE: Final = 4  # bytes before each frame
MAX_FRAME_BEFORE_LOGIN: Final = 64 * 1024  # bytes; an identity record takes 9 KiB
MAX_FRAME: Final = 256 * 1024  # bytes; the largest text, sealed, takes about 100 KiB
MAX_ENVELOPE: Final = MAX_FRAME - 256  # bytes: what a client sends after login must fit into a delivery
MAX_ENCRYPTED_KEY: Final = 16 * 1024  # bytes before base64; suite 1 takes 256
MAX_ENCRYPTED_CONTENT: Final = 180 * 1024  # bytes before base64, which makes a third more of it
MAX_ACKNOWLEDGED: Final = 256  # sequences in one acknowledge frame
MAX_ACCEPTED: Final = 256  # ids in one accepted frame
MAX_LOG_ENTRIES: Final = 1024  # entries of the key log in one reply, of some 150 bytes each
MAX_PREKEYS: Final = 50  # one-time prekeys in a frame, of some 2 KiB each
MAX_ROWS: Final = 128  # rows of the server's database in one reply, of at most some 900 bytes each
NONCE_SIZE: Final = 32  # bytes
ALL_DEVICES: Final = 0  # recipient_device of an envelope for every device of the account

Party = Annotated[str, Meta(max_length=32)]  # a user id in an envelope; see `decode_envelope`
Nonce = Annotated[bytes, Meta(min_length=NONCE_SIZE, max_length=NONCE_SIZE)]


class Frame(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """A typed unit on the wire."""


# ---------------------------------------------------------------- frames (docs/PROTOCOL.md section 3)


class Hello(Frame, frozen=True, kw_only=True, tag="hello"):
    """Client: opens the link."""

    nonce: Nonce
    versions: Annotated[list[Annotated[int, Meta(ge=1, le=255)]], Meta(min_length=1, max_length=16)]


class Welcome(Frame, frozen=True, kw_only=True, tag="welcome"):
    """Server: the version both will speak, and its half of the challenge."""

    nonce: Nonce
    version: Annotated[int, Meta(ge=1, le=255)]


class RequestCode(Frame, frozen=True, kw_only=True, tag="request_code"):
    """Client: asks for a verification code that will be good for this identity only."""

    identity_hash: Hash
    user_id: UserId


class CodeSent(Frame, frozen=True, kw_only=True, tag="code_sent"):
    """Server: the code is on its way, by another road than this link."""

    expires_in_s: Integer


class Register(Frame, frozen=True, kw_only=True, tag="register"):
    """Client: creates the account. The code is RSA-OAEP encrypted to the server for this record."""

    encrypted_code: Signature256
    record: IdentityRecord


class Registered(Frame, frozen=True, kw_only=True, tag="registered"):
    """Server: the account exists."""

    identity_hash: Hash


class Login(Frame, frozen=True, kw_only=True, tag="login"):
    """Client: proves that it holds the account's Ed25519 key (docs/PROTOCOL.md section 5.2)."""

    device_id: DeviceId
    identity_hash: Hash
    proof: Signature64
    user_id: UserId


class LoggedIn(Frame, frozen=True, kw_only=True, tag="logged_in"):
    """Server: from here on frames may come in any order."""

    log_key: Annotated[bytes, Meta(min_length=256, max_length=512)]  # of the key log: SubjectPublicKeyInfo, DER
    pending: Integer  # envelopes that wait in this device's mailbox
    retention_s: Integer  # after this many seconds the relay drops what was not fetched


def _base64_size(size: int) -> int:
    """Return how many characters so many bytes take."""
    return (size + 2) // 3 * 4


class Envelope(Frame, frozen=True, kw_only=True, dict=True):
    """The sealed unit that the relay carries; as a command it is the frame itself.

    What is sealed stays the base64 that it is on the wire: only who opens it needs the bytes.
    """

    encrypted_aes_key: Annotated[str, Meta(min_length=4, max_length=_base64_size(MAX_ENCRYPTED_KEY))]
    encrypted_content: Annotated[str, Meta(min_length=4, max_length=_base64_size(MAX_ENCRYPTED_CONTENT))]
    id: EnvelopeId
    recipient_device: Annotated[int, Meta(ge=ALL_DEVICES, le=2**16 - 1)]
    recipient_id: Party
    recipient_key: KeyId
    sender_device: DeviceId
    sender_id: Party
    sender_key: KeyId
    signature: Annotated[str, Meta(min_length=_base64_size(64), max_length=_base64_size(256))]
    suite: Annotated[int, Meta(ge=1, le=255)]
    timestamp: Integer  # seconds since 1970, by the sender's clock; shown, never trusted

    @functools.cached_property
    def encoded(self) -> bytes:
        """Its canonical JSON: for one that was received, the bytes that came."""
        return canonical(self)


class Message(Envelope, frozen=True, kw_only=True, tag="message"):
    """An envelope with something a person wrote."""


class Receipt(Envelope, frozen=True, kw_only=True, tag="receipt"):
    """An envelope with receipts; it does not count as the recipient's answer (stranger rule)."""


class Accepted(Frame, frozen=True, kw_only=True, tag="accepted"):
    """Server: the envelopes are safe, on the relay's disk or on that of each of their recipient's devices."""

    ids: Annotated[list[EnvelopeId], Meta(min_length=1, max_length=MAX_ACCEPTED)]
    timestamp: Integer  # seconds since 1970, when they were taken first


class Rejected(Frame, frozen=True, kw_only=True, tag="rejected"):
    """Server: the envelope was not taken."""

    code: Code
    id: EnvelopeId


class FetchIdentity(Frame, frozen=True, kw_only=True, tag="fetch_identity"):
    """Client: asks the key directory for somebody's identity."""

    epoch: Annotated[int, Meta(ge=0, le=2**31)]  # of the record that is pinned; 0: none is
    log_size: Integer  # of the head that the client knows; 0: none
    user_id: UserId


class Identity(Frame, frozen=True, kw_only=True, tag="identity"):
    """Server: the identity records from the asked epoch to the current one, and what ended the account."""

    proof: LogProof
    records: Annotated[list[IdentityRecord], Meta(min_length=1, max_length=MAX_RECORDS)]  # ascending
    revocations: Annotated[list[Revocation], Meta(max_length=1)]


class FetchLog(Frame, frozen=True, kw_only=True, tag="fetch_log"):
    """Client: asks for the next entries of the key log."""

    log_size: Integer  # of the head that the client knows; 0: none
    start: Integer  # the position of the first entry that it wants


class Log(Frame, frozen=True, kw_only=True, tag="log"):
    """Server: entries of the key log."""

    entries: Annotated[list[LogEntry], Meta(max_length=MAX_LOG_ENTRIES)]
    proof: LogProof  # its index is that of the account that asks; there are no inclusions
    start: Integer


class Rotate(Frame, frozen=True, kw_only=True, tag="rotate"):
    """Client: the account's next identity record, signed by the present one."""

    record: IdentityRecord


class Rotated(Frame, frozen=True, kw_only=True, tag="rotated"):
    """Server: the account has this identity from now on."""

    identity_hash: Hash


class FetchRows(Frame, frozen=True, kw_only=True, tag="fetch_rows"):
    """Client: asks what the server holds about this account, page by page; both fields are 0 at first."""

    after: Integer  # where in the table to go on, as the reply before says
    table: Annotated[int, Meta(ge=0, le=255)]


class Row(Record, frozen=True, kw_only=True):
    """A row that the server holds; long binary values are given by their size and hash."""

    columns: Annotated[dict[Annotated[str, Meta(max_length=64)], int | str], Meta(max_length=32)]
    table: Annotated[str, Meta(max_length=64)]


class Rows(Frame, frozen=True, kw_only=True, tag="rows"):
    """Server: a page of what it holds; the fields of the next question, or both 0 when this was the last."""

    after: Integer
    rows: Annotated[list[Row], Meta(max_length=MAX_ROWS)]
    table: Annotated[int, Meta(ge=0, le=255)]


class FetchAcceptance(Frame, frozen=True, kw_only=True, tag="fetch_acceptance"):
    """Client: asks for the server's word about an envelope that this account has sent."""

    id: EnvelopeId


class AcceptanceProof(Frame, frozen=True, kw_only=True, tag="acceptance"):
    """Server: its word."""

    acceptance: Acceptance


class Erase(Frame, frozen=True, kw_only=True, tag="erase"):
    """Client: the server shall keep nothing of this account."""

    erasure: Erasure


class Erased(Frame, frozen=True, kw_only=True, tag="erased"):
    """Server: so many rows are gone, and with them the account. A goodbye follows."""

    rows: Integer


class Revoke(Frame, frozen=True, kw_only=True, tag="revoke"):
    """Client, without a login: ends the account for ever."""

    certificate: Revocation


class Revoked(Frame, frozen=True, kw_only=True, tag="revoked"):
    """Server: the account with this identity has ended."""

    identity_hash: Hash


class PublishPrekeys(Frame, frozen=True, kw_only=True, tag="publish_prekeys"):
    """Client: prekeys of its device, if it has any to add; in either case it hears what the server holds."""

    one_time: Annotated[list[OneTimePrekey], Meta(max_length=MAX_PREKEYS)]
    signed: Annotated[list[SignedPrekey], Meta(max_length=1)]  # takes the place of the one before


class PrekeysHeld(Frame, frozen=True, kw_only=True, tag="prekeys_held"):
    """Server: the prekeys that it has of this device."""

    one_time: Integer  # how many
    signed: Integer  # number of the signed one; 0: there is none


class FetchPrekeys(Frame, frozen=True, kw_only=True, tag="fetch_prekeys"):
    """Client: asks for what it needs to begin a session with somebody's device."""

    device_id: DeviceId
    user_id: UserId


class Prekeys(Frame, frozen=True, kw_only=True, tag="prekeys"):
    """Server: a device's signed prekey, and a one-time prekey that nobody else gets, while there are any."""

    one_time: Annotated[list[OneTimePrekey], Meta(max_length=1)]
    signed: SignedPrekey


class Delivery(Frame, frozen=True, kw_only=True, tag="delivery"):
    """Server: pushes an envelope, byte for byte as its sender wrote it."""

    envelope: Raw
    sequence: Integer  # the place in the relay's order; what an acknowledge names


class Acknowledge(Frame, frozen=True, kw_only=True, tag="acknowledge"):
    """Client: these envelopes are stored here, the relay may forget them."""

    sequences: Annotated[list[Integer], Meta(min_length=1, max_length=MAX_ACKNOWLEDGED)]


class Refusal(Frame, frozen=True, kw_only=True, tag="refused"):
    """Server: a command other than an envelope was not carried out."""

    code: Code
    command: Annotated[str, Meta(max_length=32)]  # its type
    retry_after_s: Integer  # 0: time does not help
    subject: Annotated[str, Meta(max_length=32)]  # the user id it was about


class Ping(Frame, frozen=True, kw_only=True, tag="ping"):
    """Either: are you there?"""


class Pong(Frame, frozen=True, kw_only=True, tag="pong"):
    """Either: I am here."""


class Goodbye(Frame, frozen=True, kw_only=True, tag="goodbye"):
    """Either: the link ends, and why."""

    code: Code


AnyFrame = (
    Hello
    | Welcome
    | RequestCode
    | CodeSent
    | Register
    | Registered
    | Login
    | LoggedIn
    | Message
    | Receipt
    | Accepted
    | Rejected
    | FetchIdentity
    | Identity
    | FetchLog
    | Log
    | Rotate
    | Rotated
    | FetchRows
    | FetchAcceptance
    | AcceptanceProof
    | Rows
    | Erase
    | Erased
    | Revoke
    | Revoked
    | PublishPrekeys
    | PrekeysHeld
    | FetchPrekeys
    | Prekeys
    | Delivery
    | Acknowledge
    | Refusal
    | Ping
    | Pong
    | Goodbye
)


def frame_type(frame: Frame | type[Frame]) -> str:
    """Return the `type` by which a frame goes on the wire."""
    return str(frame.__struct_config__.tag)


# ---------------------------------------------------------------- frames as bytes (docs/PROTOCOL.md section 2)


def decode_envelope(data: bytes | Raw) -> Message | Receipt:
    """Parse the envelope inside a delivery.

    Raises:
        RemoteProtocolError: It is not exactly that (docs/PROTOCOL.md section 2.2).
    """
    frame = decode_frame(bytes(data))
    if not isinstance(frame, Message | Receipt):
        raise RemoteProtocolError(Code.MALFORMED, "not an envelope")
    if not (is_user_id(frame.sender_id) and is_user_id(frame.recipient_id)):  # the relay knows both and need not ask
        raise RemoteProtocolError(Code.MALFORMED, "not a user id")
    return frame


def decode_frame(data: bytes) -> Frame:
    """Parse a frame's bytes, without the length before them.

    Raises:
        RemoteProtocolError: They are not exactly one frame (docs/PROTOCOL.md section 2.2).
    """
    frame: Frame = decode_strictly(_by_end.get(_end(data), _any), data)
    if isinstance(frame, Envelope):
        frame.__dict__["encoded"] = data
    return frame


def decode_frames(bodies: list[bytes]) -> Iterable[Frame]:
    """Parse frames that came together, without the lengths before them, one after the other.

    Raises:
        RemoteProtocolError: When the first is reached that is not exactly one frame (docs/PROTOCOL.md section 2.2).
    """
    together = _decode_alike(bodies) if len(bodies) > 1 else None
    return map(decode_frame, bodies) if together is None else together


def _decode_alike(bodies: list[bytes]) -> list[Frame] | None:
    """Parse frames of one type in one go, as strictly; None when they are not, or one of them is bad."""
    end = _end(bodies[0])
    decoder = _lists_by_end.get(end)
    if decoder is None or not all(map(methodcaller("endswith", end), bodies)):
        return None
    try:
        frames = decode_all_strictly(decoder, bodies)
    except RemoteProtocolError:
        return None
    if isinstance(frames[0], Envelope):
        for frame, body in zip(frames, bodies, strict=True):
            frame.__dict__["encoded"] = body
    return frames


def _end(body: bytes) -> bytes:
    """Return how a frame's bytes end: with its type, as that is the last field of most frames.

    Known beforehand, it saves the decoder a first pass to find it.
    """
    return body[body.rfind(b":") :]


_any: Final = Decoder(AnyFrame)
_kinds: Final = {f':"{frame_type(kind)}"}}'.encode(): kind for kind in get_args(AnyFrame)}
_by_end: Final[dict[bytes, Decoder[Any]]] = {end: Decoder(kind) for end, kind in _kinds.items()}
_lists_by_end: Final[dict[bytes, Decoder[list[Any]]]] = {
    end: Decoder(list[kind])  # type: ignore[valid-type]
    for end, kind in _kinds.items()
}


class Deliveries(Struct, frozen=True):
    """What is written as so many `Delivery` frames, which are not made: most of what the relay writes is these.

    Attributes:
        sequences: Those of the envelopes, in their order.
        envelopes: As their senders wrote them.
    """

    sequences: Sequence[int]
    envelopes: Sequence[bytes]

    def pieces(self) -> list[bytes]:
        """Return what they are written in: the length and the canonical JSON of each, around the envelope's bytes."""
        pieces: list[bytes] = []
        for sequence, envelope in zip(self.sequences, self.envelopes, strict=True):
            after = b',"sequence":%d,"type":"delivery"}' % sequence
            pieces += (_prefix(len(_BEFORE) + len(envelope) + len(after)), _BEFORE, envelope, after)
        return pieces


_BEFORE: Final = b'{"envelope":'
_prefix: Final = struct.Struct(">I").pack


Outbound = Frame | Deliveries


def encode_frames(*frames: Outbound) -> bytes:
    """Write frames, each with its length before it, ready for the socket."""
    pieces: list[bytes] = []
    for frame in frames:
        if isinstance(frame, Deliveries):
            pieces += frame.pieces()
        else:
            body = canonical(frame)
            pieces += (_prefix(len(body)), body)
    return b"".join(pieces)
