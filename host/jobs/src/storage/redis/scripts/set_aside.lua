-- Takes back a run that could not be handed over, because what belongs to its job is damaged: the job stands in no line
-- and stays to be looked at.
-- ARGV[3]  the server's id
-- ARGV[4…] the jobs' ids
-- Result   how many
local count = 0
for at = 4, #ARGV do
  local raw = redis.call('GET', P .. 'j:' .. ARGV[at])
  local job = raw and read(raw, ARGV[at])
  if job and job.state == PROCESSING and job.server == ARGV[3] then
    leave(job)
    give_attempt_back(job)
    become(job, ENQUEUED, 'damaged')
    job.server = ''
    into(zadds, P .. 's:' .. ENQUEUED, job.seq, job.id)
    tally(job, 1)
    save(job)
    count = count + 1
    work = true
  end
end
if count > 0 then
  if given_back[1] then limits.move_all_back(HELD_IN_STEP) end
  commit()
end
return count
