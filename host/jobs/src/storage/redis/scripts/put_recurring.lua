-- Puts a recurring job where its revision is the expected one, and stores jobs in the same step.
-- ARGV[3]   its name         ARGV[4]  the expected revision, or nothing where there must be none
-- ARGV[5]   the revision after that
-- ARGV[6]   what is kept     ARGV[7]  when it is due, or nothing
-- ARGV[8]   which of the jobs is the entry's last one, from 1; 0 where none of them is
-- ARGV[9]   how many jobs    ARGV[10…] five arguments each, as births.lua says
-- Result    a letter for each job as births.lua says, with a job's id behind `x`, `r` and `o`; nothing where the revision was
--           another
local known = redis.call('HGET', P .. 'recurring', ARGV[3])
local revision = known and string.match(known, '^%d+') or ''
if revision ~= ARGV[4] then
  return false
end
expect_type(P .. 'recurring:names', 'zset')
expect_type(P .. 'recurring:due', 'zset')
local letters = bear(10, tonumber(ARGV[9]), true)
-- What came of the last one stands before what is kept: the letter, and in hexadecimal the id of the job that is there instead.
local came = letters[tonumber(ARGV[8])]
local instead = ''
if came and #came > 1 then
  for at = 1, #came do
    instead = instead .. string.format('%02x', string.byte(came, at))
  end
  instead = instead .. ' '
end
into(hsets, P .. 'recurring', ARGV[3], ARGV[5] .. ' ' .. instead .. ARGV[6])
into(zadds, P .. 'recurring:names', 0, ARGV[3])
if ARGV[7] ~= '' then
  into(zadds, P .. 'recurring:due', ARGV[7], ARGV[3])
  work = true
else
  into(zrems, P .. 'recurring:due', ARGV[3])
end
commit()
return table.concat(letters)
