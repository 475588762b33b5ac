-- Identities that follow each other, and identities that were ended.

-- Of a contact who has rotated: what was under way then is still opened with these, until the first under the new one.
CREATE TABLE former_record (
    key_id     BLOB PRIMARY KEY, -- 16 bytes
    user_id    TEXT NOT NULL,
    record     BLOB NOT NULL,    -- canonical JSON
    retired_at INTEGER NOT NULL  -- seconds since 1970, by our clock
) STRICT, WITHOUT ROWID;

-- My own before a rotation: opens what was sealed for them.
CREATE TABLE former_keys (
    key_id     BLOB PRIMARY KEY, -- 16 bytes
    record     BLOB NOT NULL,    -- canonical JSON
    keys       BLOB NOT NULL,    -- the four private keys, PEM: this file is encrypted
    retired_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Refused for ever, whoever brings them back.
CREATE TABLE revoked_identity (
    identity_hash BLOB PRIMARY KEY, -- 32 bytes
    user_id       TEXT NOT NULL,
    certificate   BLOB NOT NULL,    -- canonical JSON
    seen_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The outbox takes notices, too: they tell contacts of a new identity by being signed with it.
CREATE TABLE outbox_2 (
    ordinal  INTEGER PRIMARY KEY AUTOINCREMENT,
    id       BLOB NOT NULL UNIQUE, -- 16 bytes, of the envelope
    peer     TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('message', 'receipt', 'notice')),
    receipts BLOB, -- of a receipt: the ids it confirms, 16 bytes each
    about    TEXT, -- of a notice
    envelope BLOB  -- sealed before it is sent first; sent again as it is, as long as both identities are the same
) STRICT;

INSERT INTO outbox_2 SELECT ordinal, id, peer, kind, receipts, NULL, envelope FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_2 RENAME TO outbox;

-- Counters that were used are not used again: a restored backup does not know how far they had come.
ALTER TABLE contact ADD COLUMN counter_base INTEGER NOT NULL DEFAULT 0;

-- One row from a restored backup until the contacts are told.
CREATE TABLE restored (
    restored_at INTEGER NOT NULL -- seconds since 1970
) STRICT;
