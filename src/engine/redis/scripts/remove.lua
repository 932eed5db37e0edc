-- Deletes at most ARGV[7] records of a range (ARGV[5], ARGV[6]). Returns how many live ones went, and 1 where more may
-- be left.
local again = done()
if again then return again end
local most, count = tonumber(ARGV[7]), 0
local members = call('ZRANGEBYLEX', KEYS[2], ARGV[5], ARGV[6], 'LIMIT', 0, most)
-- First of all writes one that takes no memory, though it may remove nothing: a server at its maxmemory then lets the rest pass.
local last = #members > 0 and '[' .. members[#members] or ARGV[6]
call('ZREMRANGEBYLEX', KEYS[2], ARGV[5], last)
for from = 1, #members, 1000 do
  local records, made, ends = {}, {}, {}
  for at = from, math.min(#members, from + 999) do
    local key = members[at]
    local record = head(names .. key)
    if record then
      if not expired(record) then count = count + 1 end
      records[#records + 1] = names .. key
      made[#made + 1] = created(record) .. key
      if expiry(record) ~= NEVER then ends[#ends + 1] = created(record) .. key end
    end
    if spaces then space(key, -1) end
  end
  if #records > 0 then call('UNLINK', unpack(records)) end
  if #made > 0 then call('ZREM', KEYS[3], unpack(made)) end
  if #ends > 0 then call('ZREM', KEYS[4], unpack(ends)) end
end
if #members > 0 then stamp('*') end
return note(count .. (#members < most and ' 0' or ' 1'))
