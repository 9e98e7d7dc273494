-- Requests that clients may repeat, each with its answer, in the transaction of its effect. A row that has expired counts as absent.
CREATE TABLE tbx_idempotency (
    -- Within what the key is unique.
    scope      TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    request    BLOB    NOT NULL,
    -- NULL only within the transaction that has not kept it yet.
    answer     BLOB,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT;

CREATE INDEX tbx_idempotency_expires ON tbx_idempotency (expires_at);
