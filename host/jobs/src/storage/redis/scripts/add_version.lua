-- Keeps a version of a module, whose bytes are there already. One that is known is not retired any more.
-- ARGV[3]   the module       ARGV[4]  the digest, 32 bytes
-- ARGV[5…]  size, the author's version, what it was built with, handlers as JSON, when it was deployed or nothing for now
-- Result    1 where it was known, else 0; an error where the bytes are not all there
local versions, key = P .. 'm:' .. ARGV[3], P .. 'f:' .. ARGV[3] .. ':' .. ARGV[4]
expect_type(versions, 'zset')
expect_type(key, 'hash')
expect_type(P .. 'modules', 'set')
expect_component(ARGV[4], ARGV[5])
if redis.call('EXISTS', key) == 1 then
  redis.call('HDEL', key, 'retired')
  return 1
end
local number = redis.call('HINCRBY', P .. 'meta', 'versions', 1)
redis.call('HSET', key, 'size', ARGV[5], 'version', ARGV[6], 'sdk', ARGV[7], 'handlers', ARGV[8], 'deployed',
  ARGV[9] == '' and digits(now) or ARGV[9])
redis.call('ZADD', versions, number, ARGV[4])
redis.call('SADD', P .. 'modules', ARGV[3])
return 0
