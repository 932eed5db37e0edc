-- Takes first namespaces (ARGV from 6 on) out of a cluster's list of them, KEYS[2], unless they were entered within the
-- last ARGV[5] seconds (KEYS[3]). Returns those that it took out.
local before, gone = tonumber(call('TIME')[1]) - tonumber(ARGV[5]), {}
for at = 6, #ARGV do
  local entered = call('ZSCORE', KEYS[3], ARGV[at])
  if not entered or tonumber(entered) <= before then
    call('ZREM', KEYS[2], ARGV[at])
    call('ZREM', KEYS[3], ARGV[at])
    gone[#gone + 1] = ARGV[at]
  end
end
return gone
