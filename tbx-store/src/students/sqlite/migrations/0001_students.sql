-- The keys are computed by the domain, so that SQL compares bytes and needs no rules of its own.
CREATE TABLE students (
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    id               BLOB    NOT NULL UNIQUE,
    first_name       TEXT    NOT NULL,
    last_name        TEXT    NOT NULL,
    email            TEXT    NOT NULL,
    first_name_key   TEXT    NOT NULL,
    last_name_key    TEXT    NOT NULL,
    email_key        TEXT    NOT NULL UNIQUE,
    version          INTEGER NOT NULL,
    updates          INTEGER NOT NULL,
    created          INTEGER NOT NULL,
    created_by       TEXT,
    last_modified    INTEGER NOT NULL,
    last_modified_by TEXT
) STRICT;

CREATE INDEX students_first_name ON students (first_name_key, number);
CREATE INDEX students_last_name ON students (last_name_key, number);
CREATE INDEX students_created ON students (created, number);
