-- Moves jobs to the line of the mode in which their handler runs now: those that wait for it, and those that wait in the
-- other line or for their instant and are not pinned to a version. A part at a time; whatever is left in the wrong line
-- is taken from there and comes back to the right one. How far it came is kept, so that another may go on.
-- ARGV[3]  the handler as `module/handler`      ARGV[4]  the number of the activation
-- ARGV[5]  how many jobs are looked at
-- Result   1 where more is left of this activation's, else 0
local path, limit = ARGV[3], tonumber(ARGV[5])
local kind, number, from = rehoming_of(path)
if not kind or number ~= ARGV[4] then
  -- Another has done it, or a later activation begins anew.
  return 0
end
local function is_done()
  into(hdels, P .. 'rehoming', path)
  commit()
  return 0
end
local mode = active_mode(path)
if not mode then
  return is_done()
end
local waiting = redis.call('ZRANGE', P .. 'y:' .. path, 0, limit - 1)
local records = values('j:', waiting)
for n = 1, #waiting do
  local job = records[n] and read(records[n], waiting[n])
  if job and job.state == AWAITING then
    leave(job)
    job.mode = mode
    become_ready(job, '')
    record_step(job, AWAITING, 'activation')
    stand(job)
    save(job)
  else
    into(zrems, P .. 'y:' .. path, waiting[n])
  end
end
if #waiting > 0 then
  commit()
  return 1
end
if kind == 'w' then
  return is_done()
end
-- The shorter list is looked through: the handler's jobs, or all that wait.
local waits = redis.call('ZCARD', P .. 's:2') + redis.call('ZCARD', P .. 's:0')
local lists = waits < redis.call('ZCARD', P .. 'h/:' .. path) and { 's:0', 's:2' } or { 'h/:' .. path }
local ids, last = {}, nil
for _, list in ipairs(lists) do
  local found = redis.call('ZRANGEBYSCORE', P .. list, from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
  for at = 1, #found, 2 do
    ids[#ids + 1] = { found[at], tonumber(found[at + 1]) }
  end
end
table.sort(ids, function(a, b) return a[2] < b[2] end)
local some = {}
for n = 1, math.min(limit, #ids) do
  some[n], last = ids[n][1], ids[n][2]
end
records = values('j:', some)
for n = 1, #some do
  local job = records[n] and read(records[n], some[n])
  if job and (job.state == ENQUEUED or job.state == SCHEDULED) and job.path == path and job.mode ~= mode
    and job.version == '' then
    leave(job)
    job.mode = mode
    stand(job)
    save(job)
  end
end
if #some < limit then
  return is_done()
end
-- Some jobs may share the last number, so it is looked at again, unless there was no other.
set_rehoming(path, kind, number, digits(last > tonumber(from) and last or last + 1))
commit()
return 1
