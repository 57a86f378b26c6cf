-- Moves jobs whose instant has come to their lines, and jobs whose handler has come, where an activation left some.
-- ARGV[3]  at most so many
-- Result   how many were moved, the milliseconds to the next one or nothing, the ids of damaged jobs that were set aside;
--          then a handler whose jobs `rehome` is to move on, and the number of the activation, where there is one
local limit = tonumber(ARGV[3])
local due = redis.call('ZRANGEBYSCORE', P .. 'd', '-inf', digits(now), 'LIMIT', 0, limit)
local ids, broken = {}, {}
for n = 1, #due do
  ids[n] = string.sub(due[n], 9)
end
local records = values('j:', ids)
for n = 1, #due do
  local job = records[n] and read(records[n], ids[n])
  if job and job.state == SCHEDULED then
    -- It has waited in its line since it was due, whenever it was moved.
    local since = math.min(job.at, now)
    leave(job)
    become_ready(job, '')
    job.ready = since
    record_step(job, SCHEDULED, 'scheduler')
    stand(job)
    save(job)
  else
    into(zrems, P .. 'd', due[n])
    broken[#broken + 1] = ids[n]
  end
end
if #due > 0 then
  commit()
end
local head = redis.call('ZRANGE', P .. 'd', 0, 0, 'WITHSCORES')
local next_in = head[2] and digits(math.max(tonumber(head[2]) - now, 0)) or ''
local answer = { #due, next_in, table.concat(broken) }
-- Whoever activated it may do so just now, and then both go on together; or it was cut short, and nobody else would.
local path = redis.call('HRANDFIELD', P .. 'rehoming', 1)[1]
local _, number = nil, nil
if path then _, number = rehoming_of(path) end
if number then
  answer[4], answer[5] = path, number
end
return answer
