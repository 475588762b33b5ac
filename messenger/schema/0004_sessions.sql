-- Suite 2: sessions with the devices of contacts, and what others need to begin one with this device.

-- Private halves of the prekeys that were left at the server.
CREATE TABLE own_prekey (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
    one_time    INTEGER NOT NULL CHECK (one_time IN (0, 1)),
    pair        BLOB NOT NULL,    -- 96 bytes
    made_at     INTEGER NOT NULL, -- seconds since 1970
    replaced_at INTEGER           -- of a signed one, when there was another
) STRICT;

CREATE TABLE session (
    id           BLOB PRIMARY KEY,  -- 16 bytes
    peer         TEXT NOT NULL,
    device_id    INTEGER NOT NULL,
    own_key      BLOB NOT NULL,     -- 16 bytes, of the two identities between which it began
    their_key    BLOB NOT NULL,
    state        BLOB NOT NULL,     -- of the ratchet
    handshake    BLOB,              -- goes along until there is an answer; NULL: there was one, or they began
    rank         INTEGER NOT NULL,  -- the one that was received on last has the highest
    receive_only INTEGER NOT NULL DEFAULT 0 -- something did not open in it: what goes out begins another
) STRICT, WITHOUT ROWID;

CREATE INDEX session_peer ON session (peer, rank);

-- Keys of messages that have not come.
CREATE TABLE skipped_key (
    session_id  BLOB NOT NULL REFERENCES session ON DELETE CASCADE,
    ratchet_key BLOB NOT NULL,    -- SHA-256 of the sender's pair
    number      INTEGER NOT NULL,
    key         BLOB NOT NULL,    -- 32 bytes
    stored_at   INTEGER NOT NULL,
    PRIMARY KEY (session_id, ratchet_key, number)
) STRICT, WITHOUT ROWID;

-- Sessions that are gone: nobody begins them again with the same handshake.
CREATE TABLE former_session (
    id       BLOB PRIMARY KEY, -- 16 bytes
    ended_at INTEGER NOT NULL  -- seconds since 1970
) STRICT, WITHOUT ROWID;

-- A message that could not be opened goes out again under another id; by the first it is still asked for here.
ALTER TABLE message ADD COLUMN first_id BLOB;
ALTER TABLE message ADD COLUMN sent_again INTEGER NOT NULL DEFAULT 0;

CREATE INDEX message_first_id ON message (first_id) WHERE first_id IS NOT NULL;

-- Receipts that the relay has: what does not open in a session that has come apart is asked for again.
CREATE TABLE sent_receipt (
    id       BLOB PRIMARY KEY, -- 16 bytes
    peer     TEXT NOT NULL,
    receipts BLOB NOT NULL,
    about    TEXT NOT NULL,
    sent_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whether a receipt was asked for again: it is not a second time.
ALTER TABLE outbox ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
