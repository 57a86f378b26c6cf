-- Removes jobs that ended longer ago than they are kept, with every key and entry of theirs; old log lines; and counters
-- of spans that are long gone.
-- ARGV[3]     at most so many jobs
-- ARGV[4…6]   how long jobs are kept that succeeded, failed, were deleted, in milliseconds
-- ARGV[7]     how long log lines are kept       ARGV[8], ARGV[9]  counters by the minute, by the hour,
--             from the beginning of their span
-- Result      how many jobs were removed, whether there is more to do (0 or 1), the ids of damaged ones among them

-- One step looks at so many jobs' logs, and in all of them at so many lines and about so many bytes, some lines at a time.
local LOGS, LINES, BYTES, SOME, SPANS = 50, 500, 4 * 1024 * 1024, 20, 200
local limit, removed, more, broken = tonumber(ARGV[3]), 0, 0, {}

local gone = {}
local function forget(id)
  gone[id] = true
  for _, kind in ipairs({ 'j:', 'p:', 'h:', 'r:', 'w:', 'c:', 'o:' }) do
    dels[#dels + 1] = P .. kind .. id
  end
  into(zrems, P .. 'logs', id)
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
  for other = SCHEDULED, DELETED do
    into(zrems, P .. 's:' .. other, id)
  end
  tally(job, -1)
end

for state = SUCCEEDED, DELETED do
  local until_then = now - tonumber(ARGV[state])
  local ids = redis.call('ZRANGEBYSCORE', P .. 'e:' .. state, '-inf', digits(until_then), 'LIMIT', 0, limit - removed)
  local records = values('j:', ids)
  for n = 1, #ids do
    local id = ids[n]
    local job = records[n] and read(records[n], id)
    for _, tag in ipairs((stored_tags(id))) do
      into(zrems, P .. 't:' .. tag, id)
    end
    if job and job.state == state then
      leave(job)
      into(zrems, P .. 'q:' .. job.queue, id)
      into(zrems, P .. 'h/:' .. job.path, id)
      was_in('q:', 'queues', job.queue)
      was_in('h/:', 'paths', job.path)
    else
      forget_damaged(id, state)
    end
    forget(id)
  end
  removed = removed + #ids
end

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

if next(zrems) or next(zadds) or #dels > 0 then
  commit()
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
return { removed, more, table.concat(broken) }
