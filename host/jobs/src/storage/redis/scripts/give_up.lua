-- Takes runs away from a server: at most so many at a time, and at last forgets it. From the first step on it gets no
-- jobs, and its heartbeats are refused. A step that is not followed by the others is taken up by the next sweep.
-- ARGV[3]  the server's id
-- ARGV[4]  its heartbeat counter, where it was lost: it is left alone where that has moved on. Nothing where it leaves
--          in order: then losses do not count, and attempts are given back.
-- ARGV[5]  at most so many runs
-- Result   nothing where it is not known or has beaten again; else how many runs were taken, whether there may be more
--          (0 or 1), the ids of damaged jobs, which keep their server and are met here no second time, and the ids of those
--          that ended
local server, beat, limit = ARGV[3], ARGV[4], tonumber(ARGV[5])
local key = P .. 'v:' .. server
local about = redis.call('HMGET', key, 'host', 'beat', 'dead')
-- One of which only the id is left is given up too, or its runs would never come back.
if not about[1] and not redis.call('ZSCORE', P .. 'servers', server) then
  return {}
end
if beat ~= '' and not about[3] and (tonumber(about[2]) and about[2] or '0') ~= beat then
  return {}
end
local ids = redis.call('SRANDMEMBER', P .. 'u:' .. server, limit)
local records, taken, broken = values('j:', ids), 0, {}
for n = 1, #ids do
  local job = records[n] and read(records[n], ids[n])
  if not job or job.state ~= PROCESSING or job.server ~= server then
    into(srems, P .. 'u:' .. server, ids[n])
    if not job then
      broken[#broken + 1] = ids[n]
      limits.give_back_damaged(server, ids[n])
    end
  else
    leave(job)
    taken = taken + 1
    local run, by, failure = current_run(job), '', ''
    local function fails(cause, message)
      failure = cjson.encode({ cause = cause, message = message })
      become(job, FAILED, cause)
      happened(job.path, 'failed', 1)
    end
    if beat ~= '' then
      job.losses, by = job.losses + 1, 'sweeper'
    else
      give_attempt_back(job)
    end
    if job.ask ~= 0 then
      by = job.asked_by
      become(job, DELETED, ASKED[job.ask])
      happened(job.path, 'deleted', 1)
    elseif beat == '' then
      become(job, ENQUEUED, 'shutdown')
    elseif job.losses >= 3 then
      -- After so many lost servers a job is taken to be what kills them.
      fails('poison', job.losses .. ' servers were lost while they ran this job')
    elseif job.attempt >= job.max_attempts then
      fails('server-lost',
        'the server was lost during attempt ' .. job.attempt .. ' of ' .. job.max_attempts)
    else
      become(job, ENQUEUED, 'server-lost')
    end
    job.server = ''
    record_run(job, run, NO_USAGE, failure, by)
    stand(job)
    save(job)
  end
end
local more = #ids == limit and 1 or 0
if more == 1 then
  into(hsets, key, 'dead', '1')
else
  dels[#dels + 1] = key
  dels[#dels + 1] = P .. 'k:' .. server
  dels[#dels + 1] = P .. 'u:' .. server
  into(zrems, P .. 'servers', server)
end
if #ripples > 0 then flow.ripple_on(CHILDREN_IN_STEP) end
if given_back[1] then limits.move_all_back(HELD_IN_STEP) end
commit()
return { taken, more, table.concat(broken), table.concat(ends) }
