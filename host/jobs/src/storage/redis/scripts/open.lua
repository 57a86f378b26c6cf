-- Looks at the version of the stored format, and writes it where there is none yet and that may be.
-- ARGV[3]  the version that the host knows
-- ARGV[4]  whether it may be written (1 or 0)
-- Result   the version that was stored, or nothing
local key = P .. 'format'
expect_type(key, 'string')
local version = redis.call('GET', key)
if not version and ARGV[4] == '1' then
  redis.call('SET', key, ARGV[3])
end
return version
