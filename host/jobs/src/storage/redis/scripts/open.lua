-- Looks at the version of the stored format, and writes it where there is none yet.
-- ARGV[3]  the version that the host knows
-- Result   the version that is stored now
local key = P .. 'format'
expect_type(key, 'string')
local version = redis.call('GET', key)
if not version then
  redis.call('SET', key, ARGV[3])
  return ARGV[3]
end
return version
