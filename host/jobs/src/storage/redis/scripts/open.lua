-- Looks at the version of the stored format, and writes it where there is none or an older one and that may be: what came
-- with a version is only added to what was there.
-- ARGV[3]  the version that the host knows
-- ARGV[4]  whether it may be written (1 or 0)
-- Result   the version that was stored, or nothing
local key = P .. 'format'
expect_type(key, 'string')
local version = redis.call('GET', key)
if ARGV[4] == '1' and (not version or (tonumber(version) or 99) < tonumber(ARGV[3])) then
  redis.call('SET', key, ARGV[3])
end
return version
