-- Messages that answer, change or judge others; those that go by themselves; and what there is to remember of a
-- conversation.
ALTER TABLE message ADD COLUMN kind TEXT NOT NULL DEFAULT 'text'
    CHECK (kind IN ('text', 'edit', 'deletion', 'reaction', 'timer')); -- all but a text point to what they are about
ALTER TABLE message ADD COLUMN about INTEGER REFERENCES message ON DELETE SET NULL; -- the one that it answers or changes
ALTER TABLE message ADD COLUMN edited_at INTEGER;  -- seconds since 1970, by our clock
ALTER TABLE message ADD COLUMN deleted_at INTEGER; -- its text is gone then
ALTER TABLE message ADD COLUMN changed_by INTEGER; -- counter of the newest edit or deletion that its author has sent
ALTER TABLE message ADD COLUMN lifetime_s INTEGER; -- from when it was read here, or accepted by the server
ALTER TABLE message ADD COLUMN expires_at INTEGER; -- when that began and ends

CREATE INDEX message_about ON message (about) WHERE about IS NOT NULL;
CREATE INDEX message_changes ON message (peer) WHERE direction = 'in' AND kind != 'text';
CREATE INDEX message_expires ON message (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE reaction (
    ordinal  INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    outgoing INTEGER NOT NULL CHECK (outgoing IN (0, 1)),
    emoji    TEXT NOT NULL,              -- empty: it was taken back
    counter  INTEGER NOT NULL DEFAULT 0, -- of theirs: the counter of the message that it came in
    PRIMARY KEY (ordinal, outgoing)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversation (
    peer          TEXT PRIMARY KEY,
    lifetime_s    INTEGER NOT NULL DEFAULT 0, -- of its messages, agreed between the two; 0: for ever
    timer_version INTEGER NOT NULL DEFAULT 0,
    kept_s        INTEGER NOT NULL DEFAULT 0, -- how long its messages are kept here; 0: for ever
    alias         TEXT UNIQUE,
    note          TEXT NOT NULL DEFAULT '',
    muted         INTEGER NOT NULL DEFAULT 0,
    written_to    INTEGER NOT NULL DEFAULT 0  -- whether they are no stranger by that
) STRICT, WITHOUT ROWID;

INSERT INTO conversation (peer, written_to) SELECT DISTINCT peer, 1 FROM message WHERE direction = 'out';
