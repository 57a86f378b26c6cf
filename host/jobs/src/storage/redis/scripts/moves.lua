-- How jobs change: what a script does to jobs is gathered here and written at its end by `commit`, which looks at every
-- key's type before its first write. So a script that finds something wrong has changed nothing.

local puts, appends, dels = {}, {}, {}
local zadds, zrems, sadds, srems, pops = {}, {}, {}, {}, {}
local tallies, counters, hsets, hdels = {}, {}, {}, {}
-- The lines that change, as keys with their mode and queue: `commit` keeps `heads:MODE` true to them.
local lines = {}
local work, modules_changed, cancels, ends = false, false, {}, {}

local function into(map, key, a, b)
  local list = map[key]
  if not list then
    list = {}
    map[key] = list
  end
  local count = #list
  list[count + 1] = a
  if b then
    list[count + 2] = b
  end
end

local function put(key, value)
  local count = #puts
  puts[count + 1], puts[count + 2] = key, value
end

-- Counts jobs by queue, handler and state.
local function tally(job, change)
  local field = job.queue .. ' ' .. job.path .. ' ' .. job.state
  tallies[field] = (tallies[field] or 0) + change
end

-- Counts what happened in the present minute and hour.
local function happened(path, what, count)
  if count > 0 then
    local field = path .. ' ' .. what
    counters[field] = (counters[field] or 0) + count
  end
end

-- A job's place in a line or among the scheduled.
local function standing(job)
  return struct.pack('>I8', math.max(job.seq, 0)) .. job.id
end

-- Priority first, then the instant: 42 bits hold it to the year 2109.
local function rank(job)
  return job.priority * 4398046511104 + math.min(math.max(job.ready, 0), 4398046511103)
end

-- The key of a line that is going to change.
local function line(mode, queue)
  local key = P .. 'l:' .. mode .. ':' .. queue
  if not lines[key] then
    lines[key] = { P .. 'heads:' .. mode, queue }
  end
  return key
end

local function line_of(job)
  return line(job.mode, job.queue)
end

-- Both lines of a queue have to be looked at anew, since it was paused or resumed.
local function queue_changed(queue)
  line(0, queue)
  line(1, queue)
end

-- Keeps the first of each line that has changed where a claim over all queues looks for it.
local function update_heads()
  local any_paused
  for key, of in pairs(lines) do
    if any_paused == nil then any_paused = redis.call('EXISTS', P .. 'paused') == 1 end
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if first[2] and not (any_paused and redis.call('SISMEMBER', P .. 'paused', of[2]) == 1) then
      redis.call('ZADD', of[1], first[2], of[2])
    else
      redis.call('ZREM', of[1], of[2])
    end
  end
end

local function module_of(path)
  return string.match(path, '^[^/]*')
end

-- The tags that stand at the head of what never changes, and where they end; none where it is too short or damaged.
local function tags_of(wide)
  local fine, tags, rest = pcall(function()
    local count, at = struct.unpack('>I2', wide)
    local tags = {}
    for n = 1, count do
      tags[n], at = struct.unpack('>I2c0', wide, at)
    end
    return tags, at
  end)
  if not fine then
    return {}, nil
  end
  return tags, rest
end

-- The same of a stored job, with the bytes that they stand in. A large payload behind them is not read.
local NO_TAGS = '\0\0'

local function stored_tags(id)
  local key = P .. 'p:' .. id
  local head = redis.call('GETRANGE', key, 0, 1)
  if #head < 2 then
    return {}, ''
  elseif head == NO_TAGS then
    return {}, NO_TAGS
  end
  head = redis.call('GETRANGE', key, 0, 4095)
  local tags, rest = tags_of(head)
  if not rest and #head == 4096 then
    head = redis.call('GET', key)
    tags, rest = tags_of(head)
  end
  return tags, rest and string.sub(head, 1, rest - 1) or head
end

-- Takes a job out of where it stands. One that was popped from its line stands there no more.
local function leave(job, popped)
  local state = job.state
  if state == ENQUEUED then
    if not popped then into(zrems, line_of(job), standing(job)) end
  elseif state == PROCESSING then
    into(srems, P .. 'u:' .. job.server, job.id)
    if job.ask ~= 0 then into(srems, P .. 'k:' .. job.server, job.id) end
  elseif state == SCHEDULED then
    into(zrems, P .. 'd', standing(job))
  elseif state == AWAITING then
    into(zrems, P .. 'y:' .. job.path, job.id)
  else
    into(zrems, P .. 'e:' .. state, job.id)
  end
  into(zrems, P .. 's:' .. state, job.id)
  tally(job, -1)
end

-- Puts a job where it now stands.
local function stand(job)
  local state = job.state
  if state == ENQUEUED then
    into(zadds, line_of(job), rank(job), standing(job))
    work = true
  elseif state == PROCESSING then
    into(sadds, P .. 'u:' .. job.server, job.id)
    if job.ask ~= 0 then into(sadds, P .. 'k:' .. job.server, job.id) end
  elseif state == SCHEDULED then
    into(zadds, P .. 'd', job.at, standing(job))
    work = true
  elseif state == AWAITING then
    into(zadds, P .. 'y:' .. job.path, job.seq, job.id)
  else
    into(zadds, P .. 'e:' .. state, job.at, job.id)
    ends[#ends + 1] = job.id
  end
  into(zadds, P .. 's:' .. state, job.seq, job.id)
  tally(job, 1)
end

local function packed(job)
  return struct.pack(RECORD, 1, job.state, job.mode, job.priority, job.ask, job.born, job.attempt, job.max_attempts,
    job.run, job.losses, job.lines, job.ended, job.log_bytes, job.seq, job.created, job.at, job.ready, job.started,
    #job.server, job.server, #job.version, job.version, #job.queue, job.queue, #job.path, job.path,
    #job.reason, job.reason, #job.asked_by, job.asked_by)
end

local function save(job)
  put(P .. 'j:' .. job.id, packed(job))
end

-- Appends a line to a job's history: its length, then itself. So many lines are kept, since a job that snoozes for ever
-- must not grow for ever; they are cut back a hundred at a time.
local MAX_LINES, CUT = 1000, 100

local function append(job, line)
  line = struct.pack('>I4', #line) .. line
  local key = P .. 'h:' .. job.id
  local first = job.lines == 0
  job.lines = job.lines + 1
  if first then
    put(key, line)
  elseif job.lines > MAX_LINES and job.lines % CUT == 0 then
    local all = (redis.call('GET', key) or '') .. line
    local kept, at = 0, 1
    while at <= #all do
      kept, at = kept + 1, at + 4 + struct.unpack('>I4', all, at)
    end
    at = 1
    for _ = 1, kept - MAX_LINES do
      at = at + 4 + struct.unpack('>I4', all, at)
    end
    put(key, string.sub(all, at))
  else
    appends[#appends + 1] = key
    appends[#appends + 1] = line
  end
end

-- A step in which no run ended.
local function record_step(job, from, by)
  append(job, struct.pack('>BBBi8I2c0I2c0', 0, from, job.state, now, #by, by, #job.reason, job.reason))
end

-- The run that goes on, to be recorded when it has ended: with the attempt that it was, even where that is given back.
local function current_run(job)
  return struct.pack('>I4I4i8', job.run, job.attempt, job.started) .. job.server
end

local NO_USAGE = string.rep('\0', 48)

-- A run that has ended. `by` is empty where its own server ended it.
local function record_run(job, run, usage, failure, by)
  append(job, struct.pack('>BBBi8I2c0I2c0', 1, PROCESSING, job.state, now, #by, by, #job.reason, job.reason)
    .. run .. usage .. failure)
  job.ended = job.lines
end

local function become(job, state, reason)
  job.state, job.at, job.reason = state, now, reason
end

-- Puts a job at the end of its line.
local function become_ready(job, reason)
  job.ready = now
  become(job, ENQUEUED, reason)
end

local function give_attempt_back(job)
  job.attempt = math.max(job.attempt - 1, 0)
end

local ASKED = { 'cancelled', 'deleted' }

-- The mode in which a handler runs in its module's active version; nothing where that has no such handler.
local function active_mode(path)
  local mode = redis.call('HGET', P .. 'handlers', path)
  return mode and tonumber(mode)
end

-- `rehoming` has the handlers whose jobs are still to be moved to other lines, so that whoever meets one goes on where
-- another stopped: `a` for all of its jobs or `w` for those only that wait for it, the number of the activation, and the
-- number in the order of making to go on from.
local function rehoming_of(path)
  local value = redis.call('HGET', P .. 'rehoming', path)
  return string.match(value or '', '^(%a) (%d+) (%-?%d+)$')
end

local function set_rehoming(path, kind, number, from)
  into(hsets, P .. 'rehoming', path, kind .. ' ' .. number .. ' ' .. from)
end

-- The number of an activation that begins now; whoever calls this stores it as `rehomings` of `meta`.
local function next_rehoming()
  return digits((redis.call('HGET', P .. 'meta', 'rehomings') or 0) + 1)
end

-- Whether all bytes of a component are there.
local function has_component(digest, size)
  local key, bytes = P .. 'b:' .. digest, 0
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if field ~= 'size' then bytes = bytes + redis.call('HSTRLEN', key, field) end
  end
  return bytes == tonumber(size) and tonumber(redis.call('HGET', key, 'size')) == bytes
end

local function expect_component(digest, size)
  if not has_component(digest, size) then
    error({ err = 'INCOMPLETE the bytes of a component' })
  end
end

local function expect_type(key, expected)
  local found = redis.call('TYPE', key).ok
  if found ~= expected and found ~= 'none' then
    error({ err = 'WRONGKEY ' .. string.gsub(key, '[^%w{}:/._-]', '?') .. ' is a ' .. found .. ', not a ' .. expected })
  end
end

local function commit()
  for key in pairs(pops) do expect_type(key, 'zset') end
  for key in pairs(zrems) do expect_type(key, 'zset') end
  for key in pairs(zadds) do expect_type(key, 'zset') end
  for key in pairs(srems) do expect_type(key, 'set') end
  for key in pairs(sadds) do expect_type(key, 'set') end
  for key in pairs(hsets) do expect_type(key, 'hash') end
  for key in pairs(hdels) do expect_type(key, 'hash') end
  for at = 1, #appends, 2 do expect_type(appends[at], 'string') end
  for key in pairs(lines) do
    if not (zadds[key] or zrems[key] or pops[key]) then expect_type(key, 'zset') end
  end
  if next(lines) then
    expect_type(P .. 'heads:0', 'zset')
    expect_type(P .. 'heads:1', 'zset')
    expect_type(P .. 'paused', 'set')
  end
  expect_type(P .. 'tally', 'hash')
  local minute, hour = now - now % 60000, now - now % 3600000
  local spans = { P .. 'n:m:' .. digits(minute), P .. 'n:h:' .. digits(hour) }
  local counted = next(counters) ~= nil
  if counted then
    expect_type(spans[1], 'hash')
    expect_type(spans[2], 'hash')
    expect_type(P .. 'spans:m', 'zset')
    expect_type(P .. 'spans:h', 'zset')
  end

  -- From here on everything is written.
  in_parts('MSET', nil, puts)
  for at = 1, #appends, 2 do redis.call('APPEND', appends[at], appends[at + 1]) end
  for key, count in pairs(pops) do redis.call('ZPOPMIN', key, count) end
  for key, list in pairs(zrems) do in_parts('ZREM', key, list) end
  for key, list in pairs(zadds) do in_parts('ZADD', key, list) end
  for key, list in pairs(srems) do in_parts('SREM', key, list) end
  for key, list in pairs(sadds) do in_parts('SADD', key, list) end
  for key, list in pairs(hsets) do in_parts('HSET', key, list) end
  for key, list in pairs(hdels) do in_parts('HDEL', key, list) end
  in_parts('UNLINK', nil, dels)
  update_heads()
  for field, change in pairs(tallies) do
    if change ~= 0 and redis.call('HINCRBY', P .. 'tally', field, change) <= 0 then
      redis.call('HDEL', P .. 'tally', field)
    end
  end
  if counted then
    for field, count in pairs(counters) do
      redis.call('HINCRBY', spans[1], field, digits(count))
      redis.call('HINCRBY', spans[2], field, digits(count))
    end
    redis.call('ZADD', P .. 'spans:m', minute, digits(minute))
    redis.call('ZADD', P .. 'spans:h', hour, digits(hour))
  end
  if work or modules_changed or #cancels > 0 then
    local told = origin .. (work and 'w' or '-') .. (modules_changed and 'm' or '-') .. table.concat(cancels)
    redis.call('PUBLISH', P .. 'wake', told)
  end
  if #ends > 0 then
    redis.call('PUBLISH', P .. 'ends', origin .. table.concat(ends))
  end
end
