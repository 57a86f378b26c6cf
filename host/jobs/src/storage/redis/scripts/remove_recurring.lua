-- Removes a recurring job.
-- ARGV[3]  its name
-- Result   1 where there was one, else 0
into(zrems, P .. 'recurring:names', ARGV[3])
into(zrems, P .. 'recurring:due', ARGV[3])
into(hdels, P .. 'recurring', ARGV[3])
local known = redis.call('HEXISTS', P .. 'recurring', ARGV[3])
commit()
return known
