-- Finds rows whose estate is not known: committed by a relay that was taken for dead and whose estate was empty. Steps from owner to owner.
WITH RECURSIVE owners AS (
    (SELECT o.owner FROM tbx_outbox o ORDER BY o.owner LIMIT 1)
    UNION ALL
    SELECT n.owner
    FROM owners p CROSS JOIN LATERAL (
        SELECT o.owner FROM tbx_outbox o WHERE o.owner > p.owner ORDER BY o.owner LIMIT 1
    ) n
)
INSERT INTO tbx_estates (owner)
SELECT o.owner FROM owners o WHERE NOT EXISTS (SELECT FROM tbx_estates e WHERE e.owner = o.owner)
ON CONFLICT DO NOTHING
