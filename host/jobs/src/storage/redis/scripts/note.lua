-- Keeps what runs wrote while they go on.
-- ARGV[3]   the most bytes of a job's log
-- ARGV[4]   what the line says that ends a full log
-- ARGV[5…]  for each: the job's id, the server's id, the run, its progress or nothing, how many lines, then for each
--           line its size and the line: level, run, instant, message with its length, fields
-- Result    a letter for each: `k` kept, `x` where its fence did not hold, `d` where it is damaged
local limit, full = tonumber(ARGV[3]), ARGV[4]
local letters, at, jobs, logged = {}, 5, {}, {}

local function end_of_log(job, line)
  local _, _, instant = struct.unpack('>BI4i8', line)
  logged[#logged + 1] = { job.id, struct.pack('>BI4i8I4c0', 3, job.run, instant, #full, full), instant }
  job.told = job.run
end

while at <= #ARGV do
  local id, server, run, progress, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3],
    tonumber(ARGV[at + 4])
  local job, raw = jobs[id], nil
  if not job then
    raw = redis.call('GET', P .. 'j:' .. id)
    job = raw and read(raw, id)
    jobs[id] = job
  end
  if raw and not job then
    letters[#letters + 1] = 'd'
  elseif not job or job.state ~= PROCESSING or job.server ~= server or job.run ~= run then
    letters[#letters + 1] = 'x'
  else
    letters[#letters + 1] = 'k'
    if progress ~= '' then
      put(P .. 'w:' .. id, struct.pack('>I4', run) .. progress)
    end
    local had = job.log_bytes
    for n = 1, count do
      local size, line = tonumber(ARGV[at + 3 + 2 * n]), ARGV[at + 4 + 2 * n]
      if job.log_bytes >= limit then
        if had >= limit and n == 1 and job.told ~= run then
          -- Nothing comes after a run's word that the log is full, so the last line tells whether this run has said it.
          local last = redis.call('XREVRANGE', P .. 'o:' .. id, '+', '-', 'COUNT', 1)[1]
          local said = last and select(2, struct.unpack('>BI4', last[2][2]))
          if said ~= run then end_of_log(job, line) end
        end
        break
      end
      job.log_bytes = math.min(job.log_bytes + size, 4294967295)
      if job.log_bytes > limit then
        end_of_log(job, line)
      else
        local _, _, instant = struct.unpack('>BI4i8', line)
        logged[#logged + 1] = { id, line, instant }
      end
    end
    if job.log_bytes ~= had then
      save(job)
    end
  end
  at = at + 5 + 2 * count
end
local oldest = {}
for _, line in ipairs(logged) do
  if not oldest[line[1]] then
    expect_type(P .. 'o:' .. line[1], 'stream')
    oldest[line[1]] = redis.call('ZSCORE', P .. 'logs', line[1]) or line[3]
    into(zadds, P .. 'logs', oldest[line[1]], line[1])
  end
end
expect_type(P .. 'meta', 'hash')
if #puts > 0 or #logged > 0 then
  commit()
end
if #logged > 0 then
  -- The number of a line is never used again: a follower's cursor is one.
  local number = redis.call('HINCRBY', P .. 'meta', 'lines', #logged) - #logged
  for n, line in ipairs(logged) do
    redis.call('XADD', P .. 'o:' .. line[1], digits(number + n) .. '-0', 'l', line[2])
  end
end
return table.concat(letters)
