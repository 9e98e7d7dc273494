-- How it stands, as of one moment. ARGV: the newest offset that the caller knows, and its id, empty when it knows none.
-- Answers nothing when there is no history. After what each former epoch ended at come the last entry, be it of a former epoch, and how many there
-- are. Last comes whether what the caller knows is still there, or was trimmed; the ids tell, because an entry would be read with its body.
local meta = redis.call('HMGET', META, 'format', 'epoch', 'newest', 'oldest', 'forgotten', 'floor', 'floor_id', 'reached', 'reached_id', 'ended')
if not meta[2] then return {} end
-- Other versions begin epochs without it, and leave that of an earlier one.
if redis.call('HGET', META, 'floor_epoch') ~= meta[2] then meta[7] = '' end
if meta[3] ~= meta[6] then
  meta[11], meta[12] = meta[3], redis.call('HGET', META, 'newest_id')
else
  meta[11], meta[12] = meta[8], meta[9]
end
meta[13] = text(redis.call('XLEN', STREAM))
local is_there = ARGV[2] == '' or tonumber(ARGV[1]) < tonumber(meta[4]) or redis.call('HGET', IDS, ARGV[2]) == ARGV[1]
meta[14] = is_there and '1' or '0'
return meta
