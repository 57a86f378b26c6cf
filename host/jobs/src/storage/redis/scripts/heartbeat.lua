-- Says that a server lives.
-- ARGV[3]   its id
-- ARGV[4…]  slots for sync handlers, how many are busy, slots for async handlers, how many are busy, and its memory in bytes,
--           empty where it is not known
-- Result    nothing where it is not known or was given up; else `alive`, then for each run that is to stop the job's id
--           and the run
local server = ARGV[3]
local key = P .. 'v:' .. server
local about = redis.call('HMGET', key, 'host', 'dead')
if not about[1] or about[2] then
  return {}
end
redis.call('HSET', key, 'sync', ARGV[4], 'sync_busy', ARGV[5], 'async', ARGV[6], 'async_busy', ARGV[7], 'beaten',
  digits(now))
if ARGV[8] ~= '' then
  redis.call('HSET', key, 'memory', ARGV[8])
end
redis.call('HINCRBY', key, 'beat', 1)
local answer = { 'alive' }
local ids = redis.call('SMEMBERS', P .. 'k:' .. server)
local records = values('j:', ids)
for n = 1, #ids do
  -- A damaged job must not keep its server from beating; whoever asked for its cancel was told of the damage.
  local job = records[n] and read(records[n], ids[n])
  if job and job.state == PROCESSING and job.server == server then
    answer[#answer + 1] = ids[n]
    answer[#answer + 1] = job.run
  end
end
return answer
