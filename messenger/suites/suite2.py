"""Suite 2: forward secret and post-quantum (docs/PROTOCOL.md section 11.4).

Each message has a key of its own from the ratchet of its session; AES-256-GCM binds everything that stands outside;
Ed25519 signs all of it.
"""

from __future__ import annotations

import secrets
import struct
from typing import Final, NamedTuple

import msgspec

from canonical_json import without
from crypto_utils import Label, decode_base64, encode_base64, sign, verify
from errors import CryptoError
from identity import key_id, signing_key
from key_agreement import CIPHERTEXT_SIZE, GCM_KEY_SIZE, GCM_NONCE_SIZE, PUBLIC_SIZE, decrypt, derive, encrypt
from messenger.account import Account
from messenger.suites import handshake as handshakes
from messenger.suites import ratchet
from messenger.suites.draft import Draft
from messenger.suites.errors import NoSessionError, UnopenedError
from messenger.suites.handshake import Handshake, Party
from messenger.suites.own_prekeys import OwnPrekeys
from messenger.suites.ratchet import Header
from messenger.suites.sessions import Session, Sessions
from protocol import Envelope
from records import ED25519_SIGNATURE_SIZE, MLDSA65_SIGNATURE_SIZE, IdentityRecord

SALT_SIZE: Final = 16  # bytes: two messages have two keys, whatever becomes of the ratchet's state
HEADER: Final = struct.Struct(f">16s{SALT_SIZE}s{PUBLIC_SIZE}s{CIPHERTEXT_SIZE}sII")
_HANDSHAKE: Final = struct.Struct(f">32sII{CIPHERTEXT_SIZE}s{MLDSA65_SIGNATURE_SIZE}s")


class Suite2:
    """X25519, ML-KEM-768, AES-256-GCM, Ed25519, ML-DSA-65."""

    number = 2

    def __init__(self, sessions: Sessions, prekeys: OwnPrekeys) -> None:
        """Work on a device's sessions and prekeys; every change runs inside the caller's transaction."""
        self._sessions = sessions
        self._prekeys = prekeys

    def encrypt(self, sender: Account, recipient: IdentityRecord, draft: Draft, content: bytes) -> Envelope:
        """Seal and sign for the device of the session that was received on last.

        Raises:
            NoSessionError: There is none.
        """
        session = self._sessions.to_send_on(recipient.user_id, sender.key_id, key_id(recipient))
        if session is None:
            raise NoSessionError
        state, header, key = ratchet.seal(session.state)
        salt = secrets.token_bytes(SALT_SIZE)
        self._sessions.keep_sent(session.id, state)
        routed = msgspec.structs.replace(
            draft.routed(sender, recipient, suite=self.number, device_id=session.device_id),
            encrypted_aes_key=encode_base64(_pack(session, salt, header)),
        )
        ciphertext = encrypt(*_message_key(key, salt), content, _associated(routed))
        sealed = msgspec.structs.replace(routed, encrypted_content=encode_base64(ciphertext))
        signature = sign(sender.keys.ed25519, Label.ENVELOPE_2, without(sealed, "signature"))
        return msgspec.structs.replace(sealed, signature=encode_base64(signature))

    def decrypt(self, recipient: Account, sender: IdentityRecord, envelope: Envelope, *, now: int) -> bytes:
        """Verify, then open; sessions and keys change only if it opens.

        Raises:
            UnopenedError: The signature holds, and there is no key to open it with.
            CryptoError: Something else about it is not right.
        """
        data, signature = decode_base64(envelope.encrypted_aes_key), decode_base64(envelope.signature)
        if len(signature) != ED25519_SIGNATURE_SIZE or len(data) not in {HEADER.size, HEADER.size + _HANDSHAKE.size}:
            raise CryptoError
        verify(signing_key(sender), Label.ENVELOPE_2, without(envelope, "signature"), signature)
        parts = _unpack(data)
        session = self._sessions.find(parts.session_id)
        if session is not None and _ends(session) != _between(envelope):  # somebody names a session of others
            raise CryptoError
        try:
            if session is not None:
                return self._go_on(session, envelope, parts, now=now)
            return self._begin(recipient, sender, envelope, parts, now=now)
        except CryptoError as error:
            self._sessions.send_no_more(envelope.sender_id)
            raise UnopenedError from error

    def _go_on(self, session: Session, envelope: Envelope, parts: Parts, *, now: int) -> bytes:
        """Open a message of a session that there is."""
        late = self._sessions.skipped_key(session.id, parts.header)
        if late is not None:
            content = _open(late, parts, envelope)
            self._sessions.use_skipped(session.id, parts.header)
            return content
        opened = ratchet.open_with(session.state, parts.header)
        content = _open(opened.key, parts, envelope)
        self._sessions.keep_received(session.id, opened.state, opened.skipped, now=now)
        return content

    def _begin(
        self, recipient: Account, sender: IdentityRecord, envelope: Envelope, parts: Parts, *, now: int
    ) -> bytes:
        """Open the first message of a session that the sender has begun."""
        begun = parts.handshake
        if begun is None or self._sessions.was_ended(parts.session_id):
            raise CryptoError
        prekeys = self._prekeys.find(begun.signed_prekey, begun.one_time_prekey)
        if prekeys is None:
            raise CryptoError
        agreed = handshakes.answer(recipient, Party(sender, envelope.sender_device), prekeys, begun)
        if agreed.session_id != parts.session_id:
            raise CryptoError
        opened = ratchet.open_with(ratchet.await_first(agreed.shared, prekeys.signed), parts.header)
        content = _open(opened.key, parts, envelope)
        self._sessions.add(Session(agreed.session_id, *_between(envelope), opened.state, None), now=now)
        self._sessions.keep_received(agreed.session_id, opened.state, opened.skipped, now=now)
        self._prekeys.use_up(begun.one_time_prekey)
        return content


def _ends(session: Session) -> tuple[str, int, bytes, bytes]:
    return session.peer, session.device_id, session.own_key, session.their_key


def _between(envelope: Envelope) -> tuple[str, int, bytes, bytes]:
    """Return the ends that a session of an envelope has, as its recipient knows them."""
    return envelope.sender_id, envelope.sender_device, envelope.recipient_key, envelope.sender_key


class Parts(NamedTuple):
    """What stands in `encrypted_aes_key`."""

    session_id: bytes
    salt: bytes
    header: Header
    handshake: Handshake | None


def _pack(session: Session, salt: bytes, header: Header) -> bytes:
    data = HEADER.pack(session.id, salt, *msgspec.structs.astuple(header))
    return data + (
        _HANDSHAKE.pack(*msgspec.structs.astuple(session.handshake)) if session.handshake is not None else b""
    )


def _unpack(data: bytes) -> Parts:
    session_id, salt, *header = HEADER.unpack_from(data)
    begun = Handshake(*_HANDSHAKE.unpack_from(data, HEADER.size)) if len(data) > HEADER.size else None
    return Parts(session_id, salt, Header(*header), begun)


def _message_key(key: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """Return key and nonce for AES-256-GCM."""
    both = derive(key, salt=salt, info=Label.MESSAGE_2.value, size=GCM_KEY_SIZE + GCM_NONCE_SIZE)
    return both[:GCM_KEY_SIZE], both[GCM_KEY_SIZE:]


def _associated(envelope: Envelope) -> bytes:
    """Return what stands outside, which the content is bound to."""
    return without(envelope, "encrypted_content", "signature")


def _open(key: bytes, parts: Parts, envelope: Envelope) -> bytes:
    ciphertext = decode_base64(envelope.encrypted_content)
    return decrypt(*_message_key(key, parts.salt), ciphertext, _associated(envelope))
