-- Deletes what is done, as far as its estate is still held in the same epoch; a take-over waits for this, or this finds itself refused. Tells whether
-- a message of an estate that is not held here comes next in its key, and whether one of an estate that is held here does, if that is asked.
--
-- `IS TRUE` keeps owner and id from being looked up by an index: the primary key is the way, whatever the table holds.
--
-- $1 holder, $2 channels, $3 message ids, $4 ids, $5 owners, $6 epochs, $7 all estates held, $8 whether to look in these too
WITH gone AS (
    DELETE FROM tbx_outbox o
    USING unnest($2::text[], $3::text[], $4::bigint[], $5::uuid[], $6::integer[]) AS s (channel, message_id, id, owner, epoch)
    WHERE o.channel = s.channel AND o.message_id = s.message_id AND (o.id = s.id AND o.owner = s.owner) IS TRUE
        AND EXISTS (
            SELECT FROM tbx_estates e WHERE e.owner = s.owner AND e.holder = $1 AND e.epoch = s.epoch FOR KEY SHARE
        )
    RETURNING o.id, o.key_hash
)
SELECT coalesce(bool_or(next.owner <> ALL ($7::uuid[])), false),
       -- Of what was gone already nothing is known.
       coalesce(bool_or(next.owner = ANY ($7::uuid[])), false) OR count(g.id) < cardinality($4::bigint[])
FROM gone g LEFT JOIN LATERAL (
    SELECT o.owner FROM tbx_outbox o
    -- The first condition is asked once: where nobody else has an estate, nobody else waits.
    WHERE ($8 OR EXISTS (SELECT FROM tbx_estates e WHERE e.owner <> ALL ($7::uuid[])))
        AND o.key_hash = g.key_hash AND o.id > g.id
    ORDER BY o.id LIMIT 1
) next ON true
