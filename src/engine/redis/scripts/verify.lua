-- Takes the keys of evicted records out of the index: looks at most at ARGV[7] keys of a range (ARGV[5], ARGV[6]).
-- Returns the low end to go on with, or false at the end.
local keys = call('ZRANGEBYLEX', KEYS[2], ARGV[5], ARGV[6], 'LIMIT', 0, tonumber(ARGV[7]))
verify(keys)
return #keys == tonumber(ARGV[7]) and '(' .. keys[#keys]
