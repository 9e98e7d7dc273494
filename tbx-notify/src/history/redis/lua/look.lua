-- How it stands, as of one moment. ARGV: the newest offset that the caller knows, and its id, empty when it knows none.
-- Answers nothing when there is no history. `reached` is the last entry that came, be it in a former epoch: see renew.lua. Last comes whether what
-- the caller knows is still there, or was trimmed; the ids tell, because an entry would be read with its body.
local meta = redis.call('HMGET', META,
  'format', 'epoch', 'newest', 'oldest', 'forgotten', 'floor', 'reached', 'reached_id', 'ended', 'newest_id')
if not meta[2] then return {} end
if meta[3] ~= meta[6] then
  meta[7], meta[8] = meta[3], meta[10]
end
meta[10] = text(redis.call('XLEN', STREAM))
local is_there = ARGV[2] == '' or tonumber(ARGV[1]) < tonumber(meta[4]) or redis.call('HGET', IDS, ARGV[2]) == ARGV[1]
meta[11] = is_there and '1' or '0'
return meta
