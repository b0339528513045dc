#include "adapters/redis_session_store_sweeper_scripts.h"

#include "adapters/redis_session_store_lua.h"

namespace sluice::front {
namespace {

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

// ARGV, of each: session, the time it was listed with, when it is due instead (empty: never). One
// that was listed anew meanwhile stays as it is.
constexpr std::string_view kMoveDue = R"lua(
for i = 1, #ARGV, 3 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    if ARGV[i + 2] == '' then redis.call('ZREM', KEYS[1], ARGV[i])
    else redis.call('ZADD', KEYS[1], ARGV[i + 2], ARGV[i]) end
  end
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

}  // namespace

using lua::script;

SweeperScripts::SweeperScripts()
    : take_will(script({lua::kSession, lua::kWill, kTakeWill})),
      take_ended(script({lua::kSession, lua::kGiveUp, kTakeEnded})),
      due(script({lua::kSession, kDue})),
      move_due(script({kMoveDue})),
      lock(script({kLock})) {}

}  // namespace sluice::front
