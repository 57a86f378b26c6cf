-- Cancels or deletes a job.
-- ARGV[3]  its id
-- ARGV[4]  1 to cancel, 2 to delete
-- ARGV[5]  who asks
-- Result   nothing where there is none; else `done`, `refused` or `requested`, the state, the run and the server's id
local job, ask = job_of(ARGV[3]), tonumber(ARGV[4])
if not job then
  return {}
end
local from = job.state
if from == PROCESSING then
  leave(job)
  job.ask, job.asked_by = ask, ARGV[5]
  stand(job)
  save(job)
  cancels[#cancels + 1] = job.id .. job.server .. struct.pack('>I4', job.run)
  commit()
  return { 'requested', from, job.run, job.server }
end
if from == DELETED or (ask == 1 and (from == SUCCEEDED or from == FAILED)) then
  return { 'refused', from, job.run, '' }
end
leave(job)
become(job, DELETED, ASKED[ask])
record_step(job, from, ARGV[5])
stand(job)
save(job)
happened(job.path, 'deleted', 1)
commit()
return { 'done', job.state, job.run, '' }
