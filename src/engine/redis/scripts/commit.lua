-- All checks hold and all writes happen, or nothing does.
--
-- KEYS from 5 on: the records. ARGV[5]: how many checks; each is the place of its record in KEYS and the version that
-- it must have, empty where it must be absent. Then the writes: the place, and `D`, or `P` (`F` to force the time of
-- creation), the native time to live (empty for none) and the record.
-- Returns `D` and a 1 for each write that met a live record, else 0; or `C` and the number of the check that failed.
local again = done()
if again then return again end

local heads, live = {}, {}
for place = 5, #KEYS do
  heads[place] = head(KEYS[place])
  live[place] = heads[place] and not expired(heads[place])
end

local at = 6
for check = 1, tonumber(ARGV[5]) do
  local place, version = tonumber(ARGV[at]), ARGV[at + 1]
  at = at + 2
  if version == '' then
    if live[place] then return 'C' .. check end
  elseif not live[place] or string.sub(heads[place], 2, 9) ~= version then
    return 'C' .. check
  end
end

-- A blind put that is made again, because its answer was lost. Where it happened nothing is left to do; where all that it
-- puts was written or deleted since by others, nobody can tell.
if string.sub(ARGV[1], 1, 5) == 'again' then
  local mine, overtaken, writes = false, 0, 0
  local ago, fence = string.match(ARGV[1], '^again (%d+) (%d+)$')
  local since = clock() - tonumber(ago)
  -- A deletion that this writer asked for before it asked for this was done before.
  local function stamped(bucket)
    local time, number, writer = string.match(call('HGET', stamps, bucket) or '', '^(%d+) (%d+) (.*)$')
    return time and tonumber(time) >= since and not (writer == KEYS[1] and tonumber(number) < tonumber(fence))
  end
  local cleared = stamped('*')
  for put = at, #ARGV, 4 do
    local name, record = KEYS[tonumber(ARGV[put])], ARGV[put + 3]
    local old = heads[tonumber(ARGV[put])]
    writes = writes + 1
    if old and string.sub(old, 2, 9) == string.sub(record, 2, 9) then
      mine = true
    elseif old and newer(old, record) or cleared or stamped(bucket(string.sub(name, #names + 1))) then
      overtaken = overtaken + 1
    end
  end
  if mine then return 'D' .. string.rep('1', writes) end
  if overtaken == writes then return redis.error_reply('OVERTAKEN others have changed these keys since') end
end

local flags = {}
while at <= #ARGV do
  local place, kind = tonumber(ARGV[at]), ARGV[at + 1]
  local name, old = KEYS[place], heads[place]
  local key = string.sub(name, #names + 1)
  flags[#flags + 1] = live[place] and '1' or '0'
  if kind == 'D' then
    at = at + 2
    if old then
      call('DEL', name)
      unlist(key, old)
      stamp(bucket(key))
    else
      leave(key)
    end
  else
    local ttl, record = ARGV[at + 2], ARGV[at + 3]
    at = at + 4
    if live[place] and kind == 'P' and created(old) ~= created(record) then
      record = string.sub(record, 1, 9) .. created(old) .. string.sub(record, 18)
    end
    local expires, entry = expiry(record), created(record) .. key
    if not old or created(old) ~= created(record) then
      if old then unlist(key, old) end
      enter(key)
      call('ZADD', KEYS[3], 0, entry)
    elseif expires == NEVER and expiry(old) ~= NEVER then
      call('ZREM', KEYS[4], entry)
    end
    if ttl ~= '' then call('SET', name, record, 'PX', ttl) else call('SET', name, record) end
    if expires ~= NEVER then call('ZADD', KEYS[4], string.format('%.0f', millis(expires)), entry) end
  end
end
return note('D' .. table.concat(flags))
