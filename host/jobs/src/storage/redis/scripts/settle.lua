-- Ends runs. One whose fence does not hold changes nothing.
-- ARGV[3]   how many
-- ARGV[4…]  for each: the job's id, the server's id, the run, then
--           what becomes of the job: `S`ucceeded, `R`etry, snoo`Z`e, `F`ailed, re`L`eased, `H`andler missing, `C`ancelled
--           the delay in milliseconds or the mode (a number), the reason (a failure's cause), the usage as 48 bytes
--           with its time and fuel as numbers, the failure as JSON, whether there is a result (0 or 1), the result,
--           how many follow-up jobs, whether the handler was begun (0 or 1), and those jobs, five arguments each, as
--           births.lua says
-- Result    a letter for each: the number of its state, `x` where its fence did not hold, `d` where it is damaged; whether
--           there may be work (0 or 1); the ids of all jobs that ended by it
local count, at = tonumber(ARGV[3]), 4
local letters, starts, ids, seen, born_of = {}, {}, {}, {}, {}
for n = 1, count do
  starts[n], ids[n] = at, ARGV[at]
  at = at + 14 + 5 * tonumber(ARGV[at + 12])
end
local records = values('j:', ids)
for n = 1, count do
  local at, id = starts[n], ids[n]
  local server, kind = ARGV[at + 1], ARGV[at + 3]
  local job = records[n] and not seen[id] and read(records[n], id)
  if records[n] and not seen[id] and not job then
    letters[n] = 'd'
  elseif not job or job.state ~= PROCESSING or job.server ~= server or job.run ~= tonumber(ARGV[at + 2]) then
    letters[n] = 'x'
  else
    seen[id] = true
    leave(job)
    local run, by, failure, path = current_run(job), '', ARGV[at + 9], job.path
    if kind == 'Z' or kind == 'L' or kind == 'H' then
      give_attempt_back(job)
    end
    if kind == 'S' then
      -- It was too late to stop it, so nothing is asked any more.
      job.ask, job.asked_by = 0, ''
      become(job, SUCCEEDED, '')
      if ARGV[at + 10] == '1' then
        put(P .. 'r:' .. id, ARGV[at + 11])
      end
      happened(path, 'succeeded', 1)
    elseif job.ask ~= 0 then
      by = job.asked_by
      become(job, DELETED, ASKED[job.ask])
    elseif kind == 'F' then
      become(job, FAILED, ARGV[at + 5])
      happened(path, 'failed', 1)
    elseif kind == 'C' then
      become(job, DELETED, ASKED[1])
    elseif kind == 'L' then
      -- It keeps its place in the line.
      job.mode = tonumber(ARGV[at + 4])
      become(job, ENQUEUED, ARGV[at + 5])
    elseif kind == 'H' then
      -- Another version may have brought the handler since the run began.
      local active = redis.call('HGET', P .. 'active', module_of(path)) or ''
      local mode = active_mode(path)
      if active ~= job.version and mode then
        job.mode = mode
        become(job, ENQUEUED, '')
      else
        become(job, AWAITING, 'handler-missing')
      end
      job.version = ''
    else
      become(job, SCHEDULED, kind == 'R' and 'retry' or 'snooze')
      job.at = math.min(now + tonumber(ARGV[at + 4]), 253402207200000)
      if kind == 'R' then happened(path, 'retried', 1) end
    end
    if job.state == DELETED then happened(path, 'deleted', 1) end
    if ARGV[at + 13] == '1' then
      happened(path, 'runs', 1)
      happened(path, 'run_us', tonumber(ARGV[at + 7]))
      happened(path, 'fuel', tonumber(ARGV[at + 8]))
    end
    job.server = ''
    record_run(job, run, ARGV[at + 6], failure, by)
    stand(job)
    save(job)
    letters[n] = job.state
    born_of[#born_of + 1] = kind == 'S' and n or nil
  end
end
-- They find all runs of this call ended.
for _, n in ipairs(born_of) do
  bear(starts[n] + 14, tonumber(ARGV[starts[n] + 12]), true)
end
if next(seen) then
  if #ripples > 0 then flow.ripple_on(CHILDREN_IN_STEP) end
  if given_back[1] then limits.move_all_back(HELD_IN_STEP) end
  commit()
end
return { table.concat(letters), work and 1 or 0, table.concat(ends) }
