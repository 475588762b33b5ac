-- The server's signed word that it has a message.
CREATE TABLE proof (
    ordinal    INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    acceptance BLOB NOT NULL -- canonical JSON
) STRICT;
