-- The queues that hold jobs or are paused; or since when the oldest job of each of some queues waits.
-- ARGV[3…]  queues; nothing for what there is
-- Result    without queues: the names of the paused ones, and the tallies as pairs of `QUEUE MODULE/HANDLER STATE` and a
--           number; with queues: for each the instant, or nothing
if #ARGV < 3 then
  return { redis.call('SMEMBERS', P .. 'paused'), redis.call('HGETALL', P .. 'tally') }
end
local PRIORITY = 4398046511104
local bounds, answer = {}, {}
for priority = 0, 9 do
  bounds[priority] = digits(priority * PRIORITY)
end
for at = 3, #ARGV do
  local oldest
  for mode = 0, 1 do
    -- The oldest of each priority is its first.
    local key, priority = P .. 'l:' .. mode .. ':' .. ARGV[at], 0
    while bounds[priority] do
      local head = redis.call('ZRANGEBYSCORE', key, bounds[priority], '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
      if not head[2] then break end
      local since = head[2] % PRIORITY
      if not oldest or since < oldest then oldest = since end
      priority = (head[2] - since) / PRIORITY + 1
    end
  end
  answer[#answer + 1] = oldest and digits(oldest) or ''
end
return answer
