-- Accounts that were ended by their certificate. They stay: a number that was revoked does not come back.
CREATE TABLE revocation (
    user_id     TEXT PRIMARY KEY REFERENCES account,
    certificate BLOB NOT NULL, -- canonical JSON
    revoked_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
