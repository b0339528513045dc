#include "adapters/redis_session_store_mirror_scripts.h"

#include "adapters/redis_session_store_lua.h"

namespace sluice::front {
namespace {

// The state of a mirror: gen names this life of the data, ver counts its changes, bytes sums it.
// The log's ids are the versions, so that a reader sees whether one is missing. What each tenant
// has is counted apart, n/… entries and b/… bytes, with the version that the counts are of: a front
// of an earlier release changes the mirror and does not count, and then they lag behind until a
// front that follows counts anew.
constexpr std::string_view kMirror = R"lua(
local function count(tenant, entries, bytes)
  local n, b = 'n/' .. tenant, 'b/' .. tenant
  if entries > 0 then redis.call('HSET', KEYS[4], n, text(entries), b, text(bytes))
  else redis.call('HDEL', KEYS[4], n, b) end
end
local function counts_of(tenant)
  local counts = redis.call('HMGET', KEYS[4], 'n/' .. tenant, 'b/' .. tenant)
  return tonumber(counts[1]) or 0, tonumber(counts[2]) or 0
end
-- What a change is answered with that is made only unless its field has changed since a version
-- that somebody knows it of: 0 where it has, -1 where that cannot be told any more, or not yet.
-- Nil: it may be made.
local function refusal(field, gen, from)
  local state = redis.call('HMGET', KEYS[3], 'gen', 'ver')
  local version = tonumber(state[2]) or 0
  if (state[1] or '') ~= gen or version < from then return -1 end
  if version == from then return nil end
  local entries = redis.call('XRANGE', KEYS[2], text(from + 1), '+')
  if #entries == 0 or entries[1][1] ~= text(from + 1) .. '-0' then return -1 end
  for _, entry in ipairs(entries) do
    if entry[2][2] == field then return 0 end
  end
  return nil
end
-- Answers which life and version of the mirror has the change.
local function note(field, log_size)
  local version = redis.call('HINCRBY', KEYS[3], 'ver', 1)
  if redis.call('HGET', KEYS[4], 'ver') == text(version - 1) then
    redis.call('HSET', KEYS[4], 'ver', text(version))
  end
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', log_size, text(version) .. '-0', 'f', field)
  return {redis.call('HGET', KEYS[3], 'gen'), text(version)}
end
)lua";

// ARGV: field, value, tenant, log size, whether only if absent, whether only unless it has changed
// since the generation and version that follow; then a bound and the name of its setting four
// times: entries and bytes of the tenant, entries and bytes of all. Answers 0 where the field was
// in the way, -1 where that cannot be told.
constexpr std::string_view kMirrorPut = R"lua(
local refused = ARGV[6] == '1' and refusal(ARGV[1], ARGV[7], tonumber(ARGV[8]))
if refused then return refused end
if redis.call('EXISTS', KEYS[3]) == 0 then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[3], 'gen', time[1] .. '.' .. time[2])
  redis.call('DEL', KEYS[4])
  if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[4], 'ver', '0') end
end
local old = redis.call('HSTRLEN', KEYS[1], ARGV[1])
if old > 0 and ARGV[5] == '1' then return 0 end
local more = #ARGV[2] - old + (old == 0 and #ARGV[1] or 0)
local entries, bytes = counts_of(ARGV[3])
local all_bytes = (tonumber(redis.call('HGET', KEYS[3], 'bytes')) or 0) + more
local function is_over(at, sum) return sum > tonumber(ARGV[at]) end
local function refuse(at) return redis.error_reply(ARGV[at + 1] .. ' is reached') end
if old == 0 then
  entries = entries + 1
  if is_over(9, entries) then return refuse(9) end
  if is_over(13, redis.call('HLEN', KEYS[1]) + 1) then return refuse(13) end
end
-- What takes no more room than what it replaces is taken also where a bound was lowered.
if more > 0 then
  if is_over(11, bytes + more) then return refuse(11) end
  if is_over(15, all_bytes) then return refuse(15) end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], 'bytes', text(all_bytes))
count(ARGV[3], math.max(entries, 1), math.max(bytes + more, 0))
return note(ARGV[1], ARGV[4])
)lua";

// ARGV: field, the value it must have (nothing: any), tenant, log size, and as above whether only
// unless it has changed since a generation and version. Answers as kMirrorPut does; 0 also where
// there is none.
constexpr std::string_view kMirrorRemove = R"lua(
local refused = ARGV[5] == '1' and refusal(ARGV[1], ARGV[6], tonumber(ARGV[7]))
if refused then return refused end
local size = redis.call('HSTRLEN', KEYS[1], ARGV[1])
if size == 0 then return 0 end
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[3], 'bytes', -size - #ARGV[1])
local entries, bytes = counts_of(ARGV[3])
count(ARGV[3], entries - 1, math.max(bytes - size - #ARGV[1], 0))
return note(ARGV[1], ARGV[4])
)lua";

// ARGV: gen, version and how many. Answers gen, version, and 0, or 1: changes are missing, or 2:
// nothing is new, and the counts of tenants lag behind. Where something is new: fields with their
// values as they are now (nil: removed), which is all that changed up to that version; and the
// version as of now.
constexpr std::string_view kMirrorFollow = R"lua(
local state = redis.call('HMGET', KEYS[3], 'gen', 'ver')
local gen, version = state[1] or '', tonumber(state[2]) or 0
local from = tonumber(ARGV[2])
if gen ~= ARGV[1] or version < from then return {gen, text(version), 1} end
if version == from then
  local lags = version > 0 and redis.call('HGET', KEYS[4], 'ver') ~= text(version)
  return {gen, text(version), lags and 2 or 0}
end
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
return {gen, text(from + #entries), 0, changes, text(version)}
)lua";

// ARGV: gen and version that the counts are of, then tenant, entries, bytes of each. Does nothing
// and answers 0 when the mirror has changed since.
constexpr std::string_view kMirrorCount = R"lua(
local state = redis.call('HMGET', KEYS[3], 'gen', 'ver')
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[4])
for i = 3, #ARGV, 3 do count(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])) end
redis.call('HSET', KEYS[4], 'ver', ARGV[2])
return 1
)lua";

}  // namespace

using lua::script;

MirrorScripts::MirrorScripts()
    : put(script({lua::kSession, kMirror, kMirrorPut})),
      remove(script({lua::kSession, kMirror, kMirrorRemove})),
      follow(script({lua::kSession, kMirrorFollow})),
      count(script({lua::kSession, kMirror, kMirrorCount})) {}

}  // namespace sluice::front
