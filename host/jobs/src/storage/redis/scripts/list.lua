-- A slice of a list of jobs, newest first or oldest first, merged from the indexes that it follows.
-- ARGV[3]   `new` for newest first, `old` for oldest first
-- ARGV[4]   the number and ARGV[5] the id after which to go on; no id for the beginning
-- ARGV[6]   the numbers' bounds: the least and ARGV[7] the greatest
-- ARGV[8]   how many jobs are looked at         ARGV[9]   how many are wanted
-- ARGV[10]  what to give: `jobs`, `ids` or `count`
-- Conditions, each may be empty: ARGV[11] state, ARGV[12] queue, ARGV[13] module, ARGV[14] handler, ARGV[15] made from,
--           ARGV[16] made before, ARGV[17] tag, ARGV[18] text, ARGV[19] reason
-- ARGV[20]  how many records are read at most
-- ARGV[21]  1 where all conditions are answered by the indexes below
-- ARGV[22…] groups of indexes, each as their count and their suffixes: the first is followed; of every other one, the jobs that
--           pass stand in one of its indexes
-- Result    how many passed; whether that was all (1 or 0); the number, the id and the making of the last that was looked
--           at; the ids of damaged ones; then for `jobs` for each that passed: id, record, tags, history,
--           progress; for `ids` the ids
local newest, seq, after = ARGV[3] == 'new', ARGV[4], ARGV[5]
local cursor = tonumber(seq)
local least, greatest, looks, wanted, give = ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
local state, queue, module, handler = tonumber(ARGV[11]), ARGV[12], ARGV[13], ARGV[14]
local made_from, made_before = tonumber(ARGV[15]), tonumber(ARGV[16])
local tag, text, reason = ARGV[17], ARGV[18], ARGV[19]

local reads, by_indexes, at_group = tonumber(ARGV[20]), ARGV[21] == '1', 22

local function next_group()
  local group = {}
  for n = 1, tonumber(ARGV[at_group]) do
    group[n] = P .. ARGV[at_group + n]
  end
  at_group = at_group + 1 + #group
  return group
end

local followed, others = next_group(), {}
while at_group <= #ARGV do
  others[#others + 1] = next_group()
end

local from, to = least, greatest
if after ~= '' then
  if newest then to = seq else from = seq end
end

-- The newest of every group is the newest that may pass: so jobs that stand together in one and in none of another are passed
-- over at once.
local nothing = false
local function begin_at_newest_of(group)
  local best
  for _, key in ipairs(group) do
    local number = tonumber(redis.call('ZREVRANGEBYSCORE', key, to, from, 'WITHSCORES', 'LIMIT', 0, 1)[2])
    if number and not (best and best > number) then best = number end
  end
  if not best then
    nothing = true
  elseif to == '+inf' or best < tonumber(to) then
    to = digits(best)
  end
end
if newest then
  for _, group in ipairs(others) do
    begin_at_newest_of(group)
  end
end

local candidates, cut = {}, false
for _, key in ipairs(nothing and {} or followed) do
  local found
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
if #followed > 1 then
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

-- Which of the candidates stand in every group.
local count, stands = math.min(looks, #candidates), {}
for n = 1, count do
  stands[n] = true
end
for _, group in ipairs(others) do
  local asked, places, is_in = {}, {}, {}
  for n = 1, count do
    if stands[n] then
      places[#places + 1] = n
      asked[#asked + 1] = candidates[n][1]
    end
  end
  for _, key in ipairs(group) do
    local scores = {}
    in_parts('ZMSCORE', key, asked, scores)
    for n = 1, #places do
      is_in[n] = is_in[n] or scores[n]
    end
  end
  for n, place in ipairs(places) do
    stands[place] = is_in[n] and true or false
  end
end

local answer, broken, passed, last = { 0, 1, '', '', '', '' }, {}, 0, nil
local made, chosen = '', {}
if by_indexes and give == 'count' then
  for n = 1, count do
    if stands[n] then passed = passed + 1 end
  end
  last = candidates[count]
else
  local ids = {}
  for n = 1, count do
    if stands[n] then ids[#ids + 1] = candidates[n][1] end
    if #ids > reads then break end
  end
  local is_short = #ids > reads
  if is_short then ids[#ids] = nil end
  local records, read_so_far = values('j:', ids), 0
  for n = 1, count do
    if stands[n] and read_so_far == #ids and is_short then
      all = false
      break
    end
    last = candidates[n]
    made = ''
    if stands[n] then
      read_so_far = read_so_far + 1
      local raw = records[read_so_far]
      local job = raw and read(raw, last[1])
      if job then
        made = digits(job.created)
        if passes(job) then
          passed = passed + 1
          chosen[passed] = { last[1], raw }
        end
      else
        broken[#broken + 1] = last[1]
      end
      if passed == wanted then
        all = all and n == #candidates
        break
      end
    end
  end
end
if last and made == '' then
  -- How far it came is told by a job that was passed over.
  local raw = redis.call('GET', P .. 'j:' .. last[1])
  local job = raw and read(raw, last[1])
  made = job and digits(job.created) or ''
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
