-- The offsets and topics of the entries after an offset. ARGV: the epoch that the caller knows, the offset, how many at most.
-- Answers none of another epoch. Redis hands entries over with their bodies, so a few are taken at a time, and no more once those were large:
-- whoever gets fewer than there are asks again, and others have their turn in between.
local STEP, MAX_BYTES = 50, 1048576
local found, after, left, bytes = {}, ARGV[2], tonumber(ARGV[3]), 0
if redis.call('HGET', META, 'epoch') ~= ARGV[1] then return found end
while left > 0 and bytes < MAX_BYTES do
  local entries = redis.call('XRANGE', STREAM, '(' .. after .. '-0', '+', 'COUNT', math.min(left, STEP))
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    after = string.match(entry[1], '^%d+')
    found[#found + 1] = after
    found[#found + 1] = entry[2][4]
    bytes = bytes + #entry[2][8]
  end
  left = left - #entries
end
return found
