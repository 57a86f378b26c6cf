-- Moves jobs whose instant has come to their lines, and jobs whose handler has come, where an activation left some. Goes on
-- with what is left to do for jobs that expired, for children of jobs that ended, and at limits.
-- ARGV[3]  at most so many
-- Result   how many became enqueued, the milliseconds to the next one or nothing, the ids of damaged jobs that were set
--          aside, whether there may be work (0 or 1), the ids of the jobs that ended by it; then a handler whose jobs
--          `rehome` is to move on, and the number of the activation, where there is one
local left, moved, broken = tonumber(ARGV[3]), 0, {}

-- Jobs that expired before their first run.
local expired = redis.call('ZRANGEBYSCORE', P .. 'x', '-inf', digits(now), 'LIMIT', 0, left)
local records = values('j:', expired)
for n, id in ipairs(expired) do
  local job = records[n] and read(records[n], id)
  if job and job.run == 0 and job.state <= ENQUEUED then
    drop(job, 'expired', 'scheduler')
  else
    into(zrems, P .. 'x', id)
    if not job then broken[#broken + 1] = id end
  end
end
left = left - #expired

local due = redis.call('ZRANGEBYSCORE', P .. 'd', '-inf', digits(now), 'LIMIT', 0, left)
local ids = {}
for n = 1, #due do
  ids[n] = string.sub(due[n], 9)
end
records = values('j:', ids)
for n = 1, #due do
  local job = fresh[ids[n]] or (records[n] and read(records[n], ids[n]))
  if job and job.state == SCHEDULED then
    -- It has waited in its line since it was due, whenever it was moved.
    local since = math.min(job.at, now)
    leave(job)
    become_ready(job, '')
    job.ready = since
    record_step(job, SCHEDULED, 'scheduler')
    stand(job)
    save(job)
    moved = moved + 1
  else
    into(zrems, P .. 'd', due[n])
    if not fresh[ids[n]] then broken[#broken + 1] = ids[n] end
  end
end
left = left - #due

if left > 0 then
  local looked, went = flow.ripple_on(left)
  left, moved = left - looked, moved + went
end

-- Limits where time has made room, those that were changed, and some others, so that no job waits for ever at a limit whose
-- room nobody has told of.
local SOME = 20
if redis.call('EXISTS', P .. 'held') == 1 then
  local seen = {}
  local function look_at(some)
    for _, limit in ipairs(some) do
      if left > 0 and not seen[limit] then
        seen[limit] = true
        left = left - limits.move_back(limit, left)
      end
    end
  end
  look_at(redis.call('ZRANGEBYSCORE', P .. 'held', '-inf', digits(now), 'LIMIT', 0, LINES))
  local from = redis.call('GET', P .. 'relook')
  if from and left > 0 then
    left = left - limits.look_around(from, left)
  else
    -- A limit that has an instant is looked at then.
    local some, far = left > 0 and redis.call('ZRANDMEMBER', P .. 'held', SOME, 'WITHSCORES') or {}, {}
    for at = 1, #some, 2 do
      if tonumber(some[at + 1]) >= FAR then far[#far + 1] = some[at] end
    end
    look_at(far)
  end
elseif redis.call('EXISTS', P .. 'relook') == 1 then
  dels[#dels + 1] = P .. 'relook'
end

if next(zrems) or next(zadds) or #puts + #dels > 0 or next(held_lines) or stored_ripples > 0 then
  commit()
end
local next_in
for _, key in ipairs({ 'd', 'x', 'held' }) do
  local head = redis.call('ZRANGE', P .. key, 0, 0, 'WITHSCORES')
  local at = tonumber(head[2])
  if at and at < FAR then
    next_in = math.min(next_in or FAR, math.max(at - now, 0))
  end
end
if redis.call('EXISTS', P .. 'ripples', P .. 'relook') > 0 then next_in = 0 end
local answer = { moved, next_in and digits(next_in) or '', table.concat(broken), work and 1 or 0, table.concat(ends) }
-- Whoever activated it may do so just now, and then both go on together; or it was cut short, and nobody else would.
local path = redis.call('HRANDFIELD', P .. 'rehoming', 1)[1]
local _, number = nil, nil
if path then _, number = rehoming_of(path) end
if number then
  answer[6], answer[7] = path, number
end
return answer
