-- Cancels or deletes jobs, all or none.
-- ARGV[3]   1 to cancel, 2 to delete
-- ARGV[4]   who asks
-- ARGV[5]   the state that they must be in, or nothing
-- ARGV[6…]  their ids
-- Result    whether there may be work (0 or 1), and the ids of all jobs that ended by it; then for each `gone`, `done`, `refused`
--           or `requested`, the state, the run and the server's id
local ask, by, expected = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local answer, changed = { 0, '' }, false

local function tell(what, job)
  local at = #answer
  answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4] = what, job and job.state or 0, job and job.run or 0,
    job and job.server or ''
end

for at = 6, #ARGV do
  local job = fresh[ARGV[at]] or job_of(ARGV[at])
  local from = job and job.state
  if not job then
    tell('gone')
  elseif expected and expected ~= from then
    tell('refused', job)
  elseif from == PROCESSING then
    job.ask, job.asked_by = ask, by
    into(sadds, P .. 'k:' .. job.server, job.id)
    save(job)
    cancels[#cancels + 1] = job.id .. job.server .. struct.pack('>I4', job.run)
    changed = true
    tell('requested', job)
  elseif from == DELETED or (ask == 1 and (from == SUCCEEDED or from == FAILED)) then
    tell('refused', job)
  else
    drop(job, ASKED[ask], by)
    changed = true
    tell('done', job)
  end
end
if #ripples > 0 then flow.ripple_on(CHILDREN_IN_STEP) end
if changed then commit() end
answer[1], answer[2] = work and 1 or 0, table.concat(ends)
return answer
