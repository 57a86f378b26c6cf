-- Makes a known version the canary of its module, in place of any other.
-- ARGV[3]   the module       ARGV[4]  the digest       ARGV[5]  how many of a hundred new jobs go to it
-- ARGV[6…]  its handlers, each as `module/handler`
-- Result    1, or 0 where the version is not known, or retired
if not is_usable(ARGV[3], ARGV[4]) then
  return 0
end
expect_type(P .. 'canary', 'hash')
set_canary(ARGV[3], ARGV[4], ARGV[5], { unpack(ARGV, 6) })
commit()
return 1
