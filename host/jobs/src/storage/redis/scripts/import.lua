-- Takes what another storage held, all or none; what is known already is left as it is.
-- ARGV[3]   how many records
-- ARGV[4…]  for each a letter and its arguments:
--   V  module, digest, size, the author's version, what it was built with, handlers as JSON, when it was deployed,
--      whether it is active (1 or 0), how many of a hundred new jobs go to it where it is the canary (else 0), how many
--      handlers, pairs of `module/handler` and mode; its bytes are there already
--   Q  queue, whether it is paused (1 or 0)
--   R  name, what is kept with its revision, when it is due or nothing
--   N  `m` or `h`, the span's beginning, `MODULE/HANDLER`, how many, pairs of what happened and how often
--   L  target, how many at once, how many starts (0 for any), in which period, the most limits
--   A  instant, the entry as JSON, its number where it was made
--   J  id, record, what never changes, history, whether there is a result (1 or 0), the result, progress or nothing,
--      what it continues as flow.lua keeps it or nothing, whether it holds its key (1 or 0), how many checkpoints, pairs of key and value, how many log lines, the lines
-- Result    how many were new, the number of this activation, and the handlers for which jobs may wait, for `rehome`
local at, new, logged, made, checkpoints = 4, 0, {}, {}, {}
local counted, activated, modes = {}, {}, {}
local numbering, rehoming, number = {}, {}, next_rehoming()
local audited, takes_audit = {}, nil

-- What a job continues that waits for it or once did. A parent that is not here can end no more.
local function continue_here(job, raw)
  local fine, of = pcall(flow.unpacked_edges, raw)
  if not fine then damaged('what it continues cannot be read') end
  local waits, is_gone = waits_for_parents(job), false
  for n, parent_id in ipairs(of.ids) do
    local parent = found(parent_id)
    if waits and not of.met[n] then
      local verdict = flow.judge(of.on, parent and parent.state or REMOVED)
      of.met[n] = verdict == 'met'
      is_gone = is_gone or verdict == 'gone'
    end
    if parent then
      parent.children = true
      save(parent)
      into(zadds, P .. 'i:' .. parent_id, job.seq, job.id)
      bump(P .. 'open', parent_id, 1)
    end
  end
  flow.save_edges(job.id, of)
  if waits and is_gone then
    become(job, DELETED, 'parent-gone')
    record_step(job, AWAITING, 'import')
  elseif waits and flow.all_met(of) then
    job.mode = active_mode(job.path) or job.mode
    begin(job, of.start, of.when)
    record_step(job, AWAITING, 'import')
  end
end
for _ = 1, tonumber(ARGV[3]) do
  local kind = ARGV[at]
  if kind == 'V' then
    local module, digest, handlers = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 10])
    local key = P .. 'f:' .. module .. ':' .. digest
    if redis.call('EXISTS', key) == 0 and not made[key] then
      expect_component(digest, ARGV[at + 3])
      new, made[key] = new + 1, true
      numbering.versions = (numbering.versions or tonumber(redis.call('HGET', P .. 'meta', 'versions') or 0)) + 1
      hsets[key] = { 'size', ARGV[at + 3], 'version', ARGV[at + 4], 'sdk', ARGV[at + 5], 'handlers', ARGV[at + 6],
        'deployed', ARGV[at + 7] }
      into(zadds, P .. 'm:' .. module, numbering.versions, digest)
      into(sadds, P .. 'modules', module)
      if ARGV[at + 8] == '1' and not activated[module] and redis.call('HEXISTS', P .. 'active', module) == 0 then
        activated[module] = true
        into(hsets, P .. 'active', module, digest)
        for n = 1, handlers do
          into(hsets, P .. 'handlers', ARGV[at + 9 + 2 * n], ARGV[at + 10 + 2 * n])
          modes[ARGV[at + 9 + 2 * n]] = tonumber(ARGV[at + 10 + 2 * n])
        end
        modules_changed = true
      end
      if ARGV[at + 9] ~= '0' and not made['C ' .. module] and redis.call('HEXISTS', P .. 'canary', module) == 0 then
        made['C ' .. module] = true
        local paths = {}
        for n = 1, handlers do
          paths[n] = ARGV[at + 9 + 2 * n]
        end
        set_canary(module, digest, ARGV[at + 9], paths)
      end
    else
      -- Its bytes are there again.
      into(hdels, key, 'retired')
    end
    if ARGV[at + 8] == '1' then
      for n = 1, handlers do
        local path = ARGV[at + 9 + 2 * n]
        local kind = rehoming_of(path)
        if not rehoming[path] and (kind or activated[module]) then
          rehoming[path] = true
          rehoming[#rehoming + 1] = path
          set_rehoming(path, kind or 'w', number, digits(NONE))
        end
      end
    end
    at = at + 11 + 2 * handlers
  elseif kind == 'Q' then
    if ARGV[at + 2] == '1' and redis.call('SISMEMBER', P .. 'paused', ARGV[at + 1]) == 0 and not made[ARGV[at + 1]] then
      new, made[ARGV[at + 1]] = new + 1, true
      into(sadds, P .. 'paused', ARGV[at + 1])
      queue_changed(ARGV[at + 1])
    end
    at = at + 3
  elseif kind == 'R' then
    local name = ARGV[at + 1]
    if redis.call('HEXISTS', P .. 'recurring', name) == 0 and not made['R' .. name] then
      new, made['R' .. name] = new + 1, true
      into(hsets, P .. 'recurring', name, ARGV[at + 2])
      into(zadds, P .. 'recurring:names', 0, name)
      if ARGV[at + 3] ~= '' then
        into(zadds, P .. 'recurring:due', ARGV[at + 3], name)
        work = true
      end
    end
    at = at + 4
  elseif kind == 'N' then
    local span, pairs_of_it = P .. 'n:' .. ARGV[at + 1] .. ':' .. ARGV[at + 2], tonumber(ARGV[at + 4])
    local known = made[span .. ARGV[at + 3]] or false
    for n = 1, pairs_of_it do
      known = known or redis.call('HEXISTS', span, ARGV[at + 3] .. ' ' .. ARGV[at + 3 + 2 * n]) == 1
    end
    if not known then
      new, made[span .. ARGV[at + 3]] = new + 1, true
      for n = 1, pairs_of_it do
        into(hsets, span, ARGV[at + 3] .. ' ' .. ARGV[at + 3 + 2 * n], ARGV[at + 4 + 2 * n])
      end
      into(zadds, P .. 'spans:' .. ARGV[at + 1], ARGV[at + 2], ARGV[at + 2])
    end
    at = at + 5 + 2 * pairs_of_it
  elseif kind == 'L' then
    local target, of = ARGV[at + 1], {}
    for n = 1, 4 do
      of[n] = tonumber(ARGV[at + 1 + n])
    end
    if redis.call('HEXISTS', P .. 'limits', target) == 0 and not made['L' .. target] then
      new, made['L' .. target] = new + 1, true
      if not put_rule(target, of[1], of[2], of[3], of[4]) then
        error({ err = 'TOOMANY limits' })
      end
    end
    at = at + 6
  elseif kind == 'A' then
    -- It is taken where all that is here was imported too. Those that are alike differ in the number that they have where they
    -- were made.
    if takes_audit == nil then
      takes_audit = redis.call('XLEN', P .. 'audit') == 0 or redis.call('EXISTS', P .. 'audit:imported') == 1
    end
    local name = redis.sha1hex(ARGV[at + 2]) .. ' ' .. ARGV[at + 3]
    if takes_audit and not made['A' .. name] and redis.call('SISMEMBER', P .. 'audit:imported', name) == 0 then
      new, made['A' .. name] = new + 1, true
      into(sadds, P .. 'audit:imported', name)
      audited[#audited + 1] = { ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] }
    end
    at = at + 4
  else
    local id, wide = ARGV[at + 1], ARGV[at + 3]
    local keys = tonumber(ARGV[at + 10])
    local lines_at = at + 11 + 2 * keys
    local lines = tonumber(ARGV[lines_at])
    if redis.call('EXISTS', P .. 'j:' .. id) == 0 and not made[id] then
      new, made[id] = new + 1, true
      local job, why = read(ARGV[at + 2], id)
      if not job then damaged(why) end
      if not last_seq then
        load_numbers()
        local numbers = redis.call('HMGET', P .. 'meta', 'imported', 'imported_made')
        counted.last, counted.made = tonumber(numbers[1] or NONE), tonumber(numbers[2] or NONE)
      end
      -- It takes the number that it would have had here when it was made, so that time is still found by number; those
      -- that come in the order of their making keep it.
      job.seq = number_after(counted.last, counted.made, job.created)
      counted.last, counted.made = job.seq, job.created
      hsets[P .. 'meta'] = { 'ahead', digits(ahead), 'imported', digits(counted.last), 'imported_made',
        digits(counted.made) }
      put(P .. 'p:' .. id, wide)
      if ARGV[at + 4] ~= '' then put(P .. 'h:' .. id, ARGV[at + 4]) end
      if ARGV[at + 5] == '1' then put(P .. 'r:' .. id, ARGV[at + 6]) end
      if ARGV[at + 7] ~= '' then put(P .. 'w:' .. id, ARGV[at + 7]) end
      local bytes = 0
      for n = 1, keys do
        local key, value = ARGV[at + 9 + 2 * n], ARGV[at + 10 + 2 * n]
        bytes = bytes + #key + #value
        into(hsets, P .. 'c:' .. id, 'k' .. key, value)
      end
      if keys > 0 then into(hsets, P .. 'c:' .. id, 'n', digits(bytes)) end
      local oldest
      for n = 1, lines do
        local _, _, instant = struct.unpack('>BI4i8', ARGV[lines_at + n])
        oldest = oldest or instant
        logged[#logged + 1] = { id, ARGV[lines_at + n] }
      end
      if oldest then into(zadds, P .. 'logs', oldest, id) end
      if job.state == AWAITING and job.reason == 'handler-missing' then
        -- It would wait for ever for a handler that is here already.
        local mode = modes[job.path] or active_mode(job.path)
        if mode then
          job.mode = mode
          become_ready(job, '')
          record_step(job, AWAITING, 'import')
        end
      end
      if ARGV[at + 8] ~= '' then continue_here(job, ARGV[at + 8]) end
      if job.run > 0 or job.state > ENQUEUED then job.expires = NONE end
      if job.expires ~= NONE then into(zadds, P .. 'x', job.expires, id) end
      if ARGV[at + 9] == '1' and job.unique ~= '' and not conditional.holder_of(job.unique) then conditional.hold_key(job.unique, id) end
      stand(job)
      file(job, wide)
      save(job)
    end
    at = lines_at + 1 + lines
  end
end
if numbering.versions then
  into(hsets, P .. 'meta', 'versions', digits(numbering.versions))
end
if #rehoming > 0 then
  into(hsets, P .. 'meta', 'rehomings', number)
end
number_rules()
expect_type(P .. 'audit', 'stream')
-- Nobody waits for the end of a job that was brought in.
ends = {}
if new > 0 or #rehoming > 0 or next(hdels) then
  commit()
end
if #logged > 0 then
  local number = redis.call('HINCRBY', P .. 'meta', 'lines', #logged) - #logged
  for n, line in ipairs(logged) do
    redis.call('XADD', P .. 'o:' .. line[1], digits(number + n) .. '-0', 'l', line[2])
  end
end
for _, entry in ipairs(audited) do
  local at = redis.call('HINCRBY', P .. 'meta', 'audit', 1)
  redis.call('XADD', P .. 'audit', digits(at) .. '-0', 'a', entry[1], 'e', entry[2], 'n', entry[3])
end
return { new, number, unpack(rehoming) }
