-- Messages to publish. This table is a public interface: any program may insert into it, in its own transaction, and needs to name no more than
-- channel, message_id, topic, headers, body, and ordering_key where order matters. A row is deleted once the bus answers for its message.
CREATE TABLE tbx_outbox (
    id           bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    channel      text        NOT NULL COLLATE "C",
    message_id   text        NOT NULL COLLATE "C",
    topic        text        NOT NULL COLLATE "C",
    -- Messages of one key keep their order; '' for none.
    ordering_key text        NOT NULL COLLATE "C" DEFAULT '',
    headers      text        NOT NULL,
    body         bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Not to be handed over before.
    next_at      timestamptz NOT NULL DEFAULT 'epoch',
    attempts     integer     NOT NULL DEFAULT 0,
    -- The estate that the row belongs to, see tbx_estates.
    owner        uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    -- What the order of a key is kept by: a number of fixed width keeps the index small, and a rare collision costs only patience.
    key_hash     bigint      GENERATED ALWAYS AS (
        CASE WHEN ordering_key <> '' THEN hashtextextended(channel || ' ' || ordering_key, 0) END
    ) STORED,
    PRIMARY KEY (channel, message_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- What one owner has to relay, key by key.
CREATE INDEX tbx_outbox_lanes ON tbx_outbox (owner, channel, ordering_key, id);
-- Whether an older message of a key is left, whoever owns it.
CREATE INDEX tbx_outbox_keys ON tbx_outbox (key_hash, id) WHERE key_hash IS NOT NULL;
-- What was handed over where attempts are counted: what may have ended a process.
CREATE INDEX tbx_outbox_charged ON tbx_outbox (owner, id) WHERE attempts > 0;
-- The oldest.
CREATE INDEX tbx_outbox_age ON tbx_outbox (created_at);

-- Who relays which rows. Each relay has an estate of its own name and may hold others: those of relays that are gone, and the one of all zeros,
-- which rows of other programs belong to.
CREATE TABLE tbx_estates (
    owner  uuid        NOT NULL PRIMARY KEY,
    -- The relay that has it; NULL when it was given back.
    holder uuid,
    -- Grows with each change of hands.
    epoch  integer     NOT NULL DEFAULT 1,
    -- Until when the holder has it, by the clock of this server.
    until  timestamptz NOT NULL DEFAULT 'epoch'
) WITH (fillfactor = 50);

INSERT INTO tbx_estates (owner) VALUES ('00000000-0000-0000-0000-000000000000');

-- What each consumer has handled: its effect is committed with this row.
CREATE TABLE tbx_inbox (
    consumer    text        NOT NULL COLLATE "C",
    message_id  text        NOT NULL COLLATE "C",
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, message_id)
);

CREATE INDEX tbx_inbox_received ON tbx_inbox (received_at);

-- Messages that a group gave up.
CREATE TABLE tbx_dead_letters (
    id         bigint      NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    channel    text        NOT NULL COLLATE "C",
    consumer   text        NOT NULL COLLATE "C",
    message_id text        NOT NULL COLLATE "C",
    topic      text        NOT NULL COLLATE "C",
    headers    text        NOT NULL,
    body       bytea       NOT NULL,
    attempts   integer     NOT NULL,
    reason     text        NOT NULL,
    detail     text        NOT NULL,
    died_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (channel, consumer, message_id)
);
