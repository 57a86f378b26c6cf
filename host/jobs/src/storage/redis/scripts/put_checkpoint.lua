-- Keeps a value under a key.
-- ARGV[3]  the job's id      ARGV[4]  the server's id      ARGV[5]  the run
-- ARGV[6]  the key           ARGV[7]  the value
-- ARGV[8]  the most keys     ARGV[9]  the most bytes of all keys and values
-- Result   `kept`, `superseded`, or `keys` or `bytes` and how many there are or would be
local job = job_of(ARGV[3])
if not job or job.state ~= PROCESSING or job.server ~= ARGV[4] or job.run ~= tonumber(ARGV[5]) then
  return { 'superseded' }
end
local key, field = P .. 'c:' .. job.id, 'k' .. ARGV[6]
expect_type(key, 'hash')
local had = redis.call('HSTRLEN', key, field)
local known = redis.call('HEXISTS', key, field) == 1
local keys = math.max(redis.call('HLEN', key) - 1, 0) - (known and 1 or 0)
if keys >= tonumber(ARGV[8]) then
  return { 'keys', keys }
end
local bytes = tonumber(redis.call('HGET', key, 'n') or 0) - (known and had + #ARGV[6] or 0) + #ARGV[6] + #ARGV[7]
if bytes > tonumber(ARGV[9]) then
  return { 'bytes', bytes }
end
redis.call('HSET', key, field, ARGV[7], 'n', digits(bytes))
return { 'kept' }
