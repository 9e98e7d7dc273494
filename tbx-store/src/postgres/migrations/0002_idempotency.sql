-- Requests that clients may repeat, each with its answer, in the transaction of its effect. A row that has expired counts as absent.
CREATE TABLE tbx_idempotency (
    -- Within what the key is unique.
    scope      text        NOT NULL COLLATE "C",
    key        text        NOT NULL COLLATE "C",
    request    bytea       NOT NULL,
    -- NULL only within the transaction that has not kept it yet.
    answer     bytea,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);

CREATE INDEX tbx_idempotency_expires ON tbx_idempotency (expires_at);
