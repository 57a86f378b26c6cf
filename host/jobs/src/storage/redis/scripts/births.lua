-- New jobs, as `enqueue`, the follow-ups of `settle` and recurring jobs make them. Each takes five arguments:
--   id, its 16 bytes
--   head: mode, priority, how it starts (0 now, 1 after a delay, 2 at an instant, 3 with its handler), most attempts,
--         and the delay or the instant
--   queue, `module/handler`, and what never changes of it: tags (their count, then each with its length), then whatever
--         only the host reads

-- A number for each job in the order of making, from the instant, so that time is found by number: 4096 for each
-- millisecond since 2023. Where they come faster, they run ahead; `ahead` says how far they ever did. Where the clock was
-- set back, numbers go back with it: some may be given twice then, and the id tells those jobs apart.
local EPOCH, PER_MS = 1672531200000, 4096
local last_seq, last_made, ahead

local function number_after(last, last_created, created)
  local least = (created - EPOCH) * PER_MS
  local seq = created >= last_created and math.max(last + 1, least) or least
  ahead = math.max(ahead, seq - least)
  return seq
end

local function next_seq(created)
  last_seq = number_after(last_seq, last_made, created)
  last_made = created
  return last_seq
end

local function load_numbers()
  local numbers = redis.call('HMGET', P .. 'meta', 'seq', 'made', 'ahead')
  last_seq, last_made, ahead = tonumber(numbers[1] or NONE), tonumber(numbers[2] or NONE), tonumber(numbers[3] or 0)
end

local function file(job, wide)
  into(zadds, P .. 'q:' .. job.queue, job.seq, job.id)
  into(zadds, P .. 'h/:' .. job.path, job.seq, job.id)
  sadds[P .. 'queues'] = sadds[P .. 'queues'] or {}
  sadds[P .. 'paths'] = sadds[P .. 'paths'] or {}
  if not sadds[P .. 'queues'][job.queue] then
    sadds[P .. 'queues'][job.queue] = true
    into(sadds, P .. 'queues', job.queue)
  end
  if not sadds[P .. 'paths'][job.path] then
    sadds[P .. 'paths'][job.path] = true
    into(sadds, P .. 'paths', job.path)
  end
  if string.sub(wide, 1, 2) ~= '\0\0' then
    for _, tag in ipairs(tags_of(wide)) do
      into(zadds, P .. 't:' .. tag, job.seq, job.id)
    end
  end
end

local function born(id, head, queue, path, wide)
  local mode, priority, start, max_attempts, when = struct.unpack('>BBBI4i8', head)
  local job = {
    id = id, state = ENQUEUED, mode = mode, priority = priority, ask = 0, attempt = 0, max_attempts = max_attempts,
    run = 0, losses = 0, lines = 0, ended = 0, log_bytes = 0, seq = next_seq(now), created = now, at = now,
    ready = now, started = NONE, server = '', version = '', queue = queue, path = path, reason = '', asked_by = '',
  }
  local due = start == 1 and math.min(now + when, 253402207200000) or when
  if (start == 1 or start == 2) and due > now then
    job.state, job.at = SCHEDULED, due
  elseif start == 3 then
    -- The handler may have come between the asking and the storing, and nothing would wake the job then.
    local active = active_mode(path)
    if active then
      job.mode = active
    else
      job.state, job.reason = AWAITING, 'handler-missing'
    end
  end
  job.born = job.state
  put(P .. 'p:' .. id, wide)
  stand(job)
  file(job, wide)
  save(job)
  happened(path, 'made', 1)
end

-- Makes jobs out of the arguments from `first` on; gives a letter for each: whether it is new (n) or existing (e).
local made_here = {}
local function bear(first, count)
  if count == 0 then
    return ''
  end
  if not last_seq then load_numbers() end
  local ids, letters = {}, {}
  for n = 1, count do
    ids[n] = ARGV[first + (n - 1) * 5]
  end
  local known = values('j:', ids)
  for n = 1, count do
    local at, id = first + (n - 1) * 5, ids[n]
    if known[n] or made_here[id] then
      letters[n] = 'e'
    else
      made_here[id] = true
      letters[n] = 'n'
      born(id, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    end
  end
  hsets[P .. 'meta'] = { 'seq', digits(last_seq), 'made', digits(last_made), 'ahead', digits(ahead) }
  return table.concat(letters)
end
