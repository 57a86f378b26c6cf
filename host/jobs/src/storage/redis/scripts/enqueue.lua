-- Stores new jobs, all or none; one whose id is known is left as it is.
-- ARGV[3]   how many
-- ARGV[4…]  five arguments each, as births.lua says
-- Result    a letter for each as births.lua says, with a job's id behind `x` and `r`; or where one is refused a list of its
--           place, `conflict` or `parent`, and that job's id
local letters, refused = bear(4, tonumber(ARGV[3]))
if refused then
  return refused
end
commit()
return table.concat(letters)
