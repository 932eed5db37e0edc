-- Frees at most ARGV[5] records whose time has come. Returns whether more may be due, the next expiry, and how many went.
local more, freed = purge(tonumber(ARGV[5]))
local next = call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
return {more and 1 or 0, next[2] or '', freed}
