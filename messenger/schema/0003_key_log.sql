-- The server's key log as far as it was read, so that no other can be shown later.
CREATE TABLE log_entry (
    position  INTEGER PRIMARY KEY, -- from 0, without gaps
    log_index BLOB NOT NULL,       -- 32 bytes: whose it is
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

-- One row, from the first login on.
CREATE TABLE log_state (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    key       BLOB NOT NULL,    -- the log's, SubjectPublicKeyInfo
    size      INTEGER NOT NULL, -- of the head that is known; entries may be missing here that it has
    root      BLOB NOT NULL,    -- 32 bytes
    timestamp INTEGER NOT NULL, -- of that head, by the server's clock
    checked   INTEGER NOT NULL, -- how many entries were looked at
    alarm     TEXT              -- why the server is not believed any more
) STRICT;

-- The latest state of the log that a contact has named.
CREATE TABLE log_claim (
    peer   TEXT PRIMARY KEY,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,    -- 32 bytes
    asked  INTEGER NOT NULL, -- whether the server was asked for its log since
    agrees INTEGER           -- whether it is the log that is known here; NULL: it has not come so far
) STRICT, WITHOUT ROWID;

-- Every identity that this account has had, as far as it knows.
CREATE TABLE own_identity (
    identity_hash BLOB PRIMARY KEY -- 32 bytes
) STRICT, WITHOUT ROWID;

ALTER TABLE contact ADD COLUMN log_index BLOB; -- by which the key log names them
ALTER TABLE contact ADD COLUMN declined BLOB;  -- hash of the identity in whose place the person has kept the pinned one
