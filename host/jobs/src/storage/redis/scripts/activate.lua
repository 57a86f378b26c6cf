-- Makes a known version the one that new jobs go to, and ends the canary.
-- ARGV[3]   the module       ARGV[4]  the digest
-- ARGV[5…]  pairs of a handler of it, as `module/handler`, and its mode
-- Result    nothing where the version is not known, or retired; else the number of this activation, and the handlers whose jobs are to
--           be moved to other lines: those whose mode was another or is new, those for which jobs wait, and those whose
--           jobs an earlier activation did not move to the end. `rehome` moves them, and `promote` where nobody did.
local module, digest = ARGV[3], ARGV[4]
if not is_usable(module, digest) then
  return {}
end
expect_type(P .. 'active', 'hash')
expect_type(P .. 'handlers', 'hash')
expect_type(P .. 'canary', 'hash')
end_canary(module)
local number = next_rehoming()
local answer = { number }
local before, now_there = redis.call('HGETALL', P .. 'handlers'), {}
local modes = {}
for at = 1, #before, 2 do
  if module_of(before[at]) == module then modes[before[at]] = before[at + 1] end
end
for at = 5, #ARGV, 2 do
  local path, mode = ARGV[at], ARGV[at + 1]
  now_there[path] = true
  into(hsets, P .. 'handlers', path, mode)
  if modes[path] ~= mode or redis.call('EXISTS', P .. 'y:' .. path) == 1 or rehoming_of(path) then
    answer[#answer + 1] = path
    set_rehoming(path, 'a', number, digits(NONE))
  end
end
for path in pairs(modes) do
  if not now_there[path] then
    into(hdels, P .. 'handlers', path)
    into(hdels, P .. 'rehoming', path)
  end
end
into(hsets, P .. 'active', module, digest)
into(hsets, P .. 'meta', 'rehomings', number)
modules_changed = true
commit()
return answer
