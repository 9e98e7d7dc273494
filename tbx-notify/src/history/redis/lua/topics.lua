-- The offsets and topics of the entries after an offset, without their bodies. ARGV: the epoch that the caller knows, the offset, how many.
-- Answers none of another epoch.
local found = {}
if redis.call('HGET', META, 'epoch') ~= ARGV[1] then return found end
for _, entry in ipairs(redis.call('XRANGE', STREAM, '(' .. ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])) do
  found[#found + 1] = string.match(entry[1], '^%d+')
  found[#found + 1] = entry[2][4]
end
return found
