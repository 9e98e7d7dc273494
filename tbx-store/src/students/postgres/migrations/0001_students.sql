-- The keys are computed by the domain and compared byte by byte, so that SQL needs no rules of its own, and no locale of the server matters.
CREATE TABLE students (
    number           bigint      NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id               uuid        NOT NULL UNIQUE,
    first_name       text        NOT NULL,
    last_name        text        NOT NULL,
    email            text        NOT NULL,
    first_name_key   text        NOT NULL COLLATE "C",
    last_name_key    text        NOT NULL COLLATE "C",
    email_key        text        NOT NULL COLLATE "C" CONSTRAINT students_email_key UNIQUE,
    version          bigint      NOT NULL,
    updates          bigint      NOT NULL,
    created          timestamptz NOT NULL,
    created_by       text,
    last_modified    timestamptz NOT NULL,
    last_modified_by text
) WITH (fillfactor = 80);

CREATE INDEX students_first_name ON students (first_name_key, number);
CREATE INDEX students_last_name ON students (last_name_key, number);
CREATE INDEX students_created ON students (created, number);
