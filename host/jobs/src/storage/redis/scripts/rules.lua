-- The rules of limits, as they are kept: how many at once (0 for any), how many starts (0 for any), in which period, and the
-- number of its putting, from which on starts are counted.
local RULE = '>I4I4i8i8'

-- A start is counted by the part of a period that it falls into, of which there are so many.
local PARTS = 60

-- Reads a rule; nothing where it is damaged.
local function read_rule(raw)
  local fine, concurrency, starts, period, number = pcall(struct.unpack, RULE, raw)
  return fine and { concurrency = concurrency, starts = starts, period = period, number = number,
    part = math.max(math.ceil(period / PARTS), 1) } or nil
end

-- Puts a rule, or another in its place. Gives it, and for a queue or a handler how many jobs run under it already; nothing
-- where there are too many. Starts of before are counted only where the period of the rate stays the same.
local rules_put, rules_made
local function put_rule(target, concurrency, starts, period, most)
  local raw = redis.call('HGET', P .. 'limits', target)
  if not raw then
    rules_made = (rules_made or redis.call('HLEN', P .. 'limits')) + 1
    if rules_made > most then return nil end
  end
  rules_put = (rules_put or tonumber(redis.call('HGET', P .. 'meta', 'limits') or 0)) + 1
  local old, number = raw and read_rule(raw), rules_put
  if old and old.starts > 0 and starts > 0 and old.period == period then number = old.number end
  raw = struct.pack(RULE, concurrency, starts, period, number)
  into(hsets, P .. 'limits', target, raw)
  local kind, name = string.match(target, '^(%a+):(.*)$')
  if kind == 'key' then
    return read_rule(raw)
  end
  local tallied, running = redis.call('HGETALL', P .. 'tally'), 0
  for at = 1, #tallied, 2 do
    local queue, path, state = string.match(tallied[at], '^(%S+) (%S+) (%d)$')
    if tonumber(state) == PROCESSING and (kind == 'queue' and queue or path) == name then
      running = running + tonumber(tallied[at + 1])
    end
  end
  into(hsets, P .. 'running', target, running)
  return read_rule(raw), running
end

-- Keeps the number of the last rule.
local function number_rules()
  if rules_put then into(hsets, P .. 'meta', 'limits', digits(rules_put)) end
end
