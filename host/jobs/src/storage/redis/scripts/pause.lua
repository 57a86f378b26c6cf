-- Stops or resumes taking jobs from a queue.
-- ARGV[3]  the queue
-- ARGV[4]  1 to stop, 0 to resume
-- Result   nothing
expect_type(P .. 'paused', 'set')
if ARGV[4] == '1' then
  redis.call('SADD', P .. 'paused', ARGV[3])
else
  redis.call('SREM', P .. 'paused', ARGV[3])
  work = true
  commit()
end
