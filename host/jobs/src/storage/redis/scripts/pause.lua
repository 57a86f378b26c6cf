-- Stops or resumes taking jobs from a queue.
-- ARGV[3]  the queue
-- ARGV[4]  1 to stop, 0 to resume
-- Result   nothing
if ARGV[4] == '1' then
  into(sadds, P .. 'paused', ARGV[3])
else
  into(srems, P .. 'paused', ARGV[3])
  work = true
end
queue_changed(ARGV[3])
commit()
