-- The jobs that a job continues, and some of those that continue it.
-- ARGV[3]  its id
-- ARGV[4]  the number and ARGV[5] the id of the child after which to go on; nothing for the beginning
-- ARGV[6]  at most so many children
-- Result   nothing where there is no such job; else how its parents must have ended; for each parent its id, its record or
--          nothing, and whether it is met; for each child its number, its id, its record or nothing, how its parents must
--          have ended, and whether this one is met; and whether there are more children (0 or 1)
local id, most = ARGV[3], tonumber(ARGV[6])
if redis.call('EXISTS', P .. 'j:' .. id) == 0 then
  return {}
end
local of = flow.edges_of(id)
local parents, children = {}, {}
local records = values('j:', of and of.ids or {})
for n, parent in ipairs(of and of.ids or {}) do
  for _, value in ipairs({ parent, records[n] or '', of.met[n] and 1 or 0 }) do
    parents[#parents + 1] = value
  end
end
local key, first = P .. 'i:' .. id, 0
if ARGV[5] ~= '' then
  local rank = redis.call('ZRANK', key, ARGV[5])
  first = rank and rank + 1 or redis.call('ZCOUNT', key, '-inf', ARGV[4])
end
local page, ids, more = redis.call('ZRANGE', key, first, first + most, 'WITHSCORES'), {}, 0
if #page > 2 * most then more = 1 end
for n = 1, math.min(#page / 2, most) do
  ids[n] = page[2 * n - 1]
end
local raw_edges = values('a:', ids)
records = values('j:', ids)
for n, child in ipairs(ids) do
  local its = flow.edges_of(child, raw_edges[n] or '')
  local is_met = false
  for at = 1, its and #its.ids or 0 do
    is_met = is_met or (its.ids[at] == id and its.met[at])
  end
  for _, value in ipairs({ page[2 * n], child, records[n] or '', its and its.on or 0, is_met and 1 or 0 }) do
    children[#children + 1] = value
  end
end
return { of and of.on or 0, parents, children, more }
