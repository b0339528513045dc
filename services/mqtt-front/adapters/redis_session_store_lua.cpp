#include "adapters/redis_session_store_lua.h"

#include <string>
#include <utility>

namespace sluice::front::lua {

// A session is one string, not a hash: a hash turns into Redis' large form at the first filter of
// more than 64 bytes, which costs several times the session. Version 1, flags, epoch, next
// sequence, expiry, owner, subscriptions; all little-endian. What is queued is in a hash of its
// own, which most sessions do not have: d<sequence> the delivery, s<sequence> its progress,
// i<packet id> a QoS 2 message of the device half done, n and b the count and the bytes, x the
// earliest expiry (or an earlier time), g that some came by shared subscriptions: these outlive the
// session by a day, for whoever gives them on.
const std::string_view kSession = R"lua(
local FOREVER = 4294967295
local function load(key)
  local raw = redis.call('GET', key)
  if not raw then return nil end
  local version, flags, epoch, next, expiry, owner, at = struct.unpack('<BBI8I8I4Bc0', raw)
  return {incomplete = flags % 2 == 1, epoch = epoch, next = next, expiry = expiry, owner = owner,
          subscriptions = string.sub(raw, at)}
end
local function pack(s)
  return struct.pack('<BBI8I8I4Bc0', 1, s.incomplete and 1 or 0, s.epoch, s.next, s.expiry,
                     #s.owner, s.owner) .. s.subscriptions
end
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local ENDED_MS = 86400000
local function queue_slack() return redis.call('HEXISTS', KEYS[2], 'g') * ENDED_MS end
local function keep(expiry, slack, count)
  for i = 1, count do
    if expiry == FOREVER then redis.call('PERSIST', KEYS[i])
    else
      redis.call('PEXPIRE', KEYS[i], expiry * 1000 + slack + (i == 2 and queue_slack() or 0))
    end
  end
end
local function keep_queue_as_session()
  local left = redis.call('PTTL', KEYS[1])
  if left > 0 then redis.call('PEXPIRE', KEYS[2], left + queue_slack()) end
end
local function text(number) return string.format('%.0f', number) end
)lua";

// Equal, not at least: after Redis lost its data a later claim may have a lower epoch.
const std::string_view kFence = R"lua(
local s = load(KEYS[1])
if not s then return redis.error_reply('MISSING no such session') end
if s.epoch ~= tonumber(ARGV[1]) then return redis.error_reply('FENCED a later epoch exists') end
)lua";

const std::string_view kQueue = R"lua(
local function expiry_of(value)
  if math.floor(string.byte(value, 2) / 32) % 2 == 0 then return nil end
  return (struct.unpack('<I8', value, #value - 7))
end
-- Takes out what has expired and was never sent; how many, 0: there is no more room than before. A
-- queue of what is still wanted is not gone through for each message that it has no room for.
local function drop_expired()
  local now = now_ms()
  local first = tonumber(redis.call('HGET', KEYS[2], 'x'))
  if not first or first > now then return 0 end
  local fields, sent = redis.call('HGETALL', KEYS[2]), {}
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 1) == 's' then sent[string.sub(fields[i], 2)] = true end
  end
  local count, bytes, next = 0, 0, nil
  for i = 1, #fields, 2 do
    local value = fields[i + 1]
    if string.sub(fields[i], 1, 1) == 'd' and string.byte(value, 3) == 0 and
       not sent[string.sub(fields[i], 2)] then
      local expiry = expiry_of(value)
      if expiry and expiry <= now then
        redis.call('HDEL', KEYS[2], fields[i])
        count, bytes = count + 1, bytes + #value
      elseif expiry then
        next = math.min(next or expiry, expiry)
      end
    end
  end
  redis.call('HINCRBY', KEYS[2], 'n', -count)
  redis.call('HINCRBY', KEYS[2], 'b', -bytes)
  redis.call('HDEL', KEYS[2], 'x')
  if next then redis.call('HSET', KEYS[2], 'x', text(next)) end
  return count
end
-- The count and the bytes with one more, and the bound that they break.
local function sums_with(value, old, max_count, max_bytes)
  local sums = redis.call('HMGET', KEYS[2], 'n', 'b')
  local count, bytes = tonumber(sums[1]) or 0, tonumber(sums[2]) or 0
  if old == 0 then count = count + 1 end
  bytes = bytes - old + #value
  if old == 0 and count > max_count then return count, bytes, 'session_max_queued' end
  -- One message is taken whatever its size when nothing else waits.
  if count > 1 and bytes > max_bytes then return count, bytes, 'session_max_queued_bytes' end
  return count, bytes, nil
end
-- Answers how many had expired and made room, and the bound that is reached all the same, if any.
local function append(sequence, value, max_count, max_bytes)
  local old, expired = redis.call('HSTRLEN', KEYS[2], 'd' .. sequence), 0
  local count, bytes, broken = sums_with(value, old, max_count, max_bytes)
  if broken then expired = drop_expired() end
  if expired > 0 then
    old = redis.call('HSTRLEN', KEYS[2], 'd' .. sequence)
    count, bytes, broken = sums_with(value, old, max_count, max_bytes)
  end
  if broken then return {expired, broken} end
  redis.call('HSET', KEYS[2], 'd' .. sequence, value, 'n', count, 'b', bytes)
  local expiry = expiry_of(value)
  if expiry then
    local first = tonumber(redis.call('HGET', KEYS[2], 'x'))
    if not first or expiry < first then redis.call('HSET', KEYS[2], 'x', text(expiry)) end
  end
  local is_shared = math.floor(string.byte(value, 2) / 16) % 2 == 1
  if is_shared then is_shared = redis.call('HSET', KEYS[2], 'g', '1') == 1 end
  if count == 1 or is_shared then keep_queue_as_session() end
  if tonumber(sequence) >= s.next then
    redis.call('SETRANGE', KEYS[1], 10, struct.pack('<I8', tonumber(sequence) + 1))
  end
  return {expired, ''}
end
local function drop_empty_queue()
  local sums = redis.call('HMGET', KEYS[2], 'n', 'g', 'x')
  if (tonumber(sums[1]) or 0) > 0 then return end
  local rest = (sums[1] and 2 or 0) + (sums[2] and 1 or 0) + (sums[3] and 1 or 0)
  if redis.call('HLEN', KEYS[2]) <= rest then redis.call('DEL', KEYS[2]) end
end
)lua";

// When it is due (0: while the connection lasts), delay, front, message.
const std::string_view kWill = R"lua(
local function load_will(key)
  local raw = redis.call('GET', key)
  if not raw then return nil end
  local due, delay, front, at = struct.unpack('<I8I4Bc0', raw)
  return {due = due, delay = delay, front = front, message = string.sub(raw, at)}
end
local function pack_will(w)
  return struct.pack('<I8I4Bc0', w.due, w.delay, #w.front, w.front) .. w.message
end
-- Longer than any pause of all fronts together that is worth a late will.
local WILL_SLACK = 86400000
)lua";

// The end of a session's queue: what another member of a share group may get goes aside, named by
// numbers that are never used twice. That is QoS 1, and QoS 2 of which nothing was sent.
const std::string_view kGiveUp = R"lua(
local function may_be_given_on(record, progress)
  local flags = string.byte(record, 2)
  if math.floor(flags / 16) % 2 == 0 then return false end
  return flags % 4 == 1 or (flags % 4 == 2 and progress == 0)
end
local function give_up()
  if redis.call('HEXISTS', KEYS[2], 'g') == 0 then
    redis.call('DEL', KEYS[2])
    return 0
  end
  local fields = redis.call('HGETALL', KEYS[2])
  local progress, found, count = {}, {}, 0
  for i = 1, #fields, 2 do
    local kind, sequence = string.sub(fields[i], 1, 1), string.sub(fields[i], 2)
    if kind == 's' then progress[sequence] = string.byte(fields[i + 1]) % 16 end
    if kind == 'd' then found[#found + 1] = {sequence, fields[i + 1]} end
  end
  table.sort(found, function(a, b) return tonumber(a[1]) < tonumber(b[1]) end)
  local time = redis.call('TIME')
  local last = math.max(tonumber(redis.call('HGET', KEYS[4], 'last') or 0) or 0,
                        time[1] * 1000000 + time[2])
  for _, one in ipairs(found) do
    if may_be_given_on(one[2], progress[one[1]] or 0) then
      count = count + 1
      redis.call('HSET', KEYS[4], 'd' .. text(last + count), one[2])
    end
  end
  if count > 0 then
    redis.call('HSET', KEYS[4], 'last', text(last + count))
    -- Until after the time for which the session is listed, should nobody list it anew.
    redis.call('PEXPIRE', KEYS[4], math.max(redis.call('PTTL', KEYS[2]), 2 * ENDED_MS))
  end
  redis.call('DEL', KEYS[2])
  return count
end
)lua";

redis::Script script(std::initializer_list<std::string_view> parts) {
  std::string source;
  for (const std::string_view part : parts) source.append(part);
  return redis::Script(std::move(source));
}

}  // namespace sluice::front::lua
