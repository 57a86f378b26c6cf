-- Versions of modules, the newest first.
-- ARGV[3]  the module, or nothing for all
-- Result   for each: module, digest, size, the author's version, what it was built with, handlers as JSON, when it was
--          deployed, whether it is active (1 or 0), how many of a hundred new jobs go to it where it is the canary (else 0),
--          when it was retired or nothing
local modules = ARGV[3] ~= '' and { ARGV[3] } or redis.call('SMEMBERS', P .. 'modules')
table.sort(modules)
local answer = {}
for _, module in ipairs(modules) do
  local active = redis.call('HGET', P .. 'active', module)
  local canary = redis.call('HGET', P .. 'canary', module) or ''
  for _, digest in ipairs(redis.call('ZREVRANGE', P .. 'm:' .. module, 0, -1)) do
    local about = redis.call('HMGET', P .. 'f:' .. module .. ':' .. digest, 'size', 'version', 'sdk', 'handlers',
      'deployed', 'retired')
    for n = 1, 6 do
      about[n] = about[n] or ''
    end
    answer[#answer + 1] = { module, digest, about[1], about[2], about[3], about[4], about[5],
      active == digest and '1' or '0', string.sub(canary, 2) == digest and string.byte(canary) or 0,
      about[6] }
  end
end
return answer
