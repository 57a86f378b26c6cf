-- Puts a recurring job where its revision is the expected one, and stores jobs in the same step.
-- ARGV[3]   its name         ARGV[4]  the expected revision, or nothing where there must be none
-- ARGV[5]   the revision that it gets where there is none
-- ARGV[6]   what is kept     ARGV[7]  when it is due, or nothing
-- ARGV[8]   how many jobs    ARGV[9…] five arguments each, as births.lua says
-- Result    the new revision, or nothing where the revision was another
local known = redis.call('HGET', P .. 'recurring', ARGV[3])
local revision = known and string.match(known, '^%d+') or ''
if revision ~= ARGV[4] then
  return false
end
expect_type(P .. 'recurring:names', 'zset')
expect_type(P .. 'recurring:due', 'zset')
local changed = revision ~= '' and digits(tonumber(revision) + 1) or ARGV[5]
bear(9, tonumber(ARGV[8]))
into(hsets, P .. 'recurring', ARGV[3], changed .. ' ' .. ARGV[6])
into(zadds, P .. 'recurring:names', 0, ARGV[3])
if ARGV[7] ~= '' then
  into(zadds, P .. 'recurring:due', ARGV[7], ARGV[3])
  work = true
else
  into(zrems, P .. 'recurring:due', ARGV[3])
end
commit()
return changed
