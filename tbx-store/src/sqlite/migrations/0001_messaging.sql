-- Messages to publish. `state`: 0 pending, 1 handed over, 2 done, 3 waiting behind an older message of its channel and key.
-- Writers of SQLite are serialized, so the order of ids is the order of commits.
CREATE TABLE tbx_outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    channel      TEXT    NOT NULL,
    message_id   TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    ordering_key TEXT,
    headers      TEXT    NOT NULL,
    body         BLOB    NOT NULL,
    state        INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_at      INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    done_at      INTEGER
) STRICT;

CREATE UNIQUE INDEX tbx_outbox_message ON tbx_outbox (channel, message_id);
CREATE INDEX tbx_outbox_pending ON tbx_outbox (channel, next_at, id) WHERE state = 0;
CREATE INDEX tbx_outbox_handed ON tbx_outbox (id) WHERE state = 1;
CREATE INDEX tbx_outbox_open_keys ON tbx_outbox (channel, ordering_key, id) WHERE state <> 2 AND ordering_key IS NOT NULL;
CREATE INDEX tbx_outbox_done ON tbx_outbox (done_at) WHERE state = 2;

-- What each consumer has handled: its effect is committed with this row.
CREATE TABLE tbx_inbox (
    consumer    TEXT    NOT NULL,
    message_id  TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (consumer, message_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX tbx_inbox_received ON tbx_inbox (received_at);

-- Messages that a group gave up.
CREATE TABLE tbx_dead_letters (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    channel    TEXT    NOT NULL,
    consumer   TEXT    NOT NULL,
    message_id TEXT    NOT NULL,
    topic      TEXT    NOT NULL,
    headers    TEXT    NOT NULL,
    body       BLOB    NOT NULL,
    attempts   INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    died_at    INTEGER NOT NULL,
    UNIQUE (channel, consumer, message_id)
) STRICT;
