-- Limits on how many jobs run and start. A limit is named by its target: `queue:NAME`, `handler:MODULE/HANDLER`, `key:KEY`,
-- or `key:START*` for each key that starts so, which then has a count, starts and a line of its own under `key:KEY`. Keys
-- are counted whether they are limited or not, queues and handlers only while they are.

-- A step that makes room moves so many jobs back.
local HELD_IN_STEP = 100

-- One look goes to so many limits.
local LINES = 100

-- So long rests a limit from which as many jobs were moved back as there is room for, in milliseconds: they are there to be
-- taken, and where nobody has a free slot for them, more of them would be of no use.
local REST = 1000

local rules
local function load_rules()
  if rules ~= nil then return rules end
  local all = redis.call('HGETALL', P .. 'limits')
  rules = #all > 0 and { exact = {}, beginnings = {} }
  for at = 1, #all, 2 do
    local rule, beginning = read_rule(all[at + 1]), string.match(all[at], '^(key:.*)%*$')
    if rule and beginning then
      rules.beginnings[#rules.beginnings + 1] = { beginning, rule }
    elseif rule then
      rules.exact[all[at]] = rule
    end
  end
  if rules then
    table.sort(rules.beginnings, function(a, b) return #a[1] > #b[1] end)
  end
  return rules
end

-- The limits that got room by this script.
local given_back = {}

-- Where there are no limits, only jobs with a key need more than the look at whether there are: what is for limits is made
-- when it is needed.
local limits = lazily(function()
  -- The rule for a queue, a handler or a key; nothing where it is not limited.
  local function rule_of(limit)
    if not load_rules() then return nil end
    local rule = rules.exact[limit]
    for at = 1, not rule and string.sub(limit, 1, 4) == 'key:' and #rules.beginnings or 0 do
      local beginning = rules.beginnings[at]
      if string.sub(limit, 1, #beginning[1]) == beginning[1] then return beginning[2] end
    end
    return rule
  end

  -- Of limits that this script has put.
  local counted_anew = {}

  local function running_of(limit)
    local changes = bumps[P .. 'running']
    local stored = counted_anew[limit] or tonumber(redis.call('HGET', P .. 'running', limit) or 0)
    return (stored or 0) + (changes and changes[limit] or 0)
  end

  -- The starts under a limit that still count, by their part of the period: pairs of its number and how many.
  local started = {}
  local function starts_of(limit, rule)
    local of = started[limit]
    if of and of.number == rule.number then return of end
    of = { number = rule.number, parts = {} }
    started[limit] = of
    local raw = redis.call('GET', P .. 'g:' .. limit)
    if not raw or #raw % 12 ~= 8 or struct.unpack('>i8', raw) ~= rule.number then return of end
    for at = 9, #raw, 12 do
      local part, count = struct.unpack('>i8I4', raw, at)
      if (part + 1) * rule.part + rule.period > now then of.parts[#of.parts + 1] = { part, count } end
    end
    return of
  end

  -- How many more may start under a limit, and where that is none because of its rate, when there will be room.
  local function room_of(limit, rule)
    local room, at = math.huge, nil
    if not rule then return room end
    if rule.concurrency > 0 then room = rule.concurrency - running_of(limit) end
    if rule.starts > 0 then
      local of, used, first = starts_of(limit, rule), 0, nil
      for _, part in ipairs(of.parts) do
        used = used + part[2]
        first = math.min(first or part[1], part[1])
      end
      if rule.starts <= used then at = (first + 1) * rule.part + rule.period end
      room = math.min(room, rule.starts - used)
    end
    return math.max(room, 0), at
  end

  -- Counts a start under a limit with a rate.
  local function count_start(limit, rule)
    if rule.starts == 0 then return end
    local of, present = starts_of(limit, rule), math.floor(math.max(now, 0) / rule.part)
    local last = of.parts[#of.parts]
    if last and last[1] == present then
      last[2] = last[2] + 1
    else
      of.parts[#of.parts + 1] = { present, 1 }
    end
    of.is_changed, of.rule = true, rule
    local _, at = room_of(limit, rule)
    -- Those that wait there already wait for another instant now.
    if at then touch(limit, at) end
  end

  -- The limits that a job is under, with the number that its record has for each: its queue's, its handler's, its key's.
  local function limits_of(job)
    local list = {}
    local function add(limit, held)
      local rule = rule_of(limit)
      if rule then list[#list + 1] = { limit, rule, held } end
    end
    add('queue:' .. job.queue, 1)
    add('handler:' .. job.path, 2)
    if job.limit_key ~= '' then add('key:' .. job.limit_key, 3) end
    return list
  end

  -- Puts a job that has left its line into that of the first of its limits that is full; gives whether there is one.
  local function is_full(job)
    if not load_rules() then return false end
    for _, one in ipairs(limits_of(job)) do
      local room, at = room_of(one[1], one[2])
      if room < 1 then
        job.held = one[3]
        hold(job)
        touch(one[1], at or FAR)
        save(job)
        -- Whoever promotes may have to do so earlier now.
        if at then work = true end
        -- It may have come from the line of another, and the next one there may have more luck.
        for _, other in ipairs(limits_of(job)) do
          if other[1] ~= one[1] and redis.call('ZSCORE', P .. 'held', other[1]) then
            touch(other[1], now)
            work = true
          end
        end
        return true
      end
    end
    return false
  end

  -- Counts the start of a job under all of its limits.
  local function count_starts(job)
    for _, one in ipairs(load_rules() and limits_of(job) or {}) do
      count_start(one[1], one[2])
    end
  end

  -- Moves jobs that wait at a limit back to their own lines, as many as there is room for, and at most so many. Gives how
  -- many it moved.
  local function move_back(limit, most)
    local key = P .. 'z:' .. limit
    if redis.call('EXISTS', key) == 0 then
      if redis.call('ZSCORE', P .. 'held', limit) then touch(limit) end
      return 0
    end
    local room, at = room_of(limit, rule_of(limit))
    local count = math.min(room, most)
    local members, ids = count > 0 and redis.call('ZRANGE', key, 0, count - 1) or {}, {}
    for n = 1, #members do
      ids[n] = string.sub(members[n], 9)
    end
    local records = values('j:', ids)
    for n = 1, #ids do
      local job = fresh[ids[n]] or (records[n] and read(records[n], ids[n]))
      if job and job.state == ENQUEUED and job.held ~= 0 then
        unhold(job)
        job.held = 0
        into(zadds, line_of(job), rank(job), standing(job))
        save(job)
        work = true
      elseif not job then
        -- It is damaged, and stays to be looked at.
        into(zrems, key, members[n])
        work = true
      end
    end
    -- Where more could be moved than may be now, that is done next; otherwise something has to start, to end or to pass.
    touch(limit, room > most and now or at or (room > 0 and now + REST) or FAR)
    return #ids
  end

  -- Moves jobs back wherever this script made room, at most so many in all.
  local function move_all_back(most)
    local seen = {}
    for _, limit in ipairs(given_back) do
      if not seen[limit] then
        seen[limit] = true
        most = most - move_back(limit, most)
      end
    end
  end

  -- The counts that a run changes. Its server keeps them too, in case the job's record cannot be read when the run ends.
  local function counted_under(job)
    local list = {}
    if job.limit_key ~= '' then list[1] = 'key:' .. job.limit_key end
    if load_rules() then
      for _, limit in ipairs({ 'queue:' .. job.queue, 'handler:' .. job.path }) do
        if rules.exact[limit] then list[#list + 1] = limit end
      end
    end
    return list
  end

  local function takes(job)
    local list = counted_under(job)
    for _, limit in ipairs(list) do
      bump(P .. 'running', limit, 1)
    end
    if #list > 0 then into(hsets, P .. 'v:' .. job.server, 'l' .. job.id, table.concat(list, '\n')) end
  end


  local function give_back(limits)
    for _, limit in ipairs(limits) do
      bump(P .. 'running', limit, -1)
      given_back[#given_back + 1] = limit
    end
  end

  local function gives(job)
    local list = counted_under(job)
    give_back(list)
    if #list > 0 then into(hdels, P .. 'v:' .. job.server, 'l' .. job.id) end
  end

  -- The same for a job whose record cannot be read.
  local function give_back_damaged(server, id)
    local list = {}
    for limit in string.gmatch(redis.call('HGET', P .. 'v:' .. server, 'l' .. id) or '', '[^\n]+') do
      list[#list + 1] = limit
    end
    give_back(list)
  end

  -- Looks at all limits that have jobs waiting, some lines in each step, from where the last step stopped.
  local function look_around(from, most)
    local names = redis.call('ZRANGEBYLEX', P .. 'names', from == '' and '-' or '(' .. from, '+', 'LIMIT', 0, LINES)
    local moved = 0
    for _, limit in ipairs(names) do
      if moved >= most then
        put(P .. 'relook', from)
        return moved, true
      end
      moved = moved + move_back(limit, most - moved)
      from = limit
    end
    if #names == LINES then
      put(P .. 'relook', from)
      return moved, true
    end
    dels[#dels + 1] = P .. 'relook'
    return moved, false
  end

  checks[#checks + 1] = function()
    if not next(started) then return end
    for limit in pairs(started) do expect_type(P .. 'g:' .. limit, 'string') end
    expect_type(P .. 'stale', 'zset')
  end

  writes[#writes + 1] = function()
    for limit, of in pairs(started) do
      if of.is_changed then
        local parts = { struct.pack('>i8', of.number) }
        for n, part in ipairs(of.parts) do
          parts[n + 1] = struct.pack('>i8I4', part[1], part[2])
        end
        redis.call('SET', P .. 'g:' .. limit, table.concat(parts))
        -- Its starts are forgotten when the last of them no longer counts.
        local last = of.parts[#of.parts][1]
        redis.call('ZADD', P .. 'stale', (last + 1) * of.rule.part + of.rule.period, limit)
      end
    end
  end

  -- Takes a rule, or that there is none any more, into account, and moves back what is let go of: at the limit itself, or at
  -- all of them where keys may have come under another.
  local function change_rule(target, rule, running)
    load_rules()
    rules = rules or { exact = {}, beginnings = {} }
    local beginning = string.match(target, '^(key:.*)%*$')
    if not beginning then
      rules.exact[target], counted_anew[target] = rule, running
      move_back(target, HELD_IN_STEP)
      return
    end
    for at = #rules.beginnings, 1, -1 do
      if rules.beginnings[at][1] == beginning then table.remove(rules.beginnings, at) end
    end
    if rule then rules.beginnings[#rules.beginnings + 1] = { beginning, rule } end
    table.sort(rules.beginnings, function(a, b) return #a[1] > #b[1] end)
    look_around('', HELD_IN_STEP)
  end

  return {
    rule_of = rule_of, running_of = running_of, is_full = is_full, count_starts = count_starts, takes = takes,
    gives = gives, give_back_damaged = give_back_damaged, move_back = move_back, move_all_back = move_all_back,
    look_around = look_around, change_rule = change_rule,
  }
end)

function hooks.takes(job)
  if job.limit_key ~= '' or load_rules() then limits.takes(job) end
end

function hooks.gives(job)
  if job.limit_key ~= '' or load_rules() then limits.gives(job) end
end
