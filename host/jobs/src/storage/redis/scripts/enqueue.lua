-- Stores new jobs; one whose id is known is left as it is.
-- ARGV[3]   how many
-- ARGV[4…]  five arguments each, as births.lua says
-- Result    a letter for each: `n` new, `e` existing
local letters = bear(4, tonumber(ARGV[3]))
commit()
return letters
