-- Enqueues a job anew.
-- ARGV[3]  its id
-- ARGV[4]  the state that it must be in, or nothing
-- ARGV[5]  1 to forget checkpoints        ARGV[6]  1 for the version that is active now
-- ARGV[7]  who asks
-- Result   nothing where there is none; else `done` or `refused`, and the state; or `conflict`, the state, and the id of the
--          job that holds its key
local job = job_of(ARGV[3])
if not job then
  return {}
end
local from = job.state
if from == ENQUEUED or from == PROCESSING or (ARGV[4] ~= '' and tonumber(ARGV[4]) ~= from) then
  return { 'refused', from }
end
if job.unique ~= '' then
  local holder = conditional.holder_of(job.unique)
  if holder and holder.id ~= job.id and conditional.counts(job.unique, holder) then
    return { 'conflict', from, holder.id }
  end
  conditional.hold_key(job.unique, job.id)
end
leave(job)
no_expiry(job)
if job.parents then
  -- It waits for them no longer.
  local of = flow.edges_of(job.id)
  for n = 1, of and #of.ids or 0 do
    of.met[n] = true
  end
  if of then flow.save_edges(job.id, of) end
end
job.attempt, job.losses, job.ask, job.asked_by = 0, 0, 0, ''
-- The log has a limit of its own, which the runs from before must not have used up.
job.ended, job.started, job.log_bytes = 0, NONE, 0
for _, kind in ipairs({ 'r:', 'w:', 'o:' }) do
  dels[#dels + 1] = P .. kind .. job.id
end
into(zrems, P .. 'logs', job.id)
if ARGV[5] == '1' then
  dels[#dels + 1] = P .. 'c:' .. job.id
end
-- Nothing starts on a version that is retired.
if ARGV[6] == '1' or (job.version ~= '' and not is_usable(module_of(job.path), job.version)) then
  job.version = ''
  job.mode = active_mode(job.path) or job.mode
end
become_ready(job, 'requeued')
record_step(job, from, ARGV[7])
stand(job)
save(job)
commit()
return { 'done', job.state }
