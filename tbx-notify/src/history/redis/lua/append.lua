-- Appends a notification once. ARGV: id, topic, event, body, time, the epoch and the newest offset that the caller knows, how many are kept,
-- and the trace, which may be empty.
-- Answers `new` and the offset, `known` and the first offset, or `moved`, when this is not what the caller has seen.
local meta = redis.call('HMGET', META, 'epoch', 'newest', 'oldest')
if meta[1] ~= ARGV[6] or tonumber(meta[2]) < tonumber(ARGV[7]) then return {'moved'} end
local known = redis.call('HGET', IDS, ARGV[1])
if known then return {'known', known} end
local newest, oldest = tonumber(meta[2]), tonumber(meta[3])
if redis.call('XLEN', STREAM) < newest - oldest + 1 then return {'moved'} end
local offset = text(newest + 1)
local entry = {'i', ARGV[1], 't', ARGV[2], 'e', ARGV[3], 'b', ARGV[4], 'a', text(now(ARGV[5]))}
if ARGV[9] ~= '' then
  entry[11], entry[12] = 'p', ARGV[9]
end
redis.call('XADD', STREAM, offset .. '-0', unpack(entry))
redis.call('HSET', IDS, ARGV[1], offset)
redis.call('HSET', META, 'newest', offset, 'newest_id', ARGV[1])
-- A few more than are added, so that a lowered count is reached in the end.
trim(oldest, tonumber(ARGV[8]), nil, 4)
return {'new', offset}
