-- Ends a module's canary.
-- ARGV[3]  the module
-- Result   the digest of the version that it was; nothing where there was none
expect_type(P .. 'canary', 'hash')
local digest = end_canary(ARGV[3])
if digest then commit() end
return digest
