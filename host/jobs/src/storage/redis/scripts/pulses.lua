-- The heartbeat counters of the servers that are known; 0 where that of one is lost or damaged.
-- Result  for each its id and its counter
local answer = {}
for _, server in ipairs(redis.call('ZRANGE', P .. 'servers', 0, -1)) do
  answer[#answer + 1] = server
  local beat = redis.call('HGET', P .. 'v:' .. server, 'beat')
  answer[#answer + 1] = tonumber(beat) and beat or '0'
end
return answer
