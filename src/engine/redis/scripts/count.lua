-- How many records a range holds (ARGV[5], ARGV[6]), and what they take.
--
-- Before that at most ARGV[7] expired ones are freed. Up to ARGV[8] records are each looked for; of more, ARGV[9] are
-- measured, evenly spread from the part ARGV[10] of a step on.
-- Returns 0 (or 1 where more must be purged first, 2 where evicted records must be looked for first), how many expired
-- ones went, the count, how many were measured, and their bytes, keys included.
local more, freed = purge(tonumber(ARGV[7]))
if more then return {1, freed} end
local low, high = ARGV[5], ARGV[6]
local count = call('ZLEXCOUNT', KEYS[2], low, high)
if count <= tonumber(ARGV[8]) then count = count - verify(call('ZRANGEBYLEX', KEYS[2], low, high)) end
local first = 0
if low ~= '-' then
  local below = (string.sub(low, 1, 1) == '[' and '(' or '[') .. string.sub(low, 2)
  first = call('ZLEXCOUNT', KEYS[2], '-', below)
end
local samples, bytes = math.min(count, tonumber(ARGV[9])), 0
for sample = 0, samples - 1 do
  local rank = first + math.min(count - 1, math.floor((sample + tonumber(ARGV[10])) * count / samples))
  local key = call('ZRANGE', KEYS[2], rank, rank)[1]
  local length = call('STRLEN', names .. key)
  if length == 0 then return {2, freed} end
  bytes = bytes + #key + length
end
return {0, freed, count, samples, bytes}
