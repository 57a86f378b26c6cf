-- Whether all bytes of a component are there.
-- ARGV[3]  its digest      ARGV[4]  how many bytes it has
-- Result   1 where they are, else 0
return has_component(ARGV[3], ARGV[4]) and 1 or 0
