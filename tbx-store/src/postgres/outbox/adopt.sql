-- Takes every estate whose lease has run out, or that was given back. $1 holder, $2 lease in seconds
WITH free AS (
    -- One that is locked is being settled in, or another takes it.
    SELECT e.owner, e.holder FROM tbx_estates e WHERE e.until < clock_timestamp() FOR UPDATE SKIP LOCKED
)
UPDATE tbx_estates e
SET holder = $1, epoch = e.epoch + 1, until = clock_timestamp() + make_interval(secs => $2)
FROM free
WHERE e.owner = free.owner
RETURNING e.owner, e.epoch, free.holder IS NOT NULL AS deserted
