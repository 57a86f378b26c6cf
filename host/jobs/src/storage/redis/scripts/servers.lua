-- The servers that are known, in the order of their coming.
-- Result  for each its id, host, process id, version, queues, slots and their use, when it started, when it was last heard
--         of, whether it was given up, and its memory in bytes, where that is known
local answer = {}
for _, server in ipairs(redis.call('ZRANGE', P .. 'servers', 0, -1)) do
  local about = redis.call('HMGET', P .. 'v:' .. server, 'host', 'pid', 'version', 'queues', 'sync', 'sync_busy', 'async',
    'async_busy', 'started', 'beaten', 'dead', 'memory')
  about[11] = about[11] or ''
  answer[#answer + 1] = { server, unpack(about, 1, 12) }
end
return answer
