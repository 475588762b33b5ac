-- What a device has left so that sessions with it can begin while it is away.
CREATE TABLE prekey (
    user_id   TEXT NOT NULL,
    device_id INTEGER NOT NULL,
    one_time  INTEGER NOT NULL CHECK (one_time IN (0, 1)), -- 1: handed out once; 0: the signed one
    id        INTEGER NOT NULL,
    prekey    BLOB NOT NULL,                               -- canonical JSON
    PRIMARY KEY (user_id, device_id, one_time, id),
    FOREIGN KEY (user_id, device_id) REFERENCES device
) STRICT, WITHOUT ROWID;
