-- The key log names nobody and is never shortened; names and records stand beside it, and can be erased.
CREATE TABLE identity (
    user_id       TEXT NOT NULL REFERENCES account,
    epoch         INTEGER NOT NULL,
    identity_hash BLOB NOT NULL, -- 32 bytes
    record        BLOB NOT NULL, -- canonical JSON
    recorded_at   INTEGER NOT NULL,
    PRIMARY KEY (user_id, epoch)
) STRICT;

INSERT INTO identity
SELECT user_id, epoch, identity_hash, record, recorded_at FROM identity_log ORDER BY position;

DROP TABLE identity_log;

CREATE TABLE log_entry (
    position  INTEGER PRIMARY KEY, -- from 0, without gaps
    log_index BLOB NOT NULL,       -- 32 bytes: whose it is, for those who can know
    kind      TEXT NOT NULL,
    value     BLOB NOT NULL        -- 32 bytes
) STRICT;

CREATE INDEX log_entry_index ON log_entry (log_index);

-- The perfect subtrees of its Merkle tree.
CREATE TABLE log_node (
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash   BLOB NOT NULL, -- 32 bytes
    PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;

-- REPLACE deletes without asking the trigger below.
CREATE TRIGGER log_entry_grows BEFORE INSERT ON log_entry
WHEN NEW.position != (SELECT coalesce(max(position) + 1, 0) FROM log_entry)
BEGIN
    SELECT RAISE(ABORT, 'the key log is append-only');
END;

CREATE TRIGGER log_entry_keeps BEFORE DELETE ON log_entry
BEGIN
    SELECT RAISE(ABORT, 'the key log is append-only');
END;

CREATE TRIGGER log_entry_stays BEFORE UPDATE ON log_entry
BEGIN
    SELECT RAISE(ABORT, 'the key log is append-only');
END;
