-- How many records a range holds (ARGV[5], ARGV[6]); -1 where more must be purged first (at most ARGV[7] now).
if purge(tonumber(ARGV[7])) then return -1 end
return call('ZLEXCOUNT', KEYS[2], ARGV[5], ARGV[6])
