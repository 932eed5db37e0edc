-- Deletes at most ARGV[7] records of a range (ARGV[5], ARGV[6]). Returns how many live ones went, and 1 where more may
-- be left.
local again = done()
if again then return again end
local most, count = tonumber(ARGV[7]), 0
local members = call('ZRANGEBYLEX', KEYS[2], ARGV[5], ARGV[6], 'LIMIT', 0, most)
for _, key in ipairs(members) do
  local record = head(names .. key)
  if record then
    if not expired(record) then count = count + 1 end
    call('UNLINK', names .. key)
    call('ZREM', KEYS[3], created(record) .. key)
    if expiry(record) ~= NEVER then call('ZREM', KEYS[4], created(record) .. key) end
  end
end
if #members < most then
  call('ZREMRANGEBYLEX', KEYS[2], ARGV[5], ARGV[6])
else
  for _, key in ipairs(members) do call('ZREM', KEYS[2], key) end
end
return note(count .. (#members < most and ' 0' or ' 1'))
