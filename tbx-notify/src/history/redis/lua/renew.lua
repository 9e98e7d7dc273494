-- Begins a new epoch, unless somebody else was faster. ARGV: the epoch and the newest offset that were found (empty when there was none), the
-- new epoch, the offset that it begins after, the last entry that its predecessor had reached (offset and id), the epoch of the caller, and the id
-- of what the caller has at the offset that it begins after, which may be lost.
-- Remembered is up to which offset each former epoch was taken into account: who has seen more of one has something to tell.
-- What was there stays for as long as it would have, so that its ids are still known, but below the oldest offset, where nobody reads.
local MAX_ENDED = 32
local meta = redis.call('HMGET', META, 'epoch', 'newest', 'ended')
if (meta[1] or '') ~= ARGV[1] or (meta[2] or '') ~= ARGV[2] then return 0 end
local floor, floor_id = tonumber(ARGV[4]), ARGV[8]
if redis.call('EXISTS', STREAM) == 1 then
  -- The stream takes no offset that it had before, even if it was trimmed.
  local info = redis.call('XINFO', 'STREAM', STREAM)
  for place = 1, #info, 2 do
    if info[place] == 'last-generated-id' then
      local last = tonumber(string.match(info[place + 1], '^%d+'))
      if last > floor then
        floor, floor_id = last, ''
      end
    end
  end
end
local ended = {}
if ARGV[7] ~= '' then ended[1] = ARGV[7] .. ':' .. text(floor) end
if ARGV[1] ~= '' and ARGV[1] ~= ARGV[7] then ended[#ended + 1] = ARGV[1] .. ':' .. text(floor) end
for former in string.gmatch(meta[3] or '', '%d+:%d+') do
  if #ended < MAX_ENDED then ended[#ended + 1] = former end
end
redis.call('DEL', TRIMMED)
redis.call('HSET', META, 'format', '1', 'epoch', ARGV[3], 'newest', text(floor), 'oldest', text(floor + 1),
  'forgotten', text(floor), 'floor', text(floor), 'floor_id', floor_id, 'floor_epoch', ARGV[3], 'reached', ARGV[5], 'reached_id', ARGV[6],
  'ended', table.concat(ended, ' '))
return 1
