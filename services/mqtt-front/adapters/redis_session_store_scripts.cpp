#include "adapters/redis_session_store_scripts.h"

#include <string_view>

namespace sluice::front {
namespace {

// A session is one string, not a hash: a hash turns into Redis' large form at the first filter of
// more than 64 bytes, which costs several times the session. Version 1, flags, epoch, next
// sequence, expiry, owner, subscriptions; all little-endian. What is queued is in a hash of its
// own, which most sessions do not have: d<sequence> the delivery, s<sequence> its progress,
// i<packet id> a QoS 2 message of the device half done, n and b the count and the bytes, g that
// some came by shared subscriptions: these outlive the session by a day, for whoever gives them on.
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
  local is_shared = math.floor(string.byte(value, 2) / 16) % 2 == 1
  if is_shared then is_shared = redis.call('HSET', KEYS[2], 'g', '1') == 1 end
  if count == 1 or is_shared then keep_queue_as_session() end
  if tonumber(sequence) >= s.next then
    redis.call('SETRANGE', KEYS[1], 10, struct.pack('<I8', tonumber(sequence) + 1))
  end
  return sequence
end
local function drop_empty_queue()
  local sums = redis.call('HMGET', KEYS[2], 'n', 'g')
  if (tonumber(sums[1]) or 0) > 0 then return end
  local rest = (sums[1] and 2 or 0) + (sums[2] and 1 or 0)
  if redis.call('HLEN', KEYS[2]) <= rest then redis.call('DEL', KEYS[2]) end
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

// The end of a session's queue: what another member of a share group may get goes aside, named by
// numbers that are never used twice. That is QoS 1, and QoS 2 of which nothing was sent.
constexpr std::string_view kGiveUp = R"lua(
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
local queue, given_up = {}, 0
if is_present then
  queue = redis.call('HGETALL', KEYS[2])
  -- Of a session that ends with its connection nothing more is written here: what it was would only
  -- be older and older.
  if ARGV[3] == '0' then redis.call('DEL', KEYS[2]) end
else
  given_up = give_up()
end
local made = {incomplete = false, epoch = epoch, next = is_present and s.next or 1,
              expiry = tonumber(ARGV[3]), owner = ARGV[1],
              subscriptions = is_present and s.subscriptions or ''}
redis.call('SET', KEYS[1], pack(made))
keep(made.expiry, tonumber(ARGV[8]), 3)
return {'ok', text(epoch), is_present and 1 or 0, text(made.next), made.subscriptions, queue, due,
        has_died and 1 or 0, given_up}
)lua";

// ARGV: epoch, front, expiry, will, its delay, whether it is tried again. Answers when the will is
// due, 0: there is none; and whether others are to look at the session: it has, or had, messages of
// shared subscriptions.
constexpr std::string_view kRelease = R"lua(
local s = load(KEYS[1])
if ARGV[6] == '1' and (not s or (s.owner == '' and s.epoch == tonumber(ARGV[1]))) then
  -- It was done, and the answer was lost. What is there now may be of a later session.
  local w = load_will(KEYS[3])
  return {w and text(w.due) or '0', redis.call('EXISTS', KEYS[2], KEYS[4])}
end
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
local to_list = 0
if expiry == 0 then
  redis.call('DEL', KEYS[1])
  to_list = give_up()
else
  s.owner, s.expiry = '', expiry
  redis.call('SET', KEYS[1], pack(s))
  keep(expiry, 0, 2)
  -- It ends sooner than it would have while a front owned it.
  to_list = redis.call('HEXISTS', KEYS[2], 'g')
end
return {text(due), to_list}
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
  redis.call('DEL', KEYS[1])
  give_up()
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

// ARGV: for how many milliseconds whoever asks has what it is given, and how long a session must
// have been missing before it is gone: one that lives and that Redis lost is put back.
constexpr std::string_view kTakeEnded = R"lua(
local s = load(KEYS[1])
if not s then give_up() end
local fields = redis.call('HGETALL', KEYS[4])
local found, till, now = {}, 0, now_ms()
for i = 1, #fields, 2 do
  if fields[i] == 'till' then till = tonumber(fields[i + 1]) end
  if string.sub(fields[i], 1, 1) == 'd' then
    found[#found + 1] = {string.sub(fields[i], 2), fields[i + 1]}
  end
end
if #found == 0 then
  local was_gone = redis.call('HEXISTS', KEYS[4], 'gone') == 1
  redis.call('DEL', KEYS[4])
  if not s then
    if was_gone then return {'none'} end
    redis.call('HSET', KEYS[4], 'gone', '1')
    redis.call('PEXPIRE', KEYS[4], ENDED_MS)
    return {'later', text(now + tonumber(ARGV[2]))}
  end
  local left = redis.call('PTTL', KEYS[1])
  return {'later', text(now + (left < 0 and ENDED_MS or left + 1))}
end
if till > now then return {'later', text(till)} end
till = now + tonumber(ARGV[1])
redis.call('HSET', KEYS[4], 'till', text(till))
table.sort(found, function(a, b) return tonumber(a[1]) < tonumber(b[1]) end)
local answer = {'ended', text(till)}
for _, one in ipairs(found) do
  answer[#answer + 1] = one[1]
  answer[#answer + 1] = one[2]
  if string.byte(one[2], 2) % 4 == 2 then redis.call('HDEL', KEYS[4], 'd' .. one[1]) end
end
return answer
)lua";

// ARGV: how many.
constexpr std::string_view kDue = R"lua(
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now_ms()), 'WITHSCORES', 'LIMIT', 0,
                  ARGV[1])
)lua";

// ARGV: session, the time it was listed with, when it is due instead (empty: never). One that was
// listed anew meanwhile stays as it is.
constexpr std::string_view kMoveDue = R"lua(
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then
  if ARGV[3] == '' then redis.call('ZREM', KEYS[1], ARGV[1])
  else redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) end
end
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
    : claim(script(kSession, kWill, kGiveUp, kClaim)),
      release(script(kSession, kWill, kGiveUp, kRelease)),
      hold(script(kSession, kHold)),
      disown(script(kSession, kGiveUp, kDisown)),
      put_subscription(script(kSession, kFence, kSubscriptions, kPutSubscription)),
      remove_subscription(script(kSession, kFence, kSubscriptions, kRemoveSubscription)),
      put_delivery(script(kSession, kFence, kQueue, kPutDelivery)),
      update_delivery(script(kSession, kFence, kUpdateDelivery)),
      remove_delivery(script(kSession, kFence, kQueue, kRemoveDelivery)),
      put_inbound(script(kSession, kFence, kPutInbound)),
      remove_inbound(script(kSession, kFence, kQueue, kRemoveInbound)),
      enqueue(script(kSession, kFind, kQueue, kEnqueue)),
      take_will(script(kSession, kWill, kTakeWill)),
      take_ended(script(kSession, kGiveUp, kTakeEnded)),
      due(script(kSession, kDue)),
      move_due(script(kMoveDue)),
      lock(script(kLock)),
      mirror_put(script(kMirror, kMirrorPut)),
      mirror_remove(script(kMirror, kMirrorRemove)),
      mirror_follow(script(kSession, kMirrorFollow)) {}

}  // namespace sluice::front
