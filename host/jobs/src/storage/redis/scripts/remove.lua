-- Cancels or deletes a job.
-- ARGV[3]  its id
-- ARGV[4]  1 to cancel, 2 to delete
-- ARGV[5]  who asks
-- Result   nothing where there is none; else `done`, `refused` or `requested`, the state, the run and the server's id; with
--          `done` also whether there may be work (0 or 1) and the ids of all jobs that ended by it
local job, ask = job_of(ARGV[3]), tonumber(ARGV[4])
if not job then
  return {}
end
local from = job.state
if from == PROCESSING then
  job.ask, job.asked_by = ask, ARGV[5]
  into(sadds, P .. 'k:' .. job.server, job.id)
  save(job)
  cancels[#cancels + 1] = job.id .. job.server .. struct.pack('>I4', job.run)
  commit()
  return { 'requested', from, job.run, job.server }
end
if from == DELETED or (ask == 1 and (from == SUCCEEDED or from == FAILED)) then
  return { 'refused', from, job.run, '' }
end
drop(job, ASKED[ask], ARGV[5])
if #ripples > 0 then flow.ripple_on(CHILDREN_IN_STEP) end
commit()
return { 'done', job.state, job.run, '', work and 1 or 0, table.concat(ends) }
