-- A slice of a list of jobs, newest first or oldest first, merged from the indexes that it follows.
-- ARGV[3]   `new` for newest first, `old` for oldest first
-- ARGV[4]   the number and ARGV[5] the id after which to go on; no id for the beginning
-- ARGV[6]   the numbers' bounds: the least and ARGV[7] the greatest
-- ARGV[8]   how many jobs are looked at         ARGV[9]   how many are wanted
-- ARGV[10]  what to give: `jobs`, `ids` or `count`
-- Conditions, each may be empty: ARGV[11] state, ARGV[12] queue, ARGV[13] module, ARGV[14] handler, ARGV[15] made from,
--           ARGV[16] made before, ARGV[17] tag, ARGV[18] text, ARGV[19] reason
-- ARGV[20…] the indexes' suffixes
-- Result    how many passed; whether that was all (1 or 0); the number, the id and the making of the last that was looked
--           at; the ids of damaged ones; then for `jobs` for each that passed: id, record, tags, history,
--           progress; for `ids` the ids
local newest, seq, after = ARGV[3] == 'new', ARGV[4], ARGV[5]
local cursor = tonumber(seq)
local least, greatest, looks, wanted, give = ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
local state, queue, module, handler = tonumber(ARGV[11]), ARGV[12], ARGV[13], ARGV[14]
local made_from, made_before = tonumber(ARGV[15]), tonumber(ARGV[16])
local tag, text, reason = ARGV[17], ARGV[18], ARGV[19]

local candidates, cut = {}, false
for at = 20, #ARGV do
  local key, found = P .. ARGV[at], nil
  local from, to = least, greatest
  if after ~= '' then
    if newest then to = seq else from = seq end
  end
  -- Jobs of one number stand next to each other; those up to the cursor are passed over below.
  if newest then
    found = redis.call('ZREVRANGEBYSCORE', key, to, from, 'WITHSCORES', 'LIMIT', 0, looks + 1)
  else
    found = redis.call('ZRANGEBYSCORE', key, from, to, 'WITHSCORES', 'LIMIT', 0, looks + 1)
  end
  if #found > 2 * looks then cut = true end
  for n = 1, #found, 2 do
    local id, number = found[n], tonumber(found[n + 1])
    local passed = after ~= '' and number == cursor and ((newest and id >= after) or (not newest and id <= after))
    if not passed then
      candidates[#candidates + 1] = { id, number }
    end
  end
end
if #ARGV > 20 then
  table.sort(candidates, function(a, b)
    if newest then a, b = b, a end
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[1] < b[1]
  end)
end
local all = not cut and #candidates <= looks

local function failure_of(job)
  local history = redis.call('GET', P .. 'h:' .. job.id) or ''
  local starts, at = {}, 1
  while at <= #history do
    starts[#starts + 1] = at
    at = at + 4 + struct.unpack('>I4', history, at)
  end
  at = starts[#starts - (job.lines - job.ended)]
  if not at then return '' end
  local length, _, _, _, _, _, _, after_head = struct.unpack('>I4BBBi8I2c0I2c0', history, at)
  local failure = string.sub(history, after_head + 16 + 16 + 48, at + 3 + length)
  return cjson.decode(failure).message
end

local function has_text(job)
  local wide = redis.call('GET', P .. 'p:' .. job.id)
  if wide then
    local tags, at = struct.unpack('>I2', wide)
    for _ = 1, tags do
      at = at + 2 + struct.unpack('>I2', wide, at)
    end
    local about, start = struct.unpack('>I4', wide, at)
    if string.find(wide, text, start + about, true) then return true end
  end
  if job.ended == 0 then return false end
  local fine, message = pcall(failure_of, job)
  return fine and string.find(message, text, 1, true) ~= nil
end

local function passes(job)
  if state and job.state ~= state then return false end
  if reason ~= '' and job.reason ~= reason then return false end
  if queue ~= '' and job.queue ~= queue then return false end
  if module ~= '' and module_of(job.path) ~= module then return false end
  if handler ~= '' and string.match(job.path, '/(.*)$') ~= handler then return false end
  if made_from and job.created < made_from then return false end
  if made_before and job.created >= made_before then return false end
  if tag ~= '' and not redis.call('ZSCORE', P .. 't:' .. tag, job.id) then return false end
  return text == '' or has_text(job)
end

local answer, broken, passed, last = { 0, 1, '', '', '', '' }, {}, 0, nil
local ids = {}
for n = 1, math.min(looks, #candidates) do
  ids[n] = candidates[n][1]
end
local records, made = values('j:', ids), ''
local chosen = {}
for n = 1, #ids do
  local job = records[n] and read(records[n], ids[n])
  last = candidates[n]
  if job then
    made = digits(job.created)
    if passes(job) then
      passed = passed + 1
      chosen[passed] = { ids[n], records[n] }
    end
  else
    broken[#broken + 1] = ids[n]
  end
  if passed == wanted then
    all = all and n == #candidates
    break
  end
end
if give == 'ids' then
  for n = 1, passed do
    answer[6 + n] = chosen[n][1]
  end
elseif give == 'jobs' then
  local of = {}
  for n = 1, passed do
    of[n] = chosen[n][1]
  end
  local histories, progresses = values('h:', of), values('w:', of)
  for n = 1, passed do
    local job = read(chosen[n][2], of[n])
    local _, tags = stored_tags(of[n])
    for _, value in ipairs({ of[n], chosen[n][2], tags, job.ended > 0 and histories[n] or '', progresses[n] or '' }) do
      answer[#answer + 1] = value
    end
  end
end
answer[1], answer[2] = passed, all and 1 or 0
if last then
  answer[3], answer[4], answer[5] = digits(last[2]), last[1], made
end
answer[6] = table.concat(broken)
return answer
