-- What every script begins with: the instant, a job's record, and clear errors.
--
-- KEYS[1]  the namespace's prefix, `{NAME}:`. It is no key that exists. Every key that a script touches is this prefix
--          and a suffix, so all of them lie in the one hash slot of `{NAME}`. Because the prefix itself never exists, a
--          Cluster that moves the slot answers ASK before a script begins, and never in the middle of one.
-- ARGV[1]  the instant in milliseconds, or nothing for the server's own
-- ARGV[2]  eight bytes that name the storage that calls, so that it knows its own messages
--
-- Suffixes, with raw ids of 16 bytes, states and modes as numbers:
--   j:ID record     p:ID what never changes    h:ID history    r:ID result    w:ID progress    c:ID checkpoints
--   o:ID log        s:STATE, q:QUEUE, h/:MODULE/HANDLER, t:TAG  jobs by the order of their making
--   l:MODE:QUEUE    a line: score priority and instant, member number and id    d  the scheduled: score instant
--   heads:MODE      the queues with a line that are not paused: score that of the line's first
--   e:STATE ended jobs by their end    u:SERVER its runs    k:SERVER its runs that are to stop    v:SERVER a server
--   y:MODULE/HANDLER jobs that wait for the handler
--   modules, m:MODULE its versions, f:MODULE:DIGEST one of them, b:DIGEST its bytes    active  the active version of each
--   module    handlers  the mode of each handler of those    canary  of each module that has one, and of each handler of it:
--   how many of a hundred new jobs, then the digest
--   a:ID what it continues    i:ID the jobs that continue it, in the order of their making    ripples  ended jobs whose
--   children do not know it yet    open  how many unfinished children a job has    aside  jobs that succeeded and are kept
--   for those, with their end    unique  the holder of each key    x  jobs that expire: score instant
--   limits  the rules    running  how many jobs run under each    g:LIMIT their starts    z:LIMIT jobs that wait for room
--   there, as in a line    held  limits with such jobs: score when there is room in time    names  the same by name
--   stale  limits with starts: score when the last of them no longer counts    keys  keys that have jobs which run or wait
--   at a limit    relook  the limit after which all are to be looked at anew    audit  who did what

local P, now, origin = KEYS[1], ARGV[1], ARGV[2]
if now == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
else
  now = tonumber(now)
end

-- What stands for an instant that is not there.
local NONE = -9007199254740992
local SCHEDULED, AWAITING, ENQUEUED, PROCESSING, SUCCEEDED, FAILED, DELETED = 0, 1, 2, 3, 4, 5, 6
local RECORD = '>BBBBBBI4I4I4I4I4I4I4i8i8i8i8i8Bc0Bc0Bc0Bc0I2c0I2c0'
-- What a record of version 2 has behind it. Most jobs have nothing of it, and are of version 1.
local MORE = 'BBi8Bc0Bc0'

-- Lua writes a large number with an exponent where it is joined to a text.
local function digits(number)
  return string.format('%.0f', number)
end

local function damaged(why)
  error({ err = 'DAMAGED ' .. why })
end

local function unpacked(raw)
  local v, state, mode, priority, ask, born, attempt, max_attempts, run, losses, lines, ended, log_bytes, seq, created,
    at, ready, started, server, version, queue, path, reason, asked_by, rest = struct.unpack(RECORD, raw)
  local flags, held, expires, limit_key, unique = 0, 0, NONE, '', ''
  if v == 2 then
    flags, held, expires, limit_key, unique, rest = struct.unpack('>' .. MORE, raw, rest)
  elseif v ~= 1 then
    error('its record has version ' .. v)
  end
  if state > DELETED or mode > 1 or priority > 9 or ask > 2 or born > DELETED or rest ~= #raw + 1
    or flags > 7 or held > 3 or (#unique ~= 0 and #unique ~= 42)
    or (#server ~= 16 and (#server ~= 0 or state == PROCESSING)) or (#version ~= 0 and #version ~= 32) then
    error('a field of its record is out of its range')
  end
  return {
    state = state, mode = mode, priority = priority, ask = ask, born = born, attempt = attempt,
    max_attempts = max_attempts, run = run, losses = losses, lines = lines, ended = ended, log_bytes = log_bytes,
    seq = seq, created = created, at = at, ready = ready, started = started, server = server, version = version,
    queue = queue, path = path, reason = reason, asked_by = asked_by,
    -- Whether others continue it, whether it continues others, and whether it was made to wait for them.
    children = flags % 2 == 1, parents = flags % 4 > 1, waited = flags > 3,
    -- The limit in whose line it waits: 1 its queue's, 2 its handler's, 3 its key's.
    held = held, expires = expires, limit_key = limit_key, unique = unique,
  }
end

-- Reads a record; nothing and the reason where it is damaged.
local function read(raw, id)
  local fine, job = pcall(unpacked, raw)
  if not fine then
    return nil, 'its record cannot be read'
  end
  job.id = id
  return job
end

-- A job by its id; nothing where there is none, an error where its record is damaged.
local function job_of(id)
  local raw = redis.call('GET', P .. 'j:' .. id)
  if not raw then
    return nil
  end
  local job, why = read(raw, id)
  if not job then
    damaged(why)
  end
  return job
end

-- A call with many arguments in parts, since Lua's stack takes some thousands. Parts are even, for pairs.
local function in_parts(command, key, args, answer)
  local count = #args
  if count <= 4000 then
    if count > 0 then
      local got
      if key then got = redis.call(command, key, unpack(args)) else got = redis.call(command, unpack(args)) end
      if answer then for _, one in ipairs(got) do answer[#answer + 1] = one end end
    end
    return
  end
  for first = 1, count, 4000 do
    local last, got = math.min(first + 3999, count), nil
    if key then
      got = redis.call(command, key, unpack(args, first, last))
    else
      got = redis.call(command, unpack(args, first, last))
    end
    if answer then for _, one in ipairs(got) do answer[#answer + 1] = one end end
  end
end

-- The values of `kind:ID` for many ids; false where there is none.
local function values(kind, ids)
  local keys, answer = {}, {}
  local prefix = P .. kind
  for at = 1, #ids do
    keys[at] = prefix .. ids[at]
  end
  if #keys > 0 and #keys <= 4000 then
    return redis.call('MGET', unpack(keys))
  end
  in_parts('MGET', nil, keys, answer)
  return answer
end
