#include "adapters/redis_session_store_scripts.h"

#include <string_view>

namespace sluice::front {
namespace {

// A session is one string, not a hash: a hash turns into Redis' large form at the first filter of
// more than 64 bytes, which costs several times the session. Version 1, flags, epoch, next
// sequence, expiry, owner, subscriptions; all little-endian. What is queued is in a hash of its
// own, which most sessions do not have: d<sequence> the delivery, s<sequence> its progress,
// i<packet id> a QoS 2 message of the device half done, n and b the count and the bytes.
constexpr std::string_view kSession = R"lua(
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
local function keep(expiry, slack, count)
  for i = 1, count do
    if expiry == FOREVER then redis.call('PERSIST', KEYS[i])
    else redis.call('PEXPIRE', KEYS[i], expiry * 1000 + slack) end
  end
end
local function keep_queue_as_session()
  local left = redis.call('PTTL', KEYS[1])
  if left > 0 then redis.call('PEXPIRE', KEYS[2], left) end
end
local function text(number) return string.format('%.0f', number) end
)lua";

// Equal, not at least: after Redis lost its data a later claim may have a lower epoch.
constexpr std::string_view kFence = R"lua(
local s = load(KEYS[1])
if not s then return redis.error_reply('MISSING no such session') end
if s.epoch ~= tonumber(ARGV[1]) then return redis.error_reply('FENCED a later epoch exists') end
)lua";

constexpr std::string_view kQueue = R"lua(
local function append(sequence, value, max_count, max_bytes)
  local sums = redis.call('HMGET', KEYS[2], 'n', 'b')
  local count, bytes = tonumber(sums[1]) or 0, tonumber(sums[2]) or 0
  local old = redis.call('HSTRLEN', KEYS[2], 'd' .. sequence)
  if old == 0 then
    if count >= max_count then return redis.error_reply('session_max_queued is reached') end
    count = count + 1
  end
  bytes = bytes - old + #value
  -- One message is taken whatever its size when nothing else waits.
  if count > 1 and bytes > max_bytes then
    return redis.error_reply('session_max_queued_bytes is reached')
  end
  redis.call('HSET', KEYS[2], 'd' .. sequence, value, 'n', count, 'b', bytes)
  if count == 1 then keep_queue_as_session() end
  if tonumber(sequence) >= s.next then
    redis.call('SETRANGE', KEYS[1], 10, struct.pack('<I8', tonumber(sequence) + 1))
  end
  return sequence
end
local function drop_empty_queue()
  local sums = redis.call('HMGET', KEYS[2], 'n')
  if (tonumber(sums[1]) or 0) > 0 then return end
  if redis.call('HLEN', KEYS[2]) <= (sums[1] and 2 or 0) then redis.call('DEL', KEYS[2]) end
end
)lua";

// When it is due (0: while the connection lasts), delay, front, message.
constexpr std::string_view kWill = R"lua(
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

// ARGV: front, is clean, expiry, will, its delay, a front known to be dead, its epoch, slack.
constexpr std::string_view kClaim = R"lua(
local s = load(KEYS[1])
local has_died = s and s.owner ~= '' and s.owner ~= ARGV[1]
if has_died and (s.owner ~= ARGV[6] or s.epoch ~= tonumber(ARGV[7])) then
  return {'owned', s.owner, text(s.epoch)}
end
-- From the clock, so that it rises even when everything was lost in between.
local time = redis.call('TIME')
local epoch = time[1] * 1000000 + time[2]
if s and s.epoch >= epoch then epoch = s.epoch + 1 end
local is_present = s and not s.incomplete and s.expiry > 0 and ARGV[2] == '0'
local due = ''
local w = load_will(KEYS[3])
if w then
  if w.due > 0 then
    if not is_present or w.due <= now_ms() then due = w.message end
  elseif w.front ~= ARGV[1] and (not is_present or w.delay == 0) then
    due = w.message
  end
end
if ARGV[4] ~= '' then
  redis.call('SET', KEYS[3],
             pack_will({due = 0, delay = tonumber(ARGV[5]), front = ARGV[1], message = ARGV[4]}))
else
  redis.call('DEL', KEYS[3])
end
local queue = {}
if is_present then queue = redis.call('HGETALL', KEYS[2]) else redis.call('DEL', KEYS[2]) end
local made = {incomplete = false, epoch = epoch, next = is_present and s.next or 1,
              expiry = tonumber(ARGV[3]), owner = ARGV[1],
              subscriptions = is_present and s.subscriptions or ''}
redis.call('SET', KEYS[1], pack(made))
keep(made.expiry, tonumber(ARGV[8]), 3)
return {'ok', text(epoch), is_present and 1 or 0, text(made.next), made.subscriptions, queue, due,
        has_died and 1 or 0}
)lua";

// ARGV: epoch, front, expiry, will, its delay. Answers when the will is due, 0: there is none.
constexpr std::string_view kRelease = R"lua(
local s = load(KEYS[1])
if s and (s.epoch ~= tonumber(ARGV[1]) or s.owner ~= ARGV[2]) then
  return redis.error_reply('FENCED a later epoch exists')
end
local expiry = (s and not s.incomplete) and tonumber(ARGV[3]) or 0
local due = 0
if ARGV[4] ~= '' then
  local wait = math.min(tonumber(ARGV[5]), expiry) * 1000
  due = now_ms() + wait
  redis.call('SET', KEYS[3],
             pack_will({due = due, delay = tonumber(ARGV[5]), front = '', message = ARGV[4]}),
             'PX', wait + WILL_SLACK)
else
  redis.call('DEL', KEYS[3])
end
if expiry == 0 then
  redis.call('DEL', KEYS[1], KEYS[2])
else
  s.owner, s.expiry = '', expiry
  redis.call('SET', KEYS[1], pack(s))
  keep(expiry, 0, 2)
end
return text(due)
)lua";

// ARGV: epoch, front, expiry, slack. Keeps what a live front owns from expiring, and puts it back
// where Redis has lost it: as owned, but incomplete.
constexpr std::string_view kHold = R"lua(
local s = load(KEYS[1])
if s and (s.epoch ~= tonumber(ARGV[1]) or s.owner ~= ARGV[2]) then
  return redis.error_reply('FENCED a later epoch exists')
end
if not s then
  redis.call('SET', KEYS[1],
             pack({incomplete = true, epoch = tonumber(ARGV[1]), next = 1,
                   expiry = tonumber(ARGV[3]), owner = ARGV[2], subscriptions = ''}))
end
keep(tonumber(ARGV[3]), tonumber(ARGV[4]), 3)
return s and 1 or 0
)lua";

// ARGV: epoch, front. Lets go of a session whose front is known to be dead. The epoch rises, so
// that the front is fenced should it only have been away.
constexpr std::string_view kDisown = R"lua(
local s = load(KEYS[1])
if not s or s.owner ~= ARGV[2] or s.epoch ~= tonumber(ARGV[1]) then return 0 end
if s.expiry == 0 or s.incomplete then
  redis.call('DEL', KEYS[1], KEYS[2])
else
  s.owner, s.epoch = '', s.epoch + 1
  redis.call('SET', KEYS[1], pack(s))
  keep(s.expiry, 0, 2)
end
return 1
)lua";

constexpr std::string_view kSubscriptions = R"lua(
local function without(list, name)
  local at = 1
  while at <= #list do
    local size = struct.unpack('<I2', list, at)
    if string.sub(list, at + 2, at + 1 + size) == name then
      return string.sub(list, 1, at - 1) .. string.sub(list, at + 7 + size)
    end
    at = at + 7 + size
  end
  return list
end
)lua";

// ARGV: epoch, name, entry, most bytes of all.
constexpr std::string_view kPutSubscription = R"lua(
s.subscriptions = without(s.subscriptions, ARGV[2]) .. ARGV[3]
if #s.subscriptions > tonumber(ARGV[4]) then
  return redis.error_reply('session_max_subscription_bytes is reached')
end
redis.call('SET', KEYS[1], pack(s), 'KEEPTTL')
return 1
)lua";

// ARGV: epoch, name.
constexpr std::string_view kRemoveSubscription = R"lua(
s.subscriptions = without(s.subscriptions, ARGV[2])
redis.call('SET', KEYS[1], pack(s), 'KEEPTTL')
return 1
)lua";

// ARGV: epoch, sequence, delivery, most messages, most bytes.
constexpr std::string_view kPutDelivery = R"lua(
return append(ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]))
)lua";

// ARGV: epoch, sequence, progress, whether the message is no longer needed.
constexpr std::string_view kUpdateDelivery = R"lua(
local size = redis.call('HSTRLEN', KEYS[2], 'd' .. ARGV[2])
if size == 0 and redis.call('HEXISTS', KEYS[2], 's' .. ARGV[2]) == 0 then return 0 end
redis.call('HSET', KEYS[2], 's' .. ARGV[2], ARGV[3])
if size > 0 and ARGV[4] == '1' then
  redis.call('HDEL', KEYS[2], 'd' .. ARGV[2])
  redis.call('HINCRBY', KEYS[2], 'b', -size)
end
return 1
)lua";

// ARGV: epoch, sequence.
constexpr std::string_view kRemoveDelivery = R"lua(
local size = redis.call('HSTRLEN', KEYS[2], 'd' .. ARGV[2])
if redis.call('HDEL', KEYS[2], 'd' .. ARGV[2], 's' .. ARGV[2]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[2], 'n', -1)
redis.call('HINCRBY', KEYS[2], 'b', -size)
drop_empty_queue()
return 1
)lua";

// ARGV: epoch, packet id.
constexpr std::string_view kPutInbound = R"lua(
redis.call('HSET', KEYS[2], 'i' .. ARGV[2], '')
keep_queue_as_session()
return 1
)lua";

// ARGV: epoch, packet id.
constexpr std::string_view kRemoveInbound = R"lua(
redis.call('HDEL', KEYS[2], 'i' .. ARGV[2])
drop_empty_queue()
return 1
)lua";

// ARGV: delivery, most messages, most bytes.
constexpr std::string_view kEnqueue = R"lua(
if not s or s.incomplete then return redis.error_reply('GONE no such session') end
if s.owner ~= '' then return redis.error_reply('OWNED the session is connected') end
return append(text(s.next), ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
)lua";

// ARGV: a front known to be dead, or nothing. Hands a will out once, to whoever asks first.
constexpr std::string_view kTakeWill = R"lua(
local w = load_will(KEYS[3])
if not w then return {'none'} end
if w.due == 0 then
  if ARGV[1] == '' or w.front ~= ARGV[1] then return {'none'} end
  local s = load(KEYS[1])
  local wait = math.min(w.delay, s and s.expiry or 0) * 1000
  if wait > 0 then
    w.due = now_ms() + wait
    redis.call('SET', KEYS[3], pack_will(w), 'PX', wait + WILL_SLACK)
    return {'later', text(w.due)}
  end
elseif w.due > now_ms() then
  return {'later', text(w.due)}
end
redis.call('DEL', KEYS[3])
return {'due', w.message}
)lua";

// ARGV: how many.
constexpr std::string_view kDueWills = R"lua(
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now_ms()), 'WITHSCORES', 'LIMIT', 0,
                  ARGV[1])
)lua";

// ARGV: session, the time it was listed with: a will that was listed anew meanwhile stays.
constexpr std::string_view kForgetWill = R"lua(
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 1
)lua";

// ARGV: front, for how many milliseconds.
constexpr std::string_view kLock = R"lua(
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
)lua";

// The state of a mirror: gen names this life of the data, ver counts its changes, bytes sums it.
// The log's ids are the versions, so that a reader sees whether one is missing.
constexpr std::string_view kMirror = R"lua(
local function note(field, log_size)
  local version = redis.call('HINCRBY', KEYS[3], 'ver', 1)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', log_size, version .. '-0', 'f', field)
  return version
end
)lua";

// ARGV: field, value, most entries, most bytes, log size, whether only if absent, the
// names of the two bounds.
constexpr std::string_view kMirrorPut = R"lua(
if redis.call('EXISTS', KEYS[3]) == 0 then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[3], 'gen', time[1] .. '.' .. time[2])
end
local old = redis.call('HSTRLEN', KEYS[1], ARGV[1])
if old > 0 and ARGV[6] == '1' then return 0 end
local bytes = (tonumber(redis.call('HGET', KEYS[3], 'bytes')) or 0) - old + #ARGV[2]
if old == 0 then bytes = bytes + #ARGV[1] end
if old == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
  return redis.error_reply(ARGV[7] .. ' is reached')
end
if bytes > tonumber(ARGV[4]) then return redis.error_reply(ARGV[8] .. ' is reached') end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], 'bytes', bytes)
return note(ARGV[1], ARGV[5])
)lua";

// ARGV: field, log size, the value it must have; nothing: any.
constexpr std::string_view kMirrorRemove = R"lua(
local size = redis.call('HSTRLEN', KEYS[1], ARGV[1])
if size == 0 then return 0 end
if ARGV[3] ~= '' and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[3], 'bytes', -size - #ARGV[1])
return note(ARGV[1], ARGV[2])
)lua";

// ARGV: gen, version and how many. Answers gen, version, whether changes are missing, and fields
// with their values as they are now (nil: removed) with the version up to which they are.
constexpr std::string_view kMirrorFollow = R"lua(
local state = redis.call('HMGET', KEYS[3], 'gen', 'ver')
local gen, version = state[1] or '', tonumber(state[2]) or 0
local from = tonumber(ARGV[2])
if gen ~= ARGV[1] or version < from then return {gen, text(version), 1} end
if version == from then return {gen, text(version), 0} end
local entries = redis.call('XRANGE', KEYS[2], text(from + 1), '+', 'COUNT', ARGV[3])
if #entries == 0 or entries[1][1] ~= text(from + 1) .. '-0' then return {gen, text(version), 1} end
local changes, seen = {}, {}
for _, entry in ipairs(entries) do
  local field = entry[2][2]
  if not seen[field] then
    seen[field] = true
    changes[#changes + 1] = field
    changes[#changes + 1] = redis.call('HGET', KEYS[1], field)
  end
end
return {gen, text(from + #entries), 0, changes}
)lua";

constexpr std::string_view kFind = "local s = load(KEYS[1])\n";

template <typename... Parts>
redis::Script script(Parts... parts) {
  std::string source;
  (source.append(parts), ...);
  return redis::Script(std::move(source));
}

}  // namespace

SessionScripts::SessionScripts()
    : claim(script(kSession, kWill, kClaim)),
      release(script(kSession, kWill, kRelease)),
      hold(script(kSession, kHold)),
      disown(script(kSession, kDisown)),
      put_subscription(script(kSession, kFence, kSubscriptions, kPutSubscription)),
      remove_subscription(script(kSession, kFence, kSubscriptions, kRemoveSubscription)),
      put_delivery(script(kSession, kFence, kQueue, kPutDelivery)),
      update_delivery(script(kSession, kFence, kUpdateDelivery)),
      remove_delivery(script(kSession, kFence, kQueue, kRemoveDelivery)),
      put_inbound(script(kSession, kFence, kPutInbound)),
      remove_inbound(script(kSession, kFence, kQueue, kRemoveInbound)),
      enqueue(script(kSession, kFind, kQueue, kEnqueue)),
      take_will(script(kSession, kWill, kTakeWill)),
      due_wills(script(kSession, kDueWills)),
      forget_will(script(kForgetWill)),
      lock(script(kLock)),
      mirror_put(script(kMirror, kMirrorPut)),
      mirror_remove(script(kMirror, kMirrorRemove)),
      mirror_follow(script(kSession, kMirrorFollow)) {}

}  // namespace sluice::front
