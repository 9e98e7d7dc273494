-- Trims a batch by count and age. ARGV: time, the epoch that the caller knows, how many are kept, for how many milliseconds, the batch.
-- Answers the oldest offset, up to which offset topics are forgotten, and how many were trimmed; or `moved`.
local meta = redis.call('HMGET', META, 'epoch', 'oldest')
if meta[1] ~= ARGV[2] then return {'moved'} end
local oldest, trimmed = trim(tonumber(meta[2]), tonumber(ARGV[3]), now(ARGV[1]) - tonumber(ARGV[4]), tonumber(ARGV[5]))
return {'trimmed', text(oldest), redis.call('HGET', META, 'forgotten'), text(trimmed)}
