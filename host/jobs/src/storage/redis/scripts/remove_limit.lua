-- Removes a limit.
-- ARGV[3]  its target
-- Result   1 where it was there, else 0
if redis.call('HEXISTS', P .. 'limits', ARGV[3]) == 0 then
  return 0
end
into(hdels, P .. 'limits', ARGV[3])
if string.sub(ARGV[3], 1, 4) ~= 'key:' then into(hdels, P .. 'running', ARGV[3]) end
limits.change_rule(ARGV[3], nil)
commit()
return 1
