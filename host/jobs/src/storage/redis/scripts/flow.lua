-- Jobs that continue others. What a job waits for stands in its own `a:ID`: how its parents must have ended, how it starts
-- then, and each parent with whether it is met. `i:ID` lists its children. When a job with children comes into a final
-- state or is removed, that is a *ripple*: it is carried on to the children in their order, a bounded number in each step,
-- and what is left waits in `ripples`, the first to come the first to be done. So a chain or a crowd of any length needs no
-- recursion.

-- A ripple's outcome is a state, or this where the job was removed.
local REMOVED = 7

-- A step that ends jobs carries that on to so many children.
local CHILDREN_IN_STEP = 100

-- The latest instant that there is.
local LATEST = 253402207200000

-- Has a job start: now, after a delay from now, at an instant, or with its handler.
local function begin(job, start, when)
  become(job, ENQUEUED, '')
  job.ready = now
  local due = start == 1 and math.min(now + when, LATEST) or when
  if (start == 1 or start == 2) and due > now then
    job.state, job.at = SCHEDULED, due
  elseif start == 3 then
    -- The handler may have come between the asking and the storing, and nothing would wake the job then.
    local active = active_mode(job.path)
    if active then
      job.mode = active
    else
      job.state, job.reason = AWAITING, 'handler-missing'
    end
  end
end

-- Ripples of this script, and how many of before it has read.
local ripples, stored_ripples = {}, 0

-- Most scripts meet no job that has relatives, and most jobs have none: what is for those is made when it is needed.
local flow = lazily(function()
  local ON_SUCCESS, ON_FAILURE = 0, 1
  local edges = {}

  local function unpacked_edges(raw)
    local on, start, when, at = struct.unpack('>BBi8', raw)
    local of = { on = on, start = start, when = when, ids = {}, met = {} }
    if on > 2 or start > 3 or (#raw + 1 - at) % 17 ~= 0 then
      error('out of its range')
    end
    while at <= #raw do
      of.ids[#of.ids + 1] = string.sub(raw, at, at + 15)
      of.met[#of.ids] = string.byte(raw, at + 16) == 1
      at = at + 17
    end
    return of
  end

  -- What a job continues; nothing where that is not there or damaged.
  local function edges_of(id, raw)
    if not edges[id] then
      raw = raw or redis.call('GET', P .. 'a:' .. id)
      local fine, of = pcall(unpacked_edges, raw or '')
      edges[id] = fine and of or nil
    end
    return edges[id]
  end

  local function save_edges(id, of)
    edges[id] = of
    local parts = { struct.pack('>BBi8', of.on, of.start, of.when) }
    for n = 1, #of.ids do
      parts[n + 1] = of.ids[n] .. (of.met[n] and '\1' or '\0')
    end
    put(P .. 'a:' .. id, table.concat(parts))
  end

  local function all_met(of)
    for n = 1, #of.ids do
      if not of.met[n] then return false end
    end
    return true
  end

  -- What an end of a parent means to a child: `met`, `gone` where the child cannot go on any more, or nothing.
  local function judge(on, outcome)
    if outcome ~= SUCCEEDED and outcome ~= FAILED and outcome < DELETED then
      return nil
    elseif on == ON_SUCCESS then
      return outcome == SUCCEEDED and 'met' or outcome ~= FAILED and 'gone' or nil
    elseif on == ON_FAILURE then
      return outcome == FAILED and 'met' or 'gone'
    end
    return 'met'
  end

  -- A job whose parents are done goes on, in the mode in which its handler runs by now.
  local function go_on(job, of, by)
    leave(job)
    job.mode = active_mode(job.path) or job.mode
    begin(job, of.start, of.when)
    record_step(job, AWAITING, by)
    stand(job)
    save(job)
  end

  local ripple_at, half_done = 1, nil

  local function add_ripple(id, outcome)
    -- Those that are made while it is under way have looked for themselves.
    local last = redis.call('ZRANGE', P .. 'i:' .. id, -1, -1, 'WITHSCORES')
    ripples[#ripples + 1] = { id = id, outcome = outcome, bound = tonumber(last[2] or NONE), from = NONE, after = '' }
  end

  local function packed_ripple(one)
    return one.id .. struct.pack('>Bi8i8', one.outcome, one.bound, one.from) .. one.after
  end

  local function unpacked_ripple(raw)
    local id = string.sub(raw, 1, 16)
    local fine, outcome, bound, from = pcall(struct.unpack, '>Bi8i8', raw, 17)
    return fine and { id = id, outcome = outcome, bound = bound, from = from, after = string.sub(raw, 34) } or nil
  end

  -- Carries a ripple on to at most so many children. Gives at how many it looked, whether that was all, and how many became
  -- enqueued.
  local function carry_on(one, most)
    local key = P .. 'i:' .. one.id
    local first = one.after ~= '' and redis.call('ZRANK', key, one.after)
    first = first and first + 1 or redis.call('ZCOUNT', key, '-inf', '(' .. digits(one.from))
    local page = redis.call('ZRANGE', key, first, first + most - 1, 'WITHSCORES')
    local ids, is_last = {}, #page < 2 * most
    for at = 1, #page, 2 do
      if tonumber(page[at + 1]) > one.bound then
        is_last = true
        break
      end
      ids[#ids + 1] = page[at]
      one.after, one.from = page[at], tonumber(page[at + 1])
    end
    local records, raw_edges, moved = values('j:', ids), values('a:', ids), 0
    for n, id in ipairs(ids) do
      local job = fresh[id] or (records[n] and read(records[n], id))
      local of = job and waits_for_parents(job) and edges_of(id, raw_edges[n] or '')
      local verdict = of and judge(of.on, one.outcome)
      for at = 1, verdict and #of.ids or 0 do
        if of.ids[at] == one.id and not of.met[at] then
          if verdict == 'gone' then
            drop(job, 'parent-gone', 'scheduler')
          else
            of.met[at] = true
            save_edges(id, of)
            if all_met(of) then
              go_on(job, of, 'scheduler')
              if job.state == ENQUEUED then moved = moved + 1 end
            end
          end
          break
        end
      end
      if one.outcome == REMOVED then into(zrems, key, id) end
    end
    return #ids, is_last, moved
  end

  -- Carries ripples on, those of before and then those of this script, to at most so many children. Gives at how many it
  -- looked, how many became enqueued, and whether some are left.
  local function ripple_on(most)
    local raw = redis.call('LRANGE', P .. 'ripples', 0, most)
    -- Behind those that were read there may be more, which go before the new ones.
    local is_backlog = #raw > most
    local looked, moved = 0, 0
    stored_ripples = #raw
    while looked < most do
      local one
      if ripple_at <= #raw then
        one = half_done or unpacked_ripple(raw[ripple_at])
      elseif not is_backlog then
        one = ripples[ripple_at - #raw]
      end
      if not one and ripple_at > #raw then break end
      half_done = nil
      local some, is_last, went = 0, true, 0
      if one then
        some, is_last, went = carry_on(one, most - looked)
      end
      looked, moved = looked + math.max(some, 1), moved + went
      if is_last then
        ripple_at = ripple_at + 1
      elseif ripple_at <= #raw then
        half_done = one
      end
    end
    return looked, moved, ripple_at <= #raw + #ripples or is_backlog
  end

  checks[#checks + 1] = function()
    if #ripples == 0 and stored_ripples == 0 and not bumps[P .. 'open'] then return end
    expect_type(P .. 'ripples', 'list')
    expect_type(P .. 'aside', 'hash')
    expect_type(P .. 'e:4', 'zset')
  end

  writes[#writes + 1] = function()
    if ripple_at > 1 and stored_ripples > 0 then
      redis.call('LPOP', P .. 'ripples', math.min(ripple_at - 1, stored_ripples))
    end
    if half_done and ripple_at <= stored_ripples then
      redis.call('LSET', P .. 'ripples', 0, packed_ripple(half_done))
    end
    for at = math.max(ripple_at - stored_ripples, 1), #ripples do
      redis.call('RPUSH', P .. 'ripples', packed_ripple(ripples[at]))
    end
    -- A job that succeeded and was kept for its children is kept as any other, now that they have ended.
    for parent, change in pairs(bumps[P .. 'open'] or {}) do
      if change < 0 and redis.call('HEXISTS', P .. 'open', parent) == 0 then
        local at = redis.call('HGET', P .. 'aside', parent)
        if at then
          redis.call('ZADD', P .. 'e:4', at, parent)
          redis.call('HDEL', P .. 'aside', parent)
        end
      end
    end
  end

  return {
    edges_of = edges_of, unpacked_edges = unpacked_edges, save_edges = save_edges, all_met = all_met, judge = judge,
    add_ripple = add_ripple, ripple_on = ripple_on,
  }
end)

function hooks.ended(job)
  if job.children then flow.add_ripple(job.id, job.state) end
  local of = job.parents and flow.edges_of(job.id)
  for _, parent in ipairs(of and of.ids or {}) do
    bump(P .. 'open', parent, -1)
  end
end

function hooks.reopened(job)
  local of = flow.edges_of(job.id)
  for _, parent in ipairs(of and of.ids or {}) do
    bump(P .. 'open', parent, 1)
  end
end
