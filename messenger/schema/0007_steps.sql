-- When own messages came how far: what /why tells.
CREATE TABLE step (
    ordinal INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
    state   TEXT NOT NULL,    -- as in message
    at      INTEGER NOT NULL, -- seconds since 1970, by our clock
    PRIMARY KEY (ordinal, state)
) STRICT, WITHOUT ROWID;
