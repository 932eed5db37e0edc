-- The distinct namespaces of a range: one seek for each namespace at the greatest depth, and for every other key.
--
-- ARGV from 5 on: the low and the high end, how many bytes of each key to skip, the greatest depth (-1 for any), how
-- many seeks at most, and the key that the call before ended with.
-- Returns the low end to go on with (false at the end), the last key, and the namespaces.
local low, high = ARGV[5], ARGV[6]
local skip, deepest, steps, before = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
local found = {false, before}
while steps > 0 do
  steps = steps - 1
  local key = call('ZRANGEBYLEX', KEYS[2], low, high, 'LIMIT', 0, 1)[1]
  if not key then
    low = false
    break
  end
  local record = head(names .. key)
  if not record then
    leave(key)
  elseif expired(record) then
    low = '(' .. key
  else
    local same, most = 0, math.min(#before, #key)
    while same < most and string.byte(before, same + 1) == string.byte(key, same + 1) do same = same + 1 end
    low = '(' .. key
    local from, depth = skip + 1, 0
    while true do
      local first, last = string.find(key, '::', from, true)
      if not first then break end
      depth = depth + 1
      if last > same then found[#found + 1] = string.sub(key, skip + 1, first - 1) end
      if depth == deepest then
        low = '[' .. string.sub(key, 1, last - 1) .. ';'
        break
      end
      from = last + 1
    end
    before = key
  end
end
found[1], found[2] = low, before
return found
