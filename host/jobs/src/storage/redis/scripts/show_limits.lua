-- All limits.
-- ARGV[3]  the most keys that one is shown with the sums of
-- Result   for each: its target, how many at once, how many starts, in which period (0 for any), how many jobs run under it
--          and wait for room, and for the beginning of keys how many have such jobs (nothing for others); of one that
--          is damaged its target alone
local most, answer = tonumber(ARGV[3]), {}
-- So many keys are looked at for one limit, of which others may have limits of their own.
local LOOKS = 10 * most
local function add(target, rule, running, held, keys)
  answer[#answer + 1] = { target, rule.concurrency, rule.starts, digits(rule.period), running, held, keys }
end
local function counts_of(limit)
  return limits.running_of(limit), redis.call('ZCARD', P .. 'z:' .. limit)
end
if not load_rules() then
  return answer
end
local all = redis.call('HGETALL', P .. 'limits')
for at = 1, #all, 2 do
  if not read_rule(all[at + 1]) then answer[#answer + 1] = { all[at] } end
end
for limit, rule in pairs(rules.exact) do
  local running, held = counts_of(limit)
  add(limit, rule, running, held, '')
end
for _, beginning in ipairs(rules.beginnings) do
  local start, rule = string.sub(beginning[1], 5), beginning[2]
  local keys, running, held = 0, 0, 0
  local found_keys = redis.call('ZRANGEBYLEX', P .. 'keys', '[' .. start, start == '' and '+' or '(' .. start .. '\255',
    'LIMIT', 0, LOOKS)
  for _, key in ipairs(found_keys) do
    if keys < most and limits.rule_of('key:' .. key) == rule then
      local some_running, some_held = counts_of('key:' .. key)
      keys, running, held = keys + 1, running + some_running, held + some_held
    end
  end
  add(beginning[1] .. '*', rule, running, held, keys)
end
return answer
