-- How many jobs in a state are pinned to a version. A part at a time.
-- ARGV[3]  the module    ARGV[4]  the digest
-- ARGV[5]  the state that is looked through    ARGV[6]  the number in the order of making to go on from
-- ARGV[7]  how many jobs are looked at
-- Result   how many are, and the number to go on from, nothing there where all of the state were looked at. Those that have the
--          last number are counted by the next look, unless there is no other number.
local module, digest, limit, from = ARGV[3], ARGV[4], tonumber(ARGV[7]), ARGV[6]
local found = redis.call('ZRANGEBYSCORE', P .. 's:' .. ARGV[5], from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
local ids, numbers = {}, {}
for at = 1, #found, 2 do
  ids[#ids + 1], numbers[#numbers + 1] = found[at], tonumber(found[at + 1])
end
local last, is_all = numbers[#numbers], #ids < limit
local is_one = last == numbers[1]
local records, needed = values('j:', ids), 0
for n = 1, #ids do
  local job = (is_all or is_one or numbers[n] ~= last) and records[n] and read(records[n], ids[n])
  if job and job.version == digest and module_of(job.path) == module then needed = needed + 1 end
end
if is_all then
  return { needed, '' }
end
return { needed, digits(is_one and last + 1 or last) }
