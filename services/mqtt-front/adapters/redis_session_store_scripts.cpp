#include "adapters/redis_session_store_scripts.h"

#include "adapters/redis_session_store_lua.h"

namespace sluice::front {
namespace {

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

constexpr std::string_view kFind = "local s = load(KEYS[1])\n";

// ARGV: delivery, most messages, most bytes.
constexpr std::string_view kEnqueue = R"lua(
if not s or s.incomplete then return redis.error_reply('GONE no such session') end
if s.owner ~= '' then return redis.error_reply('OWNED the session is connected') end
return append(text(s.next), ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
)lua";

}  // namespace

using lua::script;

SessionScripts::SessionScripts()
    : claim(script({lua::kSession, lua::kWill, lua::kGiveUp, kClaim})),
      release(script({lua::kSession, lua::kWill, lua::kGiveUp, kRelease})),
      hold(script({lua::kSession, kHold})),
      disown(script({lua::kSession, lua::kGiveUp, kDisown})),
      put_subscription(script({lua::kSession, lua::kFence, kSubscriptions, kPutSubscription})),
      remove_subscription(
          script({lua::kSession, lua::kFence, kSubscriptions, kRemoveSubscription})),
      put_delivery(script({lua::kSession, lua::kFence, lua::kQueue, kPutDelivery})),
      update_delivery(script({lua::kSession, lua::kFence, kUpdateDelivery})),
      remove_delivery(script({lua::kSession, lua::kFence, lua::kQueue, kRemoveDelivery})),
      put_inbound(script({lua::kSession, lua::kFence, kPutInbound})),
      remove_inbound(script({lua::kSession, lua::kFence, lua::kQueue, kRemoveInbound})),
      enqueue(script({lua::kSession, kFind, lua::kQueue, kEnqueue})) {}

}  // namespace sluice::front
