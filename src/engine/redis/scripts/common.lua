-- What every script starts with (that of commits after overwrite.lua).
--
-- A record is one string: its format (1 byte), version (8), creation (8), update (8), expiry (8), body. The three times
-- are big-endian with the sign bit flipped, so that they sort as bytes; an expiry of all ones is none.
-- ARGV[1] and ARGV[2] are the fence of a write (see below), empty for none; in a write without one that was sent before,
-- ARGV[1] is `again`, how many microseconds ago that was, and the number of the writer's next fence then. ARGV[3] is the caller's time in milliseconds; ARGV[4] is
-- what stands before a key in the name of its record.
local call = redis.call
local HEAD = 33
local NEVER = string.rep('\255', 8)
local now = tonumber(ARGV[3])
local names = ARGV[4]

local function millis(bytes)
  local high, low = struct.unpack('>I4I4', bytes)
  return (high - 2147483648) * 4294967296 + low
end

-- Whether the first record was written at the same time as the second, or later.
local function newer(one, other)
  local high, low = struct.unpack('>I4I4', string.sub(one, 18, 25))
  local other_high, other_low = struct.unpack('>I4I4', string.sub(other, 18, 25))
  return high > other_high or high == other_high and low >= other_low
end

local function created(record) return string.sub(record, 10, 17) end
local function expiry(record) return string.sub(record, 26, 33) end
local function expired(record)
  local bytes = expiry(record)
  return bytes ~= NEVER and millis(bytes) <= now
end

-- The head of a record, false where there is none.
local function head(name)
  local bytes = call('GETRANGE', name, 0, HEAD - 1)
  return #bytes == HEAD and bytes
end

-- Keys by first namespace are counted in a hash, on a single server only: a cluster has a tag for each.
local spaces = string.sub(names, -4) == '{*}:' and string.sub(names, 1, -2) .. '.spaces'

local function space(key, by)
  local first = spaces and string.find(key, '::', 1, true)
  if first then
    local name = string.sub(key, 1, first - 1)
    if call('HINCRBY', spaces, name, by) <= 0 then call('HDEL', spaces, name) end
  end
end

-- On a single server, where blind puts are not fenced, deletions by callers are stamped by the server's clock in a hash,
-- each in one of 4,096 buckets of keys, or in `*` for ranges, with the writer's fence. So a put whose answer was lost, and
-- which finds nothing, can tell whether it never happened or was undone since.
local stamps = spaces and string.sub(names, 1, -2) .. '.gone'
local function bucket(key) return string.sub(redis.sha1hex(key), 1, 3) end
local function clock()
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end
local function stamp(bucket)
  if stamps then
    call('HSET', stamps, bucket, string.format('%.0f %s %s', clock(), ARGV[2], KEYS[1]))
    call('PEXPIRE', stamps, 900000)
  end
end

-- Puts a key into the index of keys, KEYS[2], or takes it out.
local function enter(key)
  if call('ZADD', KEYS[2], 0, key) == 1 then space(key, 1) end
end
local function leave(key)
  if call('ZREM', KEYS[2], key) == 1 then space(key, -1) end
end

-- Takes what `record` says about `key` out of the indexes: KEYS[2] by key, KEYS[3] by creation, KEYS[4] by expiry.
local function unlist(key, record)
  leave(key)
  call('ZREM', KEYS[3], created(record) .. key)
  if expiry(record) ~= NEVER then call('ZREM', KEYS[4], created(record) .. key) end
end

-- Takes out of the index those of `keys` whose record is gone: Redis has evicted it. How many.
local function verify(keys)
  local gone = 0
  for from = 1, #keys, 1000 do
    local some = {}
    for at = from, math.min(#keys, from + 999) do some[#some + 1] = names .. keys[at] end
    if call('EXISTS', unpack(some)) < #some then
      for at = from, from + #some - 1 do
        if call('EXISTS', names .. keys[at]) == 0 then
          leave(keys[at])
          gone = gone + 1
        end
      end
    end
  end
  return gone
end

-- A fenced write notes its outcome in KEYS[1], a hash of the writer's last ones, so that a repetition does nothing and
-- answers the same; one that was overtaken by a later write of the same slot is refused.
local function done()
  if ARGV[2] == '' then return nil end
  local note = call('HGET', KEYS[1], ARGV[1])
  if not note then return nil end
  local at = string.find(note, ' ', 1, true)
  local last, mine = tonumber(string.sub(note, 1, at - 1)), tonumber(ARGV[2])
  if last == mine then return string.sub(note, at + 1) end
  if last > mine then return redis.error_reply('OVERTAKEN this write came after its sender gave it up') end
  return nil
end

local function note(outcome)
  if ARGV[2] ~= '' then
    call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. outcome)
    call('PEXPIRE', KEYS[1], 900000)
  end
  return outcome
end

-- Frees at most `most` records whose time has come, and drops what the index of expiries holds in vain. Whether more
-- may be due, and how many went, whether Redis or this freed them.
local function purge(most)
  local freed = 0
  local due = call('ZRANGEBYSCORE', KEYS[4], '-inf', ARGV[3], 'LIMIT', 0, most)
  for _, entry in ipairs(due) do
    local key = string.sub(entry, 9)
    local record = head(names .. key)
    call('ZREM', KEYS[4], entry)
    if not record then
      leave(key)
      call('ZREM', KEYS[3], entry)
      freed = freed + 1
    elseif created(record) ~= string.sub(entry, 1, 8) then
      call('ZREM', KEYS[3], entry)
    elseif expired(record) then
      call('DEL', names .. key)
      unlist(key, record)
      freed = freed + 1
    elseif expiry(record) ~= NEVER then
      call('ZADD', KEYS[4], string.format('%.0f', millis(expiry(record))), entry)
    end
  end
  return #due == most, freed
end
