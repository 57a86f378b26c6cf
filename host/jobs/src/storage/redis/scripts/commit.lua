-- Writes what a script has gathered. Every key's type is looked at before the first write, since nothing rolls back.

local function expect_type(key, expected)
  local found = redis.call('TYPE', key).ok
  if found ~= expected and found ~= 'none' then
    error({ err = 'WRONGKEY ' .. string.gsub(key, '[^%w{}:/._-]', '?') .. ' is a ' .. found .. ', not a ' .. expected })
  end
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

-- Keeps what is known of the limits with a line true to those that have changed, and which keys have jobs under them.
local function update_held()
  local running, seen = bumps[P .. 'running'] or {}, {}
  local function update_key(limit, is_held)
    local key = string.match(limit, '^key:(.*)$')
    if key and (is_held or redis.call('HEXISTS', P .. 'running', limit) == 1) then
      redis.call('ZADD', P .. 'keys', 0, key)
    elseif key then
      redis.call('ZREM', P .. 'keys', key)
    end
  end
  for limit, at in pairs(held_lines) do
    local is_held = redis.call('EXISTS', P .. 'z:' .. limit) == 1
    if not is_held then
      redis.call('ZREM', P .. 'held', limit)
      redis.call('ZREM', P .. 'names', limit)
    else
      if at then redis.call('ZADD', P .. 'held', at, limit) else redis.call('ZADD', P .. 'held', 'NX', FAR, limit) end
      redis.call('ZADD', P .. 'names', 0, limit)
    end
    update_key(limit, is_held)
    seen[limit] = true
  end
  for limit in pairs(running) do
    if not seen[limit] then update_key(limit, redis.call('EXISTS', P .. 'z:' .. limit) == 1) end
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
  for key in pairs(bumps) do expect_type(key, 'hash') end
  if next(held_lines) or bumps[P .. 'running'] then
    expect_type(P .. 'held', 'zset')
    expect_type(P .. 'names', 'zset')
    expect_type(P .. 'keys', 'zset')
  end
  for _, check in ipairs(checks) do check() end
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
  for key, fields in pairs(bumps) do
    for field, change in pairs(fields) do
      if change ~= 0 and redis.call('HINCRBY', key, field, change) <= 0 then redis.call('HDEL', key, field) end
    end
  end
  update_heads()
  if next(held_lines) or bumps[P .. 'running'] then update_held() end
  for _, write in ipairs(writes) do write() end
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
