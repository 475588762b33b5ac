-- Accounts, their devices, and the log of identity records.

CREATE TABLE account (
    user_id    TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL -- seconds since 1970
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    user_id    TEXT NOT NULL REFERENCES account,
    device_id  INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

-- Append-only from the first day: key transparency will be built on its rows.
CREATE TABLE identity_log (
    position      INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id       TEXT NOT NULL REFERENCES account,
    epoch         INTEGER NOT NULL,
    identity_hash BLOB NOT NULL, -- 32 bytes
    record        BLOB NOT NULL, -- canonical JSON
    recorded_at   INTEGER NOT NULL,
    UNIQUE (user_id, epoch)
) STRICT;

-- REPLACE deletes without asking the trigger below.
CREATE TRIGGER identity_log_grows BEFORE INSERT ON identity_log
WHEN EXISTS (
    SELECT 1 FROM identity_log
    WHERE position = NEW.position OR (user_id = NEW.user_id AND epoch = NEW.epoch)
)
BEGIN
    SELECT RAISE(ABORT, 'the identity log is append-only');
END;

CREATE TRIGGER identity_log_keeps BEFORE DELETE ON identity_log
BEGIN
    SELECT RAISE(ABORT, 'the identity log is append-only');
END;

CREATE TRIGGER identity_log_stays BEFORE UPDATE ON identity_log
BEGIN
    SELECT RAISE(ABORT, 'the identity log is append-only');
END;

CREATE TABLE code_failure (
    user_id  TEXT PRIMARY KEY, -- before there is an account
    failures INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Mailboxes. An acknowledged envelope leaves its row without contents until the retention has passed,
-- so that a sender who did not hear the reply hears the same one again.
CREATE TABLE mailbox (
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient_id TEXT NOT NULL,
    device_id    INTEGER NOT NULL,
    sender_id    TEXT NOT NULL,
    envelope_id  BLOB NOT NULL, -- 16 bytes
    digest       BLOB NOT NULL, -- SHA-256 of the envelope
    received_at  INTEGER NOT NULL,
    envelope     BLOB -- NULL: acknowledged
) STRICT;

CREATE UNIQUE INDEX mailbox_once ON mailbox (sender_id, envelope_id, recipient_id, device_id);

CREATE INDEX mailbox_pending ON mailbox (recipient_id, device_id, sequence) WHERE envelope IS NOT NULL;

-- By age and not by sequence: after a jump of the clock the two differ.
CREATE INDEX mailbox_age ON mailbox (received_at);

-- Who has ever written to whom; the stranger rule asks it.
CREATE TABLE acquaintance (
    writer TEXT NOT NULL,
    reader TEXT NOT NULL,
    PRIMARY KEY (writer, reader)
) STRICT, WITHOUT ROWID;
