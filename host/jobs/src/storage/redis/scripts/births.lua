-- New jobs, as `enqueue`, the follow-ups of `settle` and recurring jobs make them. Each takes five arguments:
--   id, its 16 bytes
--   head: mode, priority, how it starts (0 now, 1 after a delay, 2 at an instant, 3 with its handler), most attempts,
--         and the delay or the instant; then, where it has conditions, which: 1 parents, 2 unique, 4 expiry, 8 limit key,
--         and of these the parents (how they must end, their count, their ids), the rule (42 bytes: key, states as bits,
--         period or 0, what becomes of a conflict), the instant, and the key
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

local HEAD_BYTES = 15

-- What never changes of the jobs that are born here, in case one is replaced.
local wides = {}

-- What is for jobs with conditions only.
local conditional = lazily(function()
  -- Where a job waits for its parents, or cannot go on, it is born so. Gives its edges.
  local function continue(job, on, ids, start, when)
    local of = { on = on, start = start, when = when, ids = ids, met = {} }
    local is_gone = false
    for n, parent_id in ipairs(ids) do
      local parent = found(parent_id)
      -- One that is not there counts as removed: whoever must not name such a one was refused before.
      local verdict = flow.judge(on, parent and parent.state or REMOVED)
      of.met[n] = verdict == 'met'
      is_gone = is_gone or verdict == 'gone'
      if parent then
        if not parent.children then
          parent.children = true
          save(parent)
        end
        fresh[parent_id] = parent
        into(zadds, P .. 'i:' .. parent_id, job.seq, job.id)
        bump(P .. 'open', parent_id, 1)
      end
    end
    job.parents = true
    flow.save_edges(job.id, of)
    if is_gone then
      become(job, DELETED, 'parent-gone')
      job.expires = NONE
      happened(job.path, 'deleted', 1)
    elseif not flow.all_met(of) then
      become(job, AWAITING, 'parents')
      job.waited = true
    end
  end

  local function conditions_of(head)
    local at = HEAD_BYTES + 1
    local which, found_here = string.byte(head, at), {}
    at = at + 1
    if which % 2 == 1 then
      local count
      found_here.on, count, at = struct.unpack('>BB', head, at)
      found_here.parents = {}
      for n = 1, count do
        found_here.parents[n] = string.sub(head, at, at + 15)
        at = at + 16
      end
    end
    if which % 4 > 1 then
      found_here.unique = string.sub(head, at, at + 41)
      at = at + 42
    end
    if which % 8 > 3 then
      found_here.expires, at = struct.unpack('>i8', head, at)
    end
    if which > 7 then
      found_here.limit_key = string.sub(head, at)
    end
    return found_here
  end

  -- The holder gets a new payload, start and expiry where it was never claimed. Gives whether it did.
  local function replace(holder, head, wide, expires)
    local _, _, start, _, when = struct.unpack('>BBBI4i8', head)
    if holder.run > 0 or holder.state > ENQUEUED then return false end
    local old = wides[holder.id] or redis.call('GET', P .. 'p:' .. holder.id)
    local _, old_at = tags_of(old or '')
    local _, new_at = tags_of(wide)
    if not old_at then return false end
    local old_about, new_about = struct.unpack('>I4', old, old_at), struct.unpack('>I4', wide, new_at)
    local replaced = string.sub(old, 1, old_at + 3 + old_about) .. string.sub(wide, new_at + 4 + new_about)
    put(P .. 'p:' .. holder.id, replaced)
    wides[holder.id] = replaced
    no_expiry(holder)
    if expires then
      holder.expires = expires
      into(zadds, P .. 'x', expires, holder.id)
      work = true
    end
    if waits_for_parents(holder) then
      local of = flow.edges_of(holder.id)
      if of then
        of.start, of.when = start, when
        flow.save_edges(holder.id, of)
      end
      save(holder)
      return true
    end
    local starts = { path = holder.path }
    begin(starts, start, when)
    if holder.state == ENQUEUED and starts.state == ENQUEUED then
      -- It keeps its place.
      save(holder)
      return true
    end
    local from = holder.state
    leave(holder)
    begin(holder, start, when)
    if holder.state ~= AWAITING then holder.reason = 'replaced' end
    record_step(holder, from, cjson.decode(string.sub(wide, new_at + 4, new_at + 3 + new_about)).by)
    stand(holder)
    save(holder)
    return true
  end

  -- Whether a job stands in the way of one that is unique by this rule.
  local function counts(rule, holder)
    local states, period = struct.unpack('>Bi8', rule, 33)
    return math.floor(states / 2 ^ holder.state) % 2 == 1 and (period == 0 or now < holder.created + period)
  end

  -- The holder of a rule's key; nothing where it is gone or damaged.
  local holders = {}

  local function holder_of(rule)
    local key = string.sub(rule, 1, 32)
    local id = holders[key] or redis.call('HGET', P .. 'unique', key)
    return id and found(id)
  end

  local function hold_key(rule, id)
    local key = string.sub(rule, 1, 32)
    holders[key] = id
    into(hsets, P .. 'unique', key, id)
  end

  return {
    continue = continue, conditions_of = conditions_of, replace = replace, counts = counts, holder_of = holder_of,
    hold_key = hold_key,
  }
end)

local NO_CONDITIONS = {}

local function born(id, head, queue, path, wide, conditions)
  local mode, priority, start, max_attempts, when = struct.unpack('>BBBI4i8', head)
  local job = {
    id = id, mode = mode, priority = priority, ask = 0, attempt = 0, max_attempts = max_attempts,
    run = 0, losses = 0, lines = 0, ended = 0, log_bytes = 0, seq = next_seq(now), created = now,
    started = NONE, server = '', version = '', queue = queue, path = path, asked_by = '', held = 0,
    expires = conditions.expires or NONE, limit_key = conditions.limit_key or '', unique = conditions.unique or '',
  }
  begin(job, start, when)
  if conditions.parents then
    conditional.continue(job, conditions.on, conditions.parents, start, when)
  end
  if job.expires ~= NONE then
    into(zadds, P .. 'x', job.expires, id)
    work = true
  end
  job.born = job.state
  put(P .. 'p:' .. id, wide)
  stand(job)
  file(job, wide)
  save(job)
  happened(path, 'made', 1)
end

-- Makes jobs out of the arguments from `first` on; gives a letter for each: whether it is new (n), existing (e), was given
-- as another one (x) which also got what is new of it (r), or was left out for it (o), with that one's id. Where one is refused,
-- gives nothing and why: its place from 0, `conflict` or `parent`, and that job's id; `leaves_out` leaves it out instead.
local made_here = {}
local REJECT, REPLACE = 0, 2

local function bear(first, count, leaves_out)
  if count == 0 then
    return {}
  end
  if not last_seq then load_numbers() end
  local ids, letters = {}, {}
  for n = 1, count do
    ids[n] = ARGV[first + (n - 1) * 5]
  end
  local known = values('j:', ids)
  for n = 1, count do
    local at, id = first + (n - 1) * 5, ids[n]
    local head, wide = ARGV[at + 1], ARGV[at + 4]
    local conditions = #head > HEAD_BYTES and conditional.conditions_of(head) or NO_CONDITIONS
    local rule = conditions.unique
    if known[n] or made_here[id] then
      letters[n] = 'e'
    else
      local holder = rule and conditional.holder_of(rule)
      local conflict = holder and conditional.counts(rule, holder) and string.byte(rule, 42)
      if conflict == REJECT then
        if not leaves_out then return nil, { n - 1, 'conflict', holder.id } end
        letters[n] = 'o' .. holder.id
      elseif conflict then
        local is_replaced = conflict == REPLACE and conditional.replace(holder, head, wide, conditions.expires)
        letters[n] = (is_replaced and 'r' or 'x') .. holder.id
      else
        for _, parent in ipairs(not leaves_out and conditions.parents or {}) do
          if not found(parent) then return nil, { n - 1, 'parent', parent } end
        end
        made_here[id] = true
        letters[n] = 'n'
        if rule then
          conditional.hold_key(rule, id)
          wides[id] = wide
        end
        born(id, head, ARGV[at + 2], ARGV[at + 3], wide, conditions)
      end
    end
  end
  hsets[P .. 'meta'] = { 'seq', digits(last_seq), 'made', digits(last_made), 'ahead', digits(ahead) }
  return letters
end
