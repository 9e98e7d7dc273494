-- What all scripts share. KEYS: the stream of entries, the offset of each id, the state, how far each topic was trimmed.
-- An entry stands at `<offset>-0` and has its fields in this order: i(d) t(opic) e(vent) b(ody) a(ppended, in milliseconds).
local STREAM, IDS, META, TRIMMED = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- Numbers as Redis takes them; Lua would write large ones with an exponent.
local function text(number)
  return string.format('%.0f', number)
end

-- The time of tests, or that of the server, so that the clocks of notifiers do not matter.
local function now(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Trims the old end, at most `batch` entries: what exceeds the count, and what was appended before `horizon`, where one is given.
-- Redis hands entries over with their bodies, so no more are taken than may go.
-- Topics of which nothing is kept are remembered up to a number; that of entries comes on top, because so many may still have some.
-- Returns the offset of the oldest entry kept, and how many were trimmed.
local MAX_EMPTIED = 10000
local function trim(oldest, max_count, horizon, batch)
  local excess = redis.call('XLEN', STREAM) - max_count
  if excess <= 0 then
    if not horizon then return oldest, 0 end
    local first = redis.call('XRANGE', STREAM, '-', '+', 'COUNT', 1)[1]
    if not first or tonumber(first[2][10]) >= horizon then return oldest, 0 end
  end
  if not horizon then batch = math.min(batch, excess) end
  local cut, last = 0, 0
  local entries = redis.call('XRANGE', STREAM, '-', '+', 'COUNT', batch)
  for place, entry in ipairs(entries) do
    -- One cut at the old end, whatever the clock did: what is kept has no holes.
    if place <= excess or (horizon and tonumber(entry[2][10]) < horizon) then cut = place end
  end
  if cut == 0 then return oldest, 0 end
  local ids, topics = {}, {}
  for place = 1, cut do
    local entry = entries[place]
    last = tonumber(string.match(entry[1], '^%d+'))
    ids[place] = entry[2][2]
    -- What lies before the oldest was lost with an epoch, and is counted as forgotten.
    if last >= oldest then
      topics[#topics + 1] = text(last)
      topics[#topics + 1] = entry[2][4]
    end
  end
  redis.call('HDEL', IDS, unpack(ids))
  if #topics > 0 then redis.call('ZADD', TRIMMED, unpack(topics)) end
  redis.call('XTRIM', STREAM, 'MINID', '=', text(last + 1) .. '-0')
  if last >= oldest then
    oldest = last + 1
    redis.call('HSET', META, 'oldest', text(oldest))
  end
  local forgotten = redis.call('ZCARD', TRIMMED) - MAX_EMPTIED - redis.call('XLEN', STREAM)
  if forgotten > 0 then
    local popped = redis.call('ZPOPMIN', TRIMMED, forgotten)
    redis.call('HSET', META, 'forgotten', popped[#popped])
  end
  return oldest, cut
end
