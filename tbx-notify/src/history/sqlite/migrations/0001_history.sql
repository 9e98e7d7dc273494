-- `offset` grows without holes: the one writer inserts nothing that it does not commit.
CREATE TABLE history (
    offset      INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id  TEXT    NOT NULL UNIQUE,
    topic       TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    body        BLOB    NOT NULL,
    appended_at INTEGER NOT NULL
) STRICT;

-- One row: which life of the history this is.
CREATE TABLE history_epoch (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL
) STRICT;

-- How far each topic was trimmed, so that only those who missed something are told. The row with no topic stands for those that were forgotten.
CREATE TABLE history_trimmed (
    topic   TEXT PRIMARY KEY,
    through INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
