-- How jobs change: what a script does to jobs is gathered here and written at its end by `commit`, which looks at every
-- key's type before its first write. So a script that finds something wrong has changed nothing.

local puts, appends, dels = {}, {}, {}
local zadds, zrems, sadds, srems, pops = {}, {}, {}, {}, {}
local tallies, counters, hsets, hdels = {}, {}, {}, {}
-- The lines that change, as keys with their mode and queue: `commit` keeps `heads:MODE` true to them.
local lines = {}
local work, modules_changed, cancels, ends = false, false, {}, {}
-- Changes of counts: by key and field, gone where they come to nothing.
local bumps = {}
-- Jobs as this script has left them, so that what comes later in it finds them so.
local fresh = {}
-- The limits whose lines change, with the instant from which on there may be room in time, as far as it is known.
local held_lines = {}
-- What other parts have to do: `ended` and `reopened` for jobs with relatives (flow.lua), `takes` and `gives` for places
-- under limits (limits.lua), and what is to be looked at before the first write and written after the last.
local hooks, checks, writes = {}, {}, {}

-- Functions that are made when the first of them is asked for, since to make them costs more than most scripts do.
local function lazily(make)
  local made
  return setmetatable({}, { __index = function(_, name)
    made = made or make()
    return made[name]
  end })
end

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

local function bump(key, field, change)
  local of = bumps[key]
  if not of then
    of = {}
    bumps[key] = of
  end
  of[field] = (of[field] or 0) + change
end

-- Takes a member out of a set that is ordered, and where this script had put its job there, that too.
local function off(key, member, job)
  into(zrems, key, member)
  local list = fresh[job.id] and zadds[key]
  for at = 2, list and #list or 0, 2 do
    if list[at] == member then
      table.remove(list, at)
      table.remove(list, at - 1)
      break
    end
  end
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

-- The limit in whose line a job waits.
local function limit_of(job)
  if job.held == 1 then return 'queue:' .. job.queue end
  return job.held == 2 and 'handler:' .. job.path or 'key:' .. job.limit_key
end

-- Where there is no telling when there will be room: something has to end first.
local FAR = 9007199254740991

-- Says that the line of a limit changes; nothing for the instant where that stays as it is.
local function touch(limit, at)
  held_lines[limit] = at or held_lines[limit] or false
end

-- Takes a job out of the line of its limit, and puts it there.
local function unhold(job)
  local limit = limit_of(job)
  off(P .. 'z:' .. limit, standing(job), job)
  touch(limit)
end

local function hold(job)
  local limit = limit_of(job)
  into(zadds, P .. 'z:' .. limit, rank(job), standing(job))
  touch(limit)
end

-- Whether a job waits for those that it continues. It stands in no line then.
local function waits_for_parents(job)
  return job.state == AWAITING and job.reason == 'parents'
end

-- Takes a job out of where it stands. One that was popped from its line stands there no more.
local function leave(job, popped)
  local state = job.state
  if state == ENQUEUED then
    if job.held ~= 0 then
      unhold(job)
    elseif not popped then
      off(line_of(job), standing(job), job)
    end
  elseif state == PROCESSING then
    into(srems, P .. 'u:' .. job.server, job.id)
    if job.ask ~= 0 then into(srems, P .. 'k:' .. job.server, job.id) end
    hooks.gives(job)
  elseif state == SCHEDULED then
    off(P .. 'd', standing(job), job)
  elseif state == AWAITING then
    if job.reason ~= 'parents' then off(P .. 'y:' .. job.path, job.id, job) end
  else
    off(P .. 'e:' .. state, job.id, job)
    if job.children then into(hdels, P .. 'aside', job.id) end
    if job.parents then hooks.reopened(job) end
  end
  off(P .. 's:' .. state, job.id, job)
  tally(job, -1)
end

-- Puts a job where it now stands.
local function stand(job)
  local state = job.state
  if state == ENQUEUED and job.held ~= 0 then
    hold(job)
  elseif state == ENQUEUED then
    into(zadds, line_of(job), rank(job), standing(job))
    work = true
  elseif state == PROCESSING then
    into(sadds, P .. 'u:' .. job.server, job.id)
    if job.ask ~= 0 then into(sadds, P .. 'k:' .. job.server, job.id) end
    hooks.takes(job)
  elseif state == SCHEDULED then
    into(zadds, P .. 'd', job.at, standing(job))
    work = true
  elseif state == AWAITING then
    if job.reason ~= 'parents' then into(zadds, P .. 'y:' .. job.path, job.seq, job.id) end
  else
    into(zadds, P .. 'e:' .. state, job.at, job.id)
    ends[#ends + 1] = job.id
    if job.children or job.parents then hooks.ended(job) end
  end
  into(zadds, P .. 's:' .. state, job.seq, job.id)
  tally(job, 1)
end

local function packed(job)
  local flags = (job.children and 1 or 0) + (job.parents and 2 or 0) + (job.waited and 4 or 0)
  local more = ''
  if flags > 0 or job.held > 0 or job.expires ~= NONE or job.limit_key ~= '' or job.unique ~= '' then
    more = struct.pack('>' .. MORE, flags, job.held, job.expires, #job.limit_key, job.limit_key, #job.unique, job.unique)
  end
  return struct.pack(RECORD, more == '' and 1 or 2, job.state, job.mode, job.priority, job.ask, job.born, job.attempt, job.max_attempts,
    job.run, job.losses, job.lines, job.ended, job.log_bytes, job.seq, job.created, job.at, job.ready, job.started,
    #job.server, job.server, #job.version, job.version, #job.queue, job.queue, #job.path, job.path,
    #job.reason, job.reason, #job.asked_by, job.asked_by) .. more
end

local function save(job)
  fresh[job.id] = job
  put(P .. 'j:' .. job.id, packed(job))
end

-- A job as this script has left it, or else as it is stored; nothing where there is none that can be read.
local function found(id)
  local job = fresh[id]
  if not job then
    local raw = redis.call('GET', P .. 'j:' .. id)
    job = raw and read(raw, id)
  end
  return job
end

-- It was started or has ended, so that it expires no more.
local function no_expiry(job)
  if job.expires ~= NONE then
    off(P .. 'x', job.id, job)
    job.expires = NONE
  end
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
  job.state, job.at, job.reason, job.held = state, now, reason, 0
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

-- Deletes a job that waits, for a reason that time or others bring.
local function drop(job, reason, by)
  local from = job.state
  leave(job)
  no_expiry(job)
  become(job, DELETED, reason)
  record_step(job, from, by)
  stand(job)
  save(job)
  happened(job.path, 'deleted', 1)
end

-- The mode in which a handler runs in its module's active version; nothing where that has no such handler.
local function active_mode(path)
  local mode = redis.call('HGET', P .. 'handlers', path)
  return mode and tonumber(mode)
end

-- Whether there is a version that new jobs may be sent to.
local function is_usable(module, digest)
  local key = P .. 'f:' .. module .. ':' .. digest
  return redis.call('HEXISTS', key, 'size') == 1 and redis.call('HEXISTS', key, 'retired') == 0
end

-- The version that a job which is pinned to none falls to beside the active one; nothing where it falls to none. An id's last four
-- bytes decide, as in `windlass_api::falls_to_canary`.
local function canary_of(path, id)
  local value = redis.call('HGET', P .. 'canary', path)
  if value and struct.unpack('>I4', id, 13) % 100 < string.byte(value) then
    return string.sub(value, 2)
  end
end

-- Ends a module's canary; gives which version it was. It is written with all else.
local function end_canary(module)
  local value = redis.call('HGET', P .. 'canary', module)
  if not value then
    return nil
  end
  into(hdels, P .. 'canary', module)
  for _, field in ipairs(redis.call('HKEYS', P .. 'canary')) do
    if module_of(field) == module then into(hdels, P .. 'canary', field) end
  end
  modules_changed = true
  return string.sub(value, 2)
end

-- Makes a version the canary of its module, in place of any other. It is written with all else.
local function set_canary(module, digest, percent, paths)
  local value, kept = string.char(tonumber(percent)) .. digest, { [module] = true }
  into(hsets, P .. 'canary', module, value)
  for _, path in ipairs(paths) do
    kept[path] = true
    into(hsets, P .. 'canary', path, value)
  end
  for _, field in ipairs(redis.call('HKEYS', P .. 'canary')) do
    if module_of(field) == module and not kept[field] then into(hdels, P .. 'canary', field) end
  end
  modules_changed = true
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
