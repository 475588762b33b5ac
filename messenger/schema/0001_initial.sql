-- Everybody this account has met.
CREATE TABLE contact (
    user_id       TEXT PRIMARY KEY,
    record        BLOB NOT NULL,    -- the pinned identity record, canonical JSON
    identity_hash BLOB NOT NULL,    -- 32 bytes
    trust         TEXT NOT NULL CHECK (trust IN ('unverified', 'verified', 'changed')),
    offered       BLOB,             -- another identity record, waiting for the person's decision
    suite         INTEGER NOT NULL, -- the highest that was seen; it only rises
    highest_in    INTEGER NOT NULL, -- the highest message counter heard of from this contact
    counted_from  INTEGER NOT NULL, -- messages up to this ordinal were with an identity before this one
    first_seen    INTEGER NOT NULL, -- seconds since 1970
    CHECK ((trust = 'changed') = (offered IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    ordinal   INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of arrival, in which messages are shown
    peer      TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    id        BLOB NOT NULL,    -- 16 bytes
    counter   INTEGER,          -- in the sender's order; NULL until sealed
    text      TEXT NOT NULL,
    timestamp INTEGER NOT NULL, -- by the sender's clock, seconds since 1970
    stored_at INTEGER NOT NULL, -- by ours
    state     TEXT NOT NULL CHECK (
        (direction = 'in' AND state IN ('stored', 'shown'))
        OR (direction = 'out' AND state IN
            ('queued', 'accepted', 'delivered', 'read', 'rejected', 'expired', 'identity-changed'))
    ),
    reason    TEXT,             -- of a rejection: the relay's code
    UNIQUE (peer, direction, id)
) STRICT;

CREATE INDEX message_counter ON message (peer, direction, counter);
CREATE INDEX message_state ON message (state) WHERE state IN ('stored', 'accepted');

-- Every envelope that was taken in: none is taken twice, however late it is sent again.
CREATE TABLE seen (
    sender_id   TEXT NOT NULL,
    envelope_id BLOB NOT NULL,
    seen_at     INTEGER NOT NULL,
    PRIMARY KEY (sender_id, envelope_id)
) STRICT, WITHOUT ROWID;

-- Envelopes of a contact whose identity changed, until the person decides.
CREATE TABLE held (
    ordinal   INTEGER PRIMARY KEY AUTOINCREMENT,
    sender_id TEXT NOT NULL,
    envelope  BLOB NOT NULL UNIQUE
) STRICT;

-- What was sent and not yet accepted, in the order in which it goes out.
CREATE TABLE outbox (
    ordinal  INTEGER PRIMARY KEY AUTOINCREMENT,
    id       BLOB NOT NULL UNIQUE, -- 16 bytes, of the envelope
    peer     TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('message', 'receipt')),
    receipts BLOB, -- of a receipt: the ids it confirms, 16 bytes each
    envelope BLOB  -- sealed before it is sent first; sent again as it is
) STRICT;
