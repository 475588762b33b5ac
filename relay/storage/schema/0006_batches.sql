-- What one sender left in one mailbox without anything between it is one row
-- (docs/adr/0015-what-comes-together-lies-together.md).
ALTER TABLE mailbox RENAME TO mailbox_before;

-- Mailboxes: envelopes whose sequences follow each other without a gap. Those that are acknowledged leave ids and marks
-- until the retention has passed, so that a sender who did not hear the reply hears the same one again.
CREATE TABLE mailbox (
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT, -- of the last one
    first        INTEGER NOT NULL,                  -- sequence of the first one
    waiting      INTEGER NOT NULL,                  -- how many are not acknowledged
    recipient_id TEXT NOT NULL,
    device_id    INTEGER NOT NULL,
    sender_id    TEXT NOT NULL,
    received_at  INTEGER NOT NULL,
    ascending    INTEGER NOT NULL CHECK (ascending IN (0, 1)), -- 1: ids above all that their sender had here before
    last_id      BLOB,          -- 16 bytes; NULL: these envelopes are here for another device, too, and found there
    ids          BLOB NOT NULL, -- 16 bytes each
    marks        BLOB NOT NULL, -- 32 bytes each
    envelopes    BLOB           -- a line each, empty: acknowledged; NULL: all of them are
) STRICT;

-- The first of several copies is the one that is found; an index says which, and nothing is sorted.
INSERT INTO mailbox
SELECT
    sequence, sequence, envelope IS NOT NULL, recipient_id, device_id, sender_id, received_at, 0,
    CASE WHEN NOT EXISTS (
        SELECT 1 FROM mailbox_before AS earlier
        WHERE earlier.sender_id = mailbox_before.sender_id AND earlier.envelope_id = mailbox_before.envelope_id
        AND earlier.sequence < mailbox_before.sequence
    ) THEN envelope_id END,
    envelope_id, substr(mark, 1, 32), envelope -- whoever wrote letters of several bytes had a longer one
FROM mailbox_before ORDER BY sequence;

-- No sequence is given out twice, also not one whose row is gone.
DELETE FROM sqlite_sequence WHERE name = 'mailbox';
INSERT INTO sqlite_sequence SELECT 'mailbox', seq FROM sqlite_sequence WHERE name = 'mailbox_before';
DROP TABLE mailbox_before;

-- An id is in the first row of its sender whose last one is not below it, or is a row by itself.
CREATE UNIQUE INDEX mailbox_once ON mailbox (sender_id, ascending, last_id);

-- All that is asked of a row before its envelopes are read.
CREATE INDEX mailbox_pending ON mailbox (recipient_id, device_id, sequence, first, waiting, sender_id) WHERE waiting > 0;

-- By age and not by sequence: after a jump of the clock the two differ. And whose it is, for those who ask for all.
CREATE INDEX mailbox_age ON mailbox (received_at, sender_id, recipient_id);
