-- For each lane, an owner and a channel, the first message of each key and the messages without a key, from where the last look ended; of these, up
-- to so many of a channel that no older message of their key precedes, whoever owns it.
--
-- The work is bounded by the budgets, not by the backlog: the recursion steps through the index from key to key. Nothing here may ever be planned
-- by what the table holds at the moment, which is hardly ever what it holds later. The session rules out all plans but those that walk an index in
-- its order, and each of these queries has one such index: `ORDER BY … LIMIT 1` instead of `EXISTS`, and no condition on `id` alone.
--
-- $1 holder, $2 owners, $3 channels, $4 keys and $5 ids where to go on, $6 wanted, $7 budgets, $8 under way, $9 how far the time to look for is from now, in seconds
WITH lanes AS MATERIALIZED (
    SELECT l.*
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
        WITH ORDINALITY AS l (owner, channel, after_key, after_id, wanted, budget, lane)
    JOIN tbx_estates e ON e.owner = l.owner AND e.holder = $1 AND e.until > clock_timestamp()
),
looked_at AS MATERIALIZED (
    SELECT l.lane, l.channel, l.wanted, true AS keyed, s.*
    FROM lanes l CROSS JOIN LATERAL (
        WITH RECURSIVE firsts AS (
            (
                SELECT o.ctid AS place, o.id, o.ordering_key, o.key_hash, o.next_at
                FROM tbx_outbox o
                WHERE o.owner = l.owner AND o.channel = l.channel AND o.ordering_key > l.after_key
                ORDER BY o.ordering_key, o.id LIMIT 1
            )
            UNION ALL
            SELECT n.*
            FROM firsts f CROSS JOIN LATERAL (
                SELECT o.ctid AS place, o.id, o.ordering_key, o.key_hash, o.next_at
                FROM tbx_outbox o
                WHERE o.owner = l.owner AND o.channel = l.channel AND o.ordering_key > f.ordering_key
                ORDER BY o.ordering_key, o.id LIMIT 1
            ) n
        )
        -- Numbered in each lane, so that lanes take turns.
        SELECT *, row_number() OVER () AS nth FROM firsts LIMIT l.budget
    ) s
    UNION ALL
    SELECT l.lane, l.channel, l.wanted, false, s.*
    FROM lanes l CROSS JOIN LATERAL (
        SELECT p.*, row_number() OVER () FROM (
            SELECT o.ctid AS place, o.id, o.ordering_key, o.key_hash, o.next_at
            FROM tbx_outbox o
            WHERE o.owner = l.owner AND o.channel = l.channel AND o.ordering_key = '' AND o.id > l.after_id
            ORDER BY o.id LIMIT l.budget
        ) p
    ) s
),
judged AS MATERIALIZED (
    SELECT l.*, coalesce(
        (SELECT o.id FROM tbx_outbox o WHERE o.key_hash = l.key_hash ORDER BY o.id LIMIT 1) < l.id, false
    ) AS behind
    FROM looked_at l
),
fit AS (
    SELECT j.place, j.lane, j.wanted, row_number() OVER (PARTITION BY j.channel ORDER BY j.nth, j.lane) AS rank
    FROM judged j
    WHERE NOT j.behind AND j.next_at <= clock_timestamp() + make_interval(secs => $9) AND j.id <> ALL ($8::bigint[])
)
SELECT f.lane, o.ordering_key <> '' AS keyed, o.id, o.ordering_key, o.message_id, o.topic, o.headers, o.body,
       -- Other programs may have put in a time that is none of ours, such as infinity.
       least(greatest(o.created_at, '0001-01-01Z'), '9999-12-31Z') AS created_at, o.attempts,
       NULL::bigint AS looked_at, NULL::boolean AS behind
FROM fit f JOIN tbx_outbox o ON o.ctid = f.place
WHERE f.rank <= f.wanted
UNION ALL
SELECT j.lane, j.keyed, max(j.id), max(j.ordering_key), NULL, NULL, NULL, NULL, NULL, NULL, count(*), bool_or(j.behind)
FROM judged j GROUP BY j.lane, j.keyed
