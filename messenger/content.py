"""What travels inside an envelope: messages, receipts and notices, packed so that their size says little.

docs/PROTOCOL.md section 7. The relay cannot import this.
"""

from __future__ import annotations

import unicodedata
import zlib
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from canonical_json import canonical, decode_strictly
from errors import CryptoError, ProtocolError, UsageError
from key_log import EMPTY
from protocol import Frame
from records import EnvelopeId, Hash, Integer, Record, UserId

MAX_TEXT: Final = 64 * 1024  # bytes of UTF-8; more belongs into a file
MAX_RECEIPTS: Final = 100  # ids in one receipt
MAX_REACTION: Final = 16  # Unicode code points: the longest emoji has 10
MAX_LIFETIME_S: Final = 365 * 24 * 3600  # of a message that disappears
COMPRESS_ABOVE: Final = 512  # bytes of content; below, padding hides the gain
MAX_INFLATED: Final = 1024 * 1024  # bytes; a zlib stream can be a thousand times smaller than what it holds
BUCKETS: Final = (512, 1024, 2048, 4096)  # bytes; above, Padmé
HEADER_SIZE: Final = 5  # bytes: 1 for the form, 4 for the length
_PLAIN, _ZLIB = 0, 1
_SYMBOLS: Final = {"So", "Sm", "Sk", "Mn", "Me"}  # with variation selectors and skin tones
_JOINER: Final = "\N{ZERO WIDTH JOINER}"
_TAGS: Final = {chr(point) for point in range(0xE0020, 0xE0080)}  # of flags


class KnownLog(Record, frozen=True, kw_only=True):
    """The server's key log as the sender knows it: whoever is shown another one sees it here (section 4.7)."""

    root: Hash
    size: Integer  # entries


NO_LOG: Final = KnownLog(root=EMPTY[1], size=EMPTY[0])  # what everybody knows before their first login


Count = Annotated[int, Meta(ge=1, le=2**53 - 1)]  # of messages from this sender to this recipient
Lifetime = Annotated[int, Meta(ge=1, le=MAX_LIFETIME_S)]  # seconds


class Reference(Record, frozen=True, kw_only=True):
    """A text of the conversation."""

    author: UserId  # one of the two
    id: EnvelopeId


class Text(Frame, frozen=True, kw_only=True, tag_field="kind", tag="text"):
    """What a person wrote."""

    answers: Reference | UnsetType = UNSET
    counter: Count
    lifetime_s: Lifetime | UnsetType = UNSET  # from when it is read; at the sender's, from when it was accepted
    log: KnownLog
    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]


class Edit(Frame, frozen=True, kw_only=True, tag_field="kind", tag="edit"):
    """What the sender wrote, as they would have it now."""

    counter: Count
    id: EnvelopeId  # of the text
    log: KnownLog
    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]


class Deletion(Frame, frozen=True, kw_only=True, tag_field="kind", tag="delete"):
    """The sender takes back what they wrote."""

    counter: Count
    id: EnvelopeId  # of the text
    log: KnownLog


class Reaction(Frame, frozen=True, kw_only=True, tag_field="kind", tag="react"):
    """What the sender feels about a text, in place of what they felt before."""

    about: Reference
    counter: Count
    emoji: Annotated[str, Meta(max_length=MAX_REACTION)]  # empty: nothing any more
    log: KnownLog


class Timer(Frame, frozen=True, kw_only=True, tag_field="kind", tag="timer"):
    """How long the texts of this conversation live from now on, whoever writes them."""

    counter: Count
    lifetime_s: Annotated[int, Meta(ge=0, le=MAX_LIFETIME_S)]  # 0: for ever
    log: KnownLog
    version: Count  # one more than of the timer that it replaces


class ReceiptContent(Frame, frozen=True, kw_only=True, tag_field="kind", tag="receipt"):
    """What has become of messages at a device: stored, read, or not opened, so that they must be sent again."""

    counter: Integer  # how many messages its sender has written to its recipient, so that a withheld one shows
    ids: Annotated[list[EnvelopeId], Meta(min_length=1, max_length=MAX_RECEIPTS)]
    log: KnownLog
    state: Annotated[str, Meta(pattern=r"\A(delivered|read|unopened)\Z")]


class Notice(Frame, frozen=True, kw_only=True, tag_field="kind", tag="notice"):
    """Something has changed at its sender's, who says so by signing this."""

    # new keys, with which this is signed; that it comes from a backup; or that a person is typing
    about: Annotated[str, Meta(pattern=r"\A(identity|restored|typing)\Z")]
    counter: Integer  # as in a receipt
    log: KnownLog


Written = Text | Edit | Deletion | Reaction | Timer  # what messages hold, each of which counts
Content = Written | ReceiptContent | Notice

_contents: Final[msgspec.json.Decoder[Content]] = msgspec.json.Decoder(Content)


def check_unicode(text: str) -> None:
    """Refuse what was no UTF-8 when it was read.

    Raises:
        UsageError: It was not.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        message = f"{text!r} holds bytes that are not text"
        raise UsageError(message, hint="write UTF-8")


def check_text(text: str) -> None:
    """Refuse a text that cannot be sent.

    Raises:
        UsageError: It is empty, too long, or not Unicode.
    """
    check_unicode(text)
    size = len(text.encode())
    if not text.strip():
        message = "the message is empty"
        raise UsageError(message, hint="type some text")
    if size > MAX_TEXT:
        message = f"the message has {size:,} bytes, at most {MAX_TEXT:,} can be sent"
        raise UsageError(message, hint="send it in parts")


def is_reaction(emoji: str) -> bool:
    """Tell whether a text is an emoji, or empty: symbols, what modifies them, and what joins them."""
    return len(emoji) <= MAX_REACTION and all(
        letter == _JOINER or letter in _TAGS or unicodedata.category(letter) in _SYMBOLS for letter in emoji
    )


def check_reaction(emoji: str) -> None:
    """Refuse what is no reaction; the empty one takes a reaction back.

    Raises:
        UsageError: It is too long, or more than an emoji.
    """
    if not is_reaction(emoji):
        message = f"{emoji!r} is no reaction"
        raise UsageError(message, hint="give one emoji, such as \N{THUMBS UP SIGN}")


def padded_size(size: int) -> int:
    """Return the size in bytes to which so many are padded.

    Above the buckets it is Padmé, which adds at most 12 % (Nikitin et al., "Reducing Metadata Leakage from
    Encrypted Files and Communication with PURBs", PETS 2019, section 4.3).
    """
    for bucket in BUCKETS:
        if size <= bucket:
            return bucket
    exponent = size.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    mask = (1 << low_bits) - 1
    return (size + mask) & ~mask


def pack(content: Content) -> bytes:
    """Encode, compress where it helps, and pad (docs/PROTOCOL.md section 7.2)."""
    form, body = _PLAIN, canonical(content)
    if len(body) > COMPRESS_ABOVE:
        compressed = zlib.compress(body, 9)
        if len(compressed) < len(body):
            form, body = _ZLIB, compressed
    packed = bytes([form]) + len(body).to_bytes(4, "big") + body
    return packed.ljust(padded_size(len(packed)), b"\0")


def unpack(data: bytes) -> Content:
    """Undo `pack`, and take nothing that it would not have written.

    Raises:
        CryptoError: It is something else, or grows above 1 MiB.
    """
    if len(data) < HEADER_SIZE:
        raise CryptoError
    form, end = data[0], HEADER_SIZE + int.from_bytes(data[1:HEADER_SIZE], "big")
    if end > len(data) or len(data) != padded_size(end) or data[end:].strip(b"\0"):
        raise CryptoError
    body = data[HEADER_SIZE:end]
    if form == _ZLIB:
        body = _inflate(body)
    elif form != _PLAIN:
        raise CryptoError
    try:
        return decode_strictly(_contents, body)
    except ProtocolError as error:
        raise CryptoError from error


def _inflate(body: bytes) -> bytes:
    """Decompress at most 1 MiB, all of it or nothing."""
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(body, MAX_INFLATED)
    except zlib.error as error:
        raise CryptoError from error
    if not inflater.eof or inflater.unused_data:
        raise CryptoError
    return inflated
