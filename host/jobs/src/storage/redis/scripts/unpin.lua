-- Lets jobs go that wait and are pinned to a version: they take one anew when they are claimed. A part at a time.
-- ARGV[3]  the module    ARGV[4]  the digest
-- ARGV[5]  the state that is looked through    ARGV[6]  the number in the order of making to go on from
-- ARGV[7]  how many jobs are looked at
-- Result   how many were let go, and the number to go on from; nothing there where all of the state were looked at
local module, digest, limit, from = ARGV[3], ARGV[4], tonumber(ARGV[7]), ARGV[6]
local found = redis.call('ZRANGEBYSCORE', P .. 's:' .. ARGV[5], from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
local ids, last, gone = {}, nil, 0
for at = 1, #found, 2 do
  ids[#ids + 1], last = found[at], tonumber(found[at + 1])
end
local records = values('j:', ids)
for n = 1, #ids do
  local job = records[n] and read(records[n], ids[n])
  if job and (job.state == ENQUEUED or job.state == SCHEDULED) and job.version == digest
    and module_of(job.path) == module then
    leave(job)
    job.version = ''
    job.mode = active_mode(job.path) or job.mode
    stand(job)
    save(job)
    gone = gone + 1
  end
end
if gone > 0 then commit() end
if #ids < limit then
  return { gone, '' }
end
-- Some jobs may share the last number, so it is looked at again, unless there was no other.
return { gone, digits(last > (tonumber(from) or NONE) and last or last + 1) }
