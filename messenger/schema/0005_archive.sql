-- Messages that are read, and found again.

CREATE TABLE message_2 (
    ordinal    INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of arrival, in which messages are shown
    peer       TEXT NOT NULL,
    direction  TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    id         BLOB NOT NULL,    -- 16 bytes
    counter    INTEGER,          -- in the sender's order; NULL until sealed
    text       TEXT NOT NULL,
    timestamp  INTEGER NOT NULL, -- by the sender's clock, seconds since 1970
    stored_at  INTEGER NOT NULL, -- by ours
    state      TEXT NOT NULL CHECK (
        (direction = 'in' AND state IN ('stored', 'shown', 'read'))
        OR (direction = 'out' AND state IN
            ('queued', 'accepted', 'delivered', 'read', 'rejected', 'expired', 'identity-changed'))
    ),
    reason     TEXT,             -- of a rejection: the relay's code
    first_id   BLOB,             -- by which one that was sent again is still asked for
    sent_again INTEGER NOT NULL DEFAULT 0,
    UNIQUE (direction, id, peer)
) STRICT;

INSERT INTO message_2
    SELECT ordinal, peer, direction, id, counter, text, timestamp, stored_at,
        CASE state WHEN 'shown' THEN 'read' ELSE state END, reason, first_id, sent_again
    FROM message;
DROP TABLE message;
ALTER TABLE message_2 RENAME TO message;

CREATE INDEX message_counter ON message (peer, direction, counter);
CREATE INDEX message_first_id ON message (first_id) WHERE first_id IS NOT NULL;
CREATE INDEX message_peer ON message (peer, ordinal);
CREATE INDEX message_sent ON message (peer, ordinal) WHERE direction = 'out';
CREATE INDEX message_stored ON message (ordinal) WHERE state = 'stored';
CREATE INDEX message_shown ON message (peer, ordinal) WHERE state = 'shown';
CREATE INDEX message_accepted ON message (ordinal) WHERE state = 'accepted';

-- The words of all messages; what is removed leaves no trace in it.
CREATE VIRTUAL TABLE message_text USING fts5 (
    text, content = 'message', content_rowid = 'ordinal', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO message_text (message_text, rank) VALUES ('secure-delete', 1);
INSERT INTO message_text (message_text) VALUES ('rebuild');

CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    INSERT INTO message_text (rowid, text) VALUES (NEW.ordinal, NEW.text);
END;

CREATE TRIGGER message_rewritten AFTER UPDATE OF text ON message BEGIN
    INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', OLD.ordinal, OLD.text);
    INSERT INTO message_text (rowid, text) VALUES (NEW.ordinal, NEW.text);
END;

CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
    INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', OLD.ordinal, OLD.text);
END;
