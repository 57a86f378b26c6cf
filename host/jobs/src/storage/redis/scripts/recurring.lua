-- Recurring jobs.
-- ARGV[3]  `due`: those whose instant has come, at most ARGV[4]; `list`: by name, after the name ARGV[5]
-- Result   for those that are due, the milliseconds to the next one or nothing; the present instant; then pairs of a name
--          and what is kept
local answer, names = { '', digits(now) }, nil
if ARGV[3] == 'due' then
  local limit = tonumber(ARGV[4])
  names = redis.call('ZRANGEBYSCORE', P .. 'recurring:due', '-inf', digits(now), 'LIMIT', 0, limit)
  local next_one
  if #names == limit then
    next_one = redis.call('ZRANGE', P .. 'recurring:due', limit, limit, 'WITHSCORES')
  else
    next_one = redis.call('ZRANGEBYSCORE', P .. 'recurring:due', '(' .. digits(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  end
  if next_one[2] then
    answer[1] = digits(math.max(tonumber(next_one[2]) - now, 0))
  end
else
  local from = ARGV[5] == '' and '-' or '(' .. ARGV[5]
  names = redis.call('ZRANGEBYLEX', P .. 'recurring:names', from, '+', 'LIMIT', 0, ARGV[4])
end
for _, name in ipairs(names) do
  answer[#answer + 1] = name
  answer[#answer + 1] = redis.call('HGET', P .. 'recurring', name) or ''
end
return answer
