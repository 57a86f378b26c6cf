-- Removes jobs that ended longer ago than they are kept, with every key and entry of theirs; old log lines; counters of
-- spans that are long gone; starts that no longer count; and old entries of the audit log.
-- ARGV[3]     at most so many jobs
-- ARGV[4…6]   how long jobs are kept that succeeded, failed, were deleted, in milliseconds
-- ARGV[7]     how long log lines are kept       ARGV[8], ARGV[9]  counters by the minute, by the hour,
--             from the beginning of their span
-- ARGV[10]    how long entries of the audit log are kept       ARGV[11]  how many of them
-- Result      how many jobs were removed, whether there is more to do (0 or 1), the ids of damaged ones among them, whether
--             there may be work (0 or 1), the ids of the jobs that ended by it

-- One step looks at so many jobs' logs, and in all of them at so many lines and about so many bytes, some lines at a time.
local LOGS, LINES, BYTES, SOME, SPANS, LINES_OF_AUDIT = 50, 500, 4 * 1024 * 1024, 20, 200, 1000
local limit, removed, more, broken = tonumber(ARGV[3]), 0, 0, {}

local gone = {}
local function forget(id)
  gone[id] = true
  for _, kind in ipairs({ 'j:', 'p:', 'h:', 'r:', 'w:', 'c:', 'o:' }) do
    dels[#dels + 1] = P .. kind .. id
  end
  into(zrems, P .. 'logs', id)
end

-- Forgets what a job continues, and tells those that continue it, where some of them have not ended.
local function forget_relatives(id, has_parents, has_children)
  local of = has_parents and flow.edges_of(id)
  for _, parent in ipairs(of and of.ids or {}) do
    into(zrems, P .. 'i:' .. parent, id)
    bump(P .. 'open', parent, -1)
  end
  if has_parents then dels[#dels + 1] = P .. 'a:' .. id end
  if has_children and redis.call('HEXISTS', P .. 'open', id) == 1 then
    flow.add_ripple(id, REMOVED)
    into(hdels, P .. 'open', id)
  elseif has_children then
    dels[#dels + 1] = P .. 'i:' .. id
  end
end

-- A job that succeeded is kept while one that continues it is unfinished. It is looked at again when that has ended.
local function is_kept(job)
  if job.state ~= SUCCEEDED or not job.children then return false end
  if (tonumber(redis.call('HGET', P .. 'open', job.id)) or 0) <= 0 then return false end
  into(zrems, P .. 'e:4', job.id)
  into(hsets, P .. 'aside', job.id, job.at)
  return true
end

local function unfile(index, names, name)
  local key = P .. index .. name
  return function()
    if redis.call('EXISTS', key) == 0 then redis.call('SREM', P .. names, name) end
  end
end

local afterwards, seen = {}, {}
local function was_in(index, names, name)
  if not seen[index .. name] then
    seen[index .. name] = true
    afterwards[#afterwards + 1] = unfile(index, names, name)
  end
end

-- Removes what can be found of a job that cannot be read: its queue and handler are those whose lists hold it.
local function forget_damaged(id, state)
  broken[#broken + 1] = id
  local job = { state = state, queue = '', path = '' }
  for index, names in pairs({ ['q:'] = 'queues', ['h/:'] = 'paths' }) do
    for _, name in ipairs(redis.call('SMEMBERS', P .. names)) do
      if redis.call('ZSCORE', P .. index .. name, id) then
        into(zrems, P .. index .. name, id)
        was_in(index, names, name)
        if names == 'queues' then job.queue = name else job.path = name end
      end
    end
  end
  into(zrems, P .. 'e:' .. state, id)
  into(zrems, P .. 'x', id)
  forget_relatives(id, false, redis.call('EXISTS', P .. 'i:' .. id) == 1)
  dels[#dels + 1] = P .. 'a:' .. id
  for other = SCHEDULED, DELETED do
    into(zrems, P .. 's:' .. other, id)
  end
  tally(job, -1)
end

local function remove(id, job, state)
  for _, tag in ipairs((stored_tags(id))) do
    into(zrems, P .. 't:' .. tag, id)
  end
  if job and job.state == state then
    leave(job)
    into(zrems, P .. 'q:' .. job.queue, id)
    into(zrems, P .. 'h/:' .. job.path, id)
    was_in('q:', 'queues', job.queue)
    was_in('h/:', 'paths', job.path)
    forget_relatives(id, job.parents, job.children)
    if job.unique ~= '' then
      local key = string.sub(job.unique, 1, 32)
      if redis.call('HGET', P .. 'unique', key) == id then into(hdels, P .. 'unique', key) end
    end
  else
    forget_damaged(id, state)
  end
  forget(id)
end

for state = SUCCEEDED, DELETED do
  local until_then = now - tonumber(ARGV[state])
  local most = limit - removed
  local ids = redis.call('ZRANGEBYSCORE', P .. 'e:' .. state, '-inf', digits(until_then), 'LIMIT', 0, most)
  local records, kept = values('j:', ids), 0
  for n, id in ipairs(ids) do
    local job = records[n] and read(records[n], id)
    if job and is_kept(job) then
      kept = kept + 1
    else
      remove(id, job, state)
    end
  end
  removed = removed + #ids - kept
  if kept > 0 and #ids == most then more = 1 end
end
if #ripples > 0 then flow.ripple_on(CHILDREN_IN_STEP) end

local old = now - tonumber(ARGV[7])
local logs = redis.call('ZRANGEBYSCORE', P .. 'logs', '-inf', digits(old), 'LIMIT', 0, LOGS)
local trims = {}

-- Looks for the first line of a log that is to be kept. Gives its number and its instant, and the number of the last old
-- line; nothing of the former where there is none or where the step has looked at enough, and then whether it has.
local function first_kept(key)
  local last, from = nil, '-'
  while true do
    local lines = redis.call('XRANGE', key, from, '+', 'COUNT', SOME)
    for _, line in ipairs(lines) do
      local _, _, at = struct.unpack('>BI4i8', line[2][2])
      if at > old then return line[1], at end
      last = line[1]
      LINES, BYTES = LINES - 1, BYTES - #line[2][2]
    end
    if #lines < SOME then return nil, nil, last, false end
    if LINES <= 0 or BYTES <= 0 then return nil, nil, last, true end
    from = '(' .. last
  end
end

for _, id in ipairs(logs) do
  if LINES <= 0 or BYTES <= 0 then
    more = 1
    break
  end
  local key = P .. 'o:' .. id
  if not gone[id] then
    expect_type(key, 'stream')
    local first, oldest, last, is_cut = first_kept(key)
    if first then
      trims[#trims + 1] = { key, first }
      into(zadds, P .. 'logs', oldest, id)
    elseif is_cut then
      trims[#trims + 1] = { key, '(' .. last }
      more = 1
    else
      dels[#dels + 1] = key
      into(zrems, P .. 'logs', id)
    end
  end
end
if #logs == LOGS then more = 1 end

for at, grain in pairs({ [8] = 'm', [9] = 'h' }) do
  local spans = redis.call('ZRANGEBYSCORE', P .. 'spans:' .. grain, '-inf', digits(now - tonumber(ARGV[at])),
    'LIMIT', 0, SPANS)
  for _, span in ipairs(spans) do
    dels[#dels + 1] = P .. 'n:' .. grain .. ':' .. span
    into(zrems, P .. 'spans:' .. grain, span)
  end
  if #spans == SPANS then more = 1 end
end

-- Starts under limits that no longer count.
local stale = redis.call('ZRANGEBYSCORE', P .. 'stale', '-inf', digits(now), 'LIMIT', 0, SPANS)
for _, limit in ipairs(stale) do
  dels[#dels + 1] = P .. 'g:' .. limit
  into(zrems, P .. 'stale', limit)
end
if #stale == SPANS then more = 1 end

-- The oldest entries of the audit log, as far as they are too old or too many.
expect_type(P .. 'audit', 'stream')
local entries, old_entries = redis.call('XRANGE', P .. 'audit', '-', '+', 'COUNT', LINES_OF_AUDIT), 0
local spare = redis.call('XLEN', P .. 'audit') - tonumber(ARGV[11])
for n, entry in ipairs(entries) do
  local at = tonumber(entry[2][2])
  if n > spare and at and at > now - tonumber(ARGV[10]) then break end
  old_entries = n
end
if old_entries == LINES_OF_AUDIT then more = 1 end

if next(zrems) or next(zadds) or #dels > 0 then
  commit()
end
if old_entries > 0 then
  local last = tonumber(string.match(entries[old_entries][1], '^%d+'))
  redis.call('XTRIM', P .. 'audit', 'MINID', digits(last + 1) .. '-0')
  if redis.call('XLEN', P .. 'audit') == 0 then redis.call('UNLINK', P .. 'audit', P .. 'audit:imported') end
end
for _, trim in ipairs(trims) do
  if string.sub(trim[2], 1, 1) == '(' then
    -- No line lies between one number and the next.
    redis.call('XTRIM', trim[1], 'MINID', digits(tonumber(string.match(trim[2], '%((%d+)')) + 1) .. '-0')
  else
    redis.call('XTRIM', trim[1], 'MINID', trim[2])
  end
end
for _, step in ipairs(afterwards) do
  step()
end
return { removed, more, table.concat(broken), work and 1 or 0, table.concat(ends) }
