-- Removes a recurring job.
-- ARGV[3]  its name      ARGV[4]  the revision that it must have, or nothing where any will do
-- Result   1 where there was one, else 0
local known = redis.call('HGET', P .. 'recurring', ARGV[3])
if ARGV[4] ~= '' and (not known or string.match(known, '^%d+') ~= ARGV[4]) then
  return 0
end
into(zrems, P .. 'recurring:names', ARGV[3])
into(zrems, P .. 'recurring:due', ARGV[3])
into(hdels, P .. 'recurring', ARGV[3])
commit()
return known and 1 or 0
