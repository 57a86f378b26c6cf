-- Keeps entries of the audit log.
-- ARGV[3…]  pairs of an entry's instant and the entry as JSON
-- Result    nothing
expect_type(P .. 'audit', 'stream')
expect_type(P .. 'meta', 'hash')
local number = redis.call('HINCRBY', P .. 'meta', 'audit', (#ARGV - 2) / 2) - (#ARGV - 2) / 2
for at = 3, #ARGV, 2 do
  number = number + 1
  redis.call('XADD', P .. 'audit', digits(number) .. '-0', 'a', ARGV[at], 'e', ARGV[at + 1])
end
-- A log of one's own takes nothing any more from elsewhere.
redis.call('UNLINK', P .. 'audit:imported')
