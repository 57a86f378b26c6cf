-- Moves jobs to the line of the mode in which their handler runs now: those that wait for it, and those that wait in the
-- other line or for their instant and are not pinned to a version. A part at a time; whatever is left in the wrong line
-- is taken from there and comes back to the right one.
-- ARGV[3]  the handler as `module/handler`      ARGV[4]  its mode
-- ARGV[5]  from which number of the order of making on
-- ARGV[6]  how many jobs are looked at
-- ARGV[7]  1 for those only that wait for it
-- Result   the number to go on from, or nothing at the end
local path, mode, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[6])
if active_mode(path) ~= mode then
  return false
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
  return ARGV[5]
end
if ARGV[7] == '1' then
  return false
end
-- The shorter list is looked through: the handler's jobs, or all that wait.
local waits = redis.call('ZCARD', P .. 's:2') + redis.call('ZCARD', P .. 's:0')
local lists = waits < redis.call('ZCARD', P .. 'h/:' .. path) and { 's:0', 's:2' } or { 'h/:' .. path }
local ids, last = {}, nil
for _, list in ipairs(lists) do
  local found = redis.call('ZRANGEBYSCORE', P .. list, ARGV[5], '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
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
if #puts > 0 then
  commit()
end
return #some == limit and digits(last + 1) or false
