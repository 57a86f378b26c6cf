-- The queues that hold jobs or are paused.
-- Result  the names of the paused ones; the tallies as pairs of `QUEUE MODULE/HANDLER STATE` and a number; then pairs of
--         a queue and the instant since when its oldest job waits
local names, heads = redis.call('SMEMBERS', P .. 'queues'), {}
for _, queue in ipairs(names) do
  local oldest
  for mode = 0, 1 do
    local line = P .. 'l:' .. mode .. ':' .. queue
    if redis.call('EXISTS', line) == 1 then
      for priority = 0, 9 do
        local from = priority * 4398046511104
        local head = redis.call('ZRANGEBYSCORE', line, digits(from), '(' .. digits(from + 4398046511104), 'WITHSCORES',
          'LIMIT', 0, 1)
        local since = head[2] and tonumber(head[2]) - from
        if since and (not oldest or since < oldest) then oldest = since end
      end
    end
  end
  if oldest then
    heads[#heads + 1] = queue
    heads[#heads + 1] = digits(oldest)
  end
end
return { redis.call('SMEMBERS', P .. 'paused'), redis.call('HGETALL', P .. 'tally'), heads }
