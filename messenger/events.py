"""What the engine tells whoever listens: a screen, a one-shot command, a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from errors import Code

ON_THE_WAY: Final = frozenset({"accepted", "delivered", "read"})  # states of an own message that the server has taken
FAILED: Final = frozenset({"rejected", "identity-changed"})  # and of one that will not go out


@dataclass(frozen=True, slots=True)
class Online:
    """The relay has let this device in."""

    pending: int  # envelopes that wait and are about to arrive


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """The relay did not let this device in."""

    code: Code
    retry_after_s: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A text of the conversation that something else is about."""

    number: int  # by which a person names it
    outgoing: bool
    id: bytes
    text: str  # as it is by now; empty when it was deleted
    timestamp: int  # seconds since 1970, by its author's clock


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message to show; `Messenger.shown` wants to hear when that is done, as of all that have an id and a peer."""

    id: bytes
    peer: str
    text: str
    timestamp: int  # seconds since 1970, by the sender's clock
    counter: int
    trust: str  # in the sender's identity, when it was stored
    number: int = 0  # by which a person names it
    quote: Quote | None = None  # what it answers
    lifetime_s: int | None = None  # until it disappears, once it was read


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """A contact has changed what they wrote."""

    id: bytes
    peer: str
    quote: Quote | None  # None: it is not here any more, or was not theirs to change


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A contact has taken back what they wrote."""

    id: bytes
    peer: str
    quote: Quote | None


@dataclass(frozen=True, slots=True)
class MessageReaction:
    """A contact has said what they feel about a text."""

    id: bytes
    peer: str
    quote: Quote | None
    emoji: str  # empty: nothing any more


@dataclass(frozen=True, slots=True)
class TimerChanged:
    """A contact has set how long the texts of the conversation live."""

    id: bytes
    peer: str
    lifetime_s: int  # 0: for ever


@dataclass(frozen=True, slots=True)
class Typing:
    """A contact is typing."""

    peer: str


@dataclass(frozen=True, slots=True)
class MessagesExpired:
    """Messages with this contact were removed here, since their time was over."""

    peer: str
    count: int


@dataclass(frozen=True, slots=True)
class MessageRequested:
    """Somebody writes who was never written to; they hear nothing of it until they are let in. Said once a start."""

    peer: str


@dataclass(frozen=True, slots=True)
class MessagesMissing:
    """Messages of this contact that should have come before the next one have not."""

    peer: str
    count: int


@dataclass(frozen=True, slots=True)
class StateChanged:
    """An own message has gone a step further, or failed."""

    id: bytes
    peer: str
    state: str  # as in the history: accepted, delivered, read, rejected, expired, identity-changed
    reason: Code | None = None


@dataclass(frozen=True, slots=True)
class AcceptanceProven:
    """The server has signed that it has an own message, or had it until it was fetched."""

    peer: str
    id: bytes
    received_at: int  # seconds since 1970, by the server's clock
    fetched: bool


@dataclass(frozen=True, slots=True)
class AcceptanceMissing:
    """The server does not prove that it has what it said that it has accepted."""

    peer: str
    code: Code | None  # what it says instead; None: its proof does not hold


@dataclass(frozen=True, slots=True)
class ContactPinned:
    """A contact was met for the first time, and its identity remembered."""

    peer: str


@dataclass(frozen=True, slots=True)
class IdentityChanged:
    """A contact's identity is not the pinned one; nothing goes in or out until the person decides."""

    peer: str


@dataclass(frozen=True, slots=True)
class IdentityRotated:
    """A contact has new keys, which the old ones have signed; what was compared must be compared anew."""

    peer: str
    was_verified: bool


@dataclass(frozen=True, slots=True)
class IdentityRevoked:
    """A contact's account was ended by its certificate; nothing goes in or out any more."""

    peer: str


@dataclass(frozen=True, slots=True)
class ContactRestored:
    """A contact has restored a backup: they may miss what you wrote to them since, and count anew."""

    peer: str


@dataclass(frozen=True, slots=True)
class ContactErased:
    """A contact has had the server remove their account."""

    peer: str


@dataclass(frozen=True, slots=True)
class LogAlarm:
    """The server contradicts its own key log; it is not believed any more until the person says so."""

    reason: str


@dataclass(frozen=True, slots=True)
class LogWithheld:
    """The server does not show its key log, or not all of it."""


@dataclass(frozen=True, slots=True)
class LogDisagrees:
    """A contact knows another key log than the one that the server shows here."""

    peer: str


@dataclass(frozen=True, slots=True)
class OwnIdentityRotated:
    """The server has this account's next identity, and the present one has become a former one."""

    epoch: int


@dataclass(frozen=True, slots=True)
class OwnRotationRefused:
    """The server did not take this account's next identity."""

    code: Code
    retry_after_s: int


@dataclass(frozen=True, slots=True)
class ServerKeyRotated:
    """The server has a new key, which the one that was known has signed; it is known from now on."""

    fingerprint: str  # 64 hexadecimal digits


@dataclass(frozen=True, slots=True)
class ServerWentBack:
    """The server knew this account by former keys only; it is told again of those that came after them."""


@dataclass(frozen=True, slots=True)
class ServerHolds:
    """Rows that the server holds about this account."""

    rows: tuple[tuple[str, dict[str, int | str]], ...]  # each with its table
    last: bool  # whether that was all


@dataclass(frozen=True, slots=True)
class AccountErased:
    """The server has removed this account."""

    rows: int


@dataclass(frozen=True, slots=True)
class ErasureRefused:
    """The server did not remove this account."""

    code: Code


@dataclass(frozen=True, slots=True)
class MessageUnopened:
    """A contact's message came for a session that is not here any more; they are asked to send it again."""

    peer: str


@dataclass(frozen=True, slots=True)
class SentAgain:
    """A contact could not open a message, for want of its session; it is sent again."""

    peer: str


@dataclass(frozen=True, slots=True)
class EnvelopeRefused:
    """An envelope that claims to come from this sender could not be verified, and was thrown away."""

    peer: str


Arrival = MessageReceived | MessageEdited | MessageDeleted | MessageReaction | TimerChanged  # what came in messages
Event = (
    Online
    | LoginRefused
    | MessageReceived
    | MessageEdited
    | MessageDeleted
    | MessageReaction
    | TimerChanged
    | Typing
    | MessagesExpired
    | MessageRequested
    | MessagesMissing
    | StateChanged
    | AcceptanceProven
    | AcceptanceMissing
    | ContactPinned
    | IdentityChanged
    | IdentityRotated
    | IdentityRevoked
    | ContactRestored
    | ContactErased
    | LogAlarm
    | LogDisagrees
    | LogWithheld
    | OwnIdentityRotated
    | OwnRotationRefused
    | ServerKeyRotated
    | ServerWentBack
    | ServerHolds
    | AccountErased
    | ErasureRefused
    | MessageUnopened
    | SentAgain
    | EnvelopeRefused
)
