-- What happened, by span.
-- ARGV[3]  `m` or `h`       ARGV[4], ARGV[5]  the first and the last span's beginning
-- ARGV[6]  at most so many spans, the newest
-- Result   for each span its beginning, and pairs of `MODULE/HANDLER WHAT` and a number
local spans = redis.call('ZREVRANGEBYSCORE', P .. 'spans:' .. ARGV[3], ARGV[5], ARGV[4], 'LIMIT', 0, ARGV[6])
local answer = {}
for n = #spans, 1, -1 do
  answer[#answer + 1] = spans[n]
  answer[#answer + 1] = redis.call('HGETALL', P .. 'n:' .. ARGV[3] .. ':' .. spans[n])
end
return answer
