-- The queues that hold jobs or are paused.
-- Result  the names of the paused ones; the tallies as pairs of `QUEUE MODULE/HANDLER STATE` and a number; then pairs of
--         a queue and the instant since when its oldest job waits
local tally, heads, seen = redis.call('HGETALL', P .. 'tally'), {}, {}
for at = 1, #tally, 2 do
  local queue, state = string.match(tally[at], '^(%S+) %S+ (%d)$')
  if tonumber(state) == ENQUEUED and not seen[queue] then
    seen[queue] = true
    local oldest
    for mode = 0, 1 do
      -- The oldest of each priority is its first.
      local from = 0
      while from do
        local head = redis.call('ZRANGEBYSCORE', P .. 'l:' .. mode .. ':' .. queue, digits(from), '+inf', 'WITHSCORES',
          'LIMIT', 0, 1)
        local score = tonumber(head[2])
        local since = score and score % 4398046511104
        if since and (not oldest or since < oldest) then oldest = since end
        from = score and score - since + 4398046511104
      end
    end
    if oldest then
      heads[#heads + 1] = queue
      heads[#heads + 1] = digits(oldest)
    end
  end
end
return { redis.call('SMEMBERS', P .. 'paused'), tally, heads }
