-- Makes a server known.
-- ARGV[3]   its id
-- ARGV[4…]  host, process id, version, queues as JSON, slots for sync handlers, slots for async handlers
-- Result    nothing
local key = P .. 'v:' .. ARGV[3]
expect_type(key, 'hash')
expect_type(P .. 'servers', 'zset')
redis.call('HSET', key, 'host', ARGV[4], 'pid', ARGV[5], 'version', ARGV[6], 'queues', ARGV[7], 'sync', ARGV[8],
  'sync_busy', 0, 'async', ARGV[9], 'async_busy', 0, 'started', digits(now), 'beaten', digits(now), 'beat', 0)
redis.call('ZADD', P .. 'servers', now, ARGV[3])
