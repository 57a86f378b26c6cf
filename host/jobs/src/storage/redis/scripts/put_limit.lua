-- Puts a limit, or another in its place.
-- ARGV[3]  its target       ARGV[4]  how many at once, 0 for any
-- ARGV[5]  how many starts, 0 for any, and ARGV[6] in which period
-- ARGV[7]  the most limits
-- Result   1 where it was put, 0 where there are too many
local target = ARGV[3]
local rule, running = put_rule(target, tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]))
if not rule then
  return 0
end
number_rules()
limits.change_rule(target, rule, running)
commit()
return 1
