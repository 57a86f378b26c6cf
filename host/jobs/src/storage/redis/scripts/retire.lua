-- Retires a version that no job needs.
-- ARGV[3]  the module    ARGV[4]  the digest
-- Result   `done`, `unknown`, or `live` where new jobs go to it
local module, digest = ARGV[3], ARGV[4]
local key = P .. 'f:' .. module .. ':' .. digest
if redis.call('HEXISTS', key, 'size') == 0 then
  return 'unknown'
end
if redis.call('HEXISTS', key, 'retired') == 1 then
  return 'done'
end
local canary = redis.call('HGET', P .. 'canary', module) or ''
if redis.call('HGET', P .. 'active', module) == digest or string.sub(canary, 2) == digest then
  return 'live'
end
local is_elsewhere = false
for _, other in ipairs(redis.call('SMEMBERS', P .. 'modules')) do
  is_elsewhere = is_elsewhere or other ~= module and is_usable(other, digest)
end
into(hsets, key, 'retired', digits(now))
if not is_elsewhere then
  dels[#dels + 1] = P .. 'b:' .. digest
end
modules_changed = true
commit()
return 'done'
