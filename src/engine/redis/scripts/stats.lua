-- How many records a range holds (ARGV[5], ARGV[6]), how many of them were measured (at most ARGV[7], evenly spread),
-- and their bytes, keys included.
local count = call('ZLEXCOUNT', KEYS[2], ARGV[5], ARGV[6])
local first = 0
if ARGV[5] ~= '-' then
  local below = (string.sub(ARGV[5], 1, 1) == '[' and '(' or '[') .. string.sub(ARGV[5], 2)
  first = call('ZLEXCOUNT', KEYS[2], '-', below)
end
local samples, bytes = math.min(count, tonumber(ARGV[7])), 0
for sample = 0, samples - 1 do
  local rank = first + math.floor(sample * count / samples)
  local key = call('ZRANGE', KEYS[2], rank, rank)[1]
  if key then bytes = bytes + #key + call('STRLEN', names .. key) end
end
return {count, samples, bytes}
