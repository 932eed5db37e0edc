-- Rows of a range, in the order of keys or of creation. Members whose record is gone are dropped.
--
-- ARGV from 5 on: `k` or `c` for the order, `a` or `d` for the direction, the low and the high end as ZRANGEBYLEX spells
-- them, how many members, `r` where the rows carry their records, and how many bytes of records are enough.
-- Returns the last member met (false at the end of the range), and then key and head (or record) of each row.
local by_key, descending = ARGV[5] == 'k', ARGV[6] == 'd'
local index = by_key and KEYS[2] or KEYS[3]
local limit, whole, budget = tonumber(ARGV[9]), ARGV[10] == 'r', tonumber(ARGV[11])
local members
if descending then
  members = call('ZREVRANGEBYLEX', index, ARGV[8], ARGV[7], 'LIMIT', 0, limit)
else
  members = call('ZRANGEBYLEX', index, ARGV[7], ARGV[8], 'LIMIT', 0, limit)
end

local rows, last = {false}, #members == limit and members[limit] or false
for place, member in ipairs(members) do
  local key = by_key and member or string.sub(member, 9)
  local record
  if whole then record = call('GET', names .. key) else record = head(names .. key) end
  if not record or #record < HEAD or not (by_key or created(record) == string.sub(member, 1, 8)) then
    if by_key then leave(key) else call('ZREM', index, member) end
  elseif not expired(record) then
    rows[#rows + 1] = key
    rows[#rows + 1] = record
    if whole then
      budget = budget - #record
      if budget <= 0 and place < #members then
        last = member
        break
      end
    end
  end
end
rows[1] = last
return rows
