-- Hands jobs over to a server: by queue in the order asked for, or over all queues, then by priority, then by age.
-- ARGV[3]   the server's id
-- ARGV[4]   free slots for sync handlers       ARGV[5]  for async handlers
-- ARGV[6]   a token of this claim, by which the server asks again for what was in an answer that it never got
-- ARGV[7]   tokens whose answers came, 8 bytes each       ARGV[8]  tokens whose answers did not come
-- ARGV[9…]  queues; all that are not paused where there are none
-- Result    the ids of damaged jobs that were passed over, the lost tokens of which jobs are still to be handed over, 1
--           where there may be work left (else 0), the ids of the jobs that ended by it, then for each job its id, its
--           record and what never changes of it
local server = ARGV[3]
local about = redis.call('HMGET', P .. 'v:' .. server, 'host', 'dead')
if not about[1] or about[2] then
  -- A server that was given up must not get jobs that nobody would ever sweep.
  return { '', '', 0, '' }
end
if redis.call('HEXISTS', P .. 'v:' .. server, 'x' .. ARGV[6]) == 1 then
  -- A later claim was told that this one's answer would not come, and it has only now arrived here.
  return { '', '', 0, '' }
end
local free = { [0] = tonumber(ARGV[4]), [1] = tonumber(ARGV[5]) }
local answer, handed, broken = { '', '', 0, '' }, {}, {}

-- An answer is kept to so many bytes of what never changes of its jobs, or to one job, since it holds up all others on its
-- connection. So many jobs are read at a time.
local MOST, SOME = 8 * 1024 * 1024, 20
local bytes, is_cut = 0, false
local function fits(size)
  if bytes > 0 and bytes + size > MOST then
    return false
  end
  bytes = bytes + size
  return true
end

-- Jobs of an answer that was lost are this server's already, and nobody runs them: they come first.
local lost = ARGV[8]
for at = 1, #lost, 8 do
  local token = string.sub(lost, at, at + 7)
  local ids = redis.call('HGET', P .. 'v:' .. server, 'c' .. token)
  local rest = {}
  for first = 1, #(ids or ''), 16 do
    local id = string.sub(ids, first, first + 15)
    local raw = redis.call('GET', P .. 'j:' .. id)
    local job = raw and read(raw, id)
    if job and job.state == PROCESSING and job.server == server then
      local size = redis.call('STRLEN', P .. 'p:' .. id)
      if free[job.mode] > 0 and size > 0 and not is_cut and fits(size) then
        local wide = redis.call('GET', P .. 'p:' .. id)
        free[job.mode] = free[job.mode] - 1
        handed[#handed + 1] = id
        answer[#answer + 1] = id
        answer[#answer + 1] = raw
        answer[#answer + 1] = wide
      elseif size > 0 then
        is_cut = is_cut or free[job.mode] > 0
        rest[#rest + 1] = id
      end
    end
  end
  if #rest > 0 then
    into(hsets, P .. 'v:' .. server, 'c' .. token, table.concat(rest))
    answer[2] = answer[2] .. token
  elseif ids then
    into(hdels, P .. 'v:' .. server, 'c' .. token)
  else
    into(hsets, P .. 'v:' .. server, 'x' .. token, '1')
  end
end
for at = 1, #ARGV[7], 8 do
  into(hdels, P .. 'v:' .. server, 'c' .. string.sub(ARGV[7], at, at + 7))
end

-- Jobs that are looked at now, and the lines that they are taken from, each by its mode and queue.
local chosen, lines_of, is_stale = {}, {}, false
local function take(key, mode, queue, member)
  if not pops[key] then line(mode, queue) end
  pops[key] = (pops[key] or 0) + 1
  chosen[#chosen + 1] = string.sub(member, 9)
  lines_of[#chosen] = key
end

local function choose_in_order(mode, count)
  local seen = {}
  for at = 9, #ARGV do
    local queue = ARGV[at]
    if count > 0 and not seen[queue] and redis.call('SISMEMBER', P .. 'paused', queue) == 0 then
      seen[queue] = true
      local key = P .. 'l:' .. mode .. ':' .. queue
      local from = pops[key] or 0
      local members = redis.call('ZRANGE', key, from, from + count - 1)
      for _, member in ipairs(members) do
        take(key, mode, queue, member)
      end
      count = count - #members
    end
  end
end

-- Whether what comes next in one line goes before what comes next in another.
local function before(a, b)
  return a.score < b.score or (a.score == b.score and a.members[a.at] < b.members[b.at])
end

-- Lets the first of a heap sink to where it belongs.
local function sink(heap)
  local at, size, one = 1, #heap, heap[1]
  while 2 * at <= size do
    local below = 2 * at
    if below < size and before(heap[below + 1], heap[below]) then below = below + 1 end
    if not before(heap[below], one) then break end
    heap[at] = heap[below]
    at = below
  end
  heap[at] = one
end

-- The first over all queues. No more queues can have a part in it than jobs are wanted, those that were passed over
-- included, and those whose lines' heads come first are known; their lines are merged, each read on a few at a time.
local function choose_best(mode, count, passed)
  local queues = redis.call('ZRANGE', P .. 'heads:' .. mode, 0, count + passed - 1)
  local heap = {}
  local function refill(of)
    of.members = redis.call('ZRANGE', of.key, of.from, of.from + of.step - 1, 'WITHSCORES')
    of.at, of.from = 1, of.from + of.step
    of.score = tonumber(of.members[2])
    of.step = math.min(count, of.step * 4)
    return of.score ~= nil
  end
  for _, queue in ipairs(queues) do
    local key = P .. 'l:' .. mode .. ':' .. queue
    local of = { key = key, queue = queue, from = pops[key] or 0, step = #queues == 1 and count or 1 }
    if refill(of) then
      heap[#heap + 1] = of
    elseif not pops[key] then
      -- Somebody has deleted the line.
      line(mode, queue)
      is_stale = true
    end
  end
  -- What is sorted is a heap.
  table.sort(heap, before)
  while count > 0 and #heap > 0 do
    local of = heap[1]
    take(of.key, mode, of.queue, of.members[of.at])
    count = count - 1
    of.at = of.at + 2
    of.score = tonumber(of.members[of.at + 1])
    if not of.score and not refill(of) then
      heap[1] = heap[#heap]
      heap[#heap] = nil
    end
    if heap[2] then sink(heap) end
  end
end

-- Leaves what was chosen from here on in its line.
local function leave_from(first)
  for left = first, #chosen do
    pops[lines_of[left]] = pops[lines_of[left]] - 1
    chosen[left] = nil
  end
end

local versions, has_canary = {}, {}
local function hand_over(job, wide)
  leave(job, true)
  no_expiry(job)
  become(job, PROCESSING, '')
  job.run, job.attempt, job.server, job.started = job.run + 1, job.attempt + 1, server, now
  if job.version == '' then
    local module = module_of(job.path)
    if versions[module] == nil then
      versions[module] = redis.call('HGET', P .. 'active', module) or ''
      has_canary[module] = redis.call('HEXISTS', P .. 'canary', module) == 1
    end
    job.version = has_canary[module] and canary_of(job.path, job.id) or versions[module]
  end
  stand(job)
  local raw = packed(job)
  put(P .. 'j:' .. job.id, raw)
  handed[#handed + 1] = job.id
  answer[#answer + 1] = job.id
  answer[#answer + 1] = raw
  answer[#answer + 1] = wide
end

-- So many jobs are passed over by one claim at most, since they have expired or a limit of theirs is full.
local PASSED = 1000
local passed = 0

-- Hands over what was chosen, as far as there are slots and it fits into the answer; the rest stays in its line. What never
-- changes of a job is read with that of others where there are no limits, and else once it is known to be started.
local function go_through(mode)
  local records, wides = values('j:', chosen), nil
  for n = 1, #chosen do
    if free[mode] == 0 or passed == PASSED then
      leave_from(n)
      return
    end
    local id, raw = chosen[n], records[n]
    local job = raw and read(raw, id)
    local wide
    if load_rules() then
      wide = redis.call('STRLEN', P .. 'p:' .. id) > 0
    else
      if n % SOME == 1 then
        local some = {}
        for at = n, math.min(n + SOME - 1, #chosen) do
          some[#some + 1] = chosen[at]
        end
        wides = values('p:', some)
      end
      wide = wides[(n - 1) % SOME + 1]
    end
    if not job or not wide or job.state ~= ENQUEUED then
      -- It is out of its line now, and stays to be looked at. Its slot stays free for the one behind it.
      broken[#broken + 1] = id
      work = true
    elseif job.expires <= now and job.expires ~= NONE then
      passed = passed + 1
      drop(job, 'expired', 'scheduler')
    elseif load_rules() and limits.is_full(job) then
      passed = passed + 1
    else
      if wide == true then
        -- Where it does not fit, it is not read.
        wide = fits(redis.call('STRLEN', P .. 'p:' .. id)) and redis.call('GET', P .. 'p:' .. id)
      elseif not fits(#wide) then
        wide = false
      end
      if not wide then
        is_cut = true
        leave_from(n)
        return
      end
      if load_rules() then limits.count_starts(job) end
      hand_over(job, wide)
      free[mode] = free[mode] - 1
    end
  end
end

for mode = 0, 1 do
  -- Where some were passed over, those behind them come next, ever more of them in one look.
  local wanted = free[mode]
  while free[mode] > 0 and not is_cut and passed < PASSED do
    chosen, lines_of = {}, {}
    local before_it = passed
    if #ARGV >= 9 then
      choose_in_order(mode, wanted)
    else
      choose_best(mode, wanted, passed + #broken + #handed)
    end
    local count = #chosen
    if count > 0 then go_through(mode) end
    if count < wanted or passed == before_it then break end
    wanted = math.min(math.max(wanted, free[mode]) * 2, PASSED)
  end
end
if passed == PASSED then
  -- There may be others behind them for the slots that stayed free.
  work = true
end
for key, count in pairs(pops) do
  if count == 0 then pops[key] = nil end
end
if #handed > 0 then
  into(hsets, P .. 'v:' .. server, 'c' .. ARGV[6], table.concat(handed))
end
if #answer > 4 or is_stale or next(pops) or next(hdels) or next(hsets) then
  if #ripples > 0 then flow.ripple_on(CHILDREN_IN_STEP) end
  commit()
end
answer[1], answer[3] = table.concat(broken), (is_cut or work) and 1 or 0
answer[4] = table.concat(ends)
return answer
