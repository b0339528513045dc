#include "adapters/session_store_config.h"

#include <algorithm>

namespace sluice::front {

using std::chrono::milliseconds;

namespace {

std::uint64_t part_of(std::uint64_t all, std::uint64_t given) {
  return given > 0 ? given : std::max<std::uint64_t>(all / 4, 1);
}

}  // namespace

std::uint64_t SessionStoreConfig::tenant_wide_subscriptions() const {
  return part_of(static_cast<std::uint64_t>(max_wide_subscriptions),
                 static_cast<std::uint64_t>(max_tenant_wide_subscriptions));
}
std::uint64_t SessionStoreConfig::tenant_retained() const {
  return part_of(static_cast<std::uint64_t>(max_retained),
                 static_cast<std::uint64_t>(max_tenant_retained));
}
std::uint64_t SessionStoreConfig::tenant_retained_bytes() const {
  return part_of(max_retained_bytes.count, max_tenant_retained_bytes.count);
}

void SessionStoreConfig::declare(Settings& settings) {
  settings.text("session_store", &session_store, "memory",
                {.required = true, .one_of = {"memory", "redis"}},
                "Where sessions live: memory (one node, forgotten at its end) or redis.");
  settings.integer("session_max_stored", &max_sessions, 1'000'000, {.min = 1, .max = 100'000'000},
                   "Sessions kept at once by session_store memory.");
  settings.bytes("session_max_stored_bytes", &max_session_store_bytes, 512_MiB,
                 {.min = 1_MiB, .max = Bytes{std::uint64_t{1} << 40}},
                 "What messages and subscriptions of all sessions in memory may take.");
  // As mqtt::Session::Limits: what a connected session may hold must fit when it is away.
  settings.integer("session_max_queued", &max_queued, 1000, {.min = 1, .max = 1'000'000},
                   "Messages that wait for one session, those under way included.");
  settings.bytes("session_max_queued_bytes", &max_queued_bytes, 1_MiB,
                 {.min = 1_KiB, .max = 1024_MiB}, "Bytes of the messages that wait for a session.");
  settings.integer("session_max_wide_subscriptions", &max_wide_subscriptions, 100'000,
                   {.min = 1, .max = 10'000'000},
                   "Subscriptions beyond a device's own topics, of all tenants together, which "
                   "every front holds.");
  settings.integer("session_max_wide_subscriptions_per_tenant", &max_tenant_wide_subscriptions, 0,
                   {.min = 0, .max = 10'000'000},
                   "Those of one tenant; 0: a quarter of session_max_wide_subscriptions.");
  settings.integer("retained_max_messages", &max_retained, 1'000'000,
                   {.min = 1, .max = 100'000'000},
                   "Retained messages of all tenants together, which every front holds.");
  settings.integer("retained_max_messages_per_tenant", &max_tenant_retained, 0,
                   {.min = 0, .max = 100'000'000},
                   "Those of one tenant; 0: a quarter of retained_max_messages.");
  settings.bytes("retained_max_bytes", &max_retained_bytes, 256_MiB,
                 {.min = 1_KiB, .max = Bytes{std::uint64_t{1} << 40}},
                 "Bytes of the retained messages of all tenants, topics counted twice.");
  settings.bytes("retained_max_bytes_per_tenant", &max_tenant_retained_bytes, Bytes{0},
                 {.min = Bytes{0}, .max = Bytes{std::uint64_t{1} << 40}},
                 "Those of one tenant; 0: a quarter of retained_max_bytes.");
  settings.duration("session_front_lease", &front_lease, milliseconds(3000),
                    {.min = milliseconds(100), .max = milliseconds(60'000)},
                    "How long a front that shows no sign of life still owns its sessions.");
  // While Redis is down nobody can claim a session, so a front that has run without a gap is still
  // the only owner: closing every connection would turn an outage of the store into one of all
  // devices. The price: a front that alone is cut off from Redis goes on beside whoever takes its
  // sessions over, until it sees Redis again. "fence" prefers silence to that.
  settings.text("session_outage", &session_outage, "keep",
                {.required = true, .one_of = {"keep", "fence"}},
                "What a front does with its sessions while Redis cannot be reached: keep serving "
                "them, or fence itself off when its lease has run out.");
  settings.duration("session_follow_interval", &follow_interval, milliseconds(50),
                    {.min = milliseconds(1), .max = milliseconds(10'000)},
                    "How often changes of wide subscriptions and retained messages are asked for.");
  settings.duration("session_will_interval", &will_interval, milliseconds(500),
                    {.min = milliseconds(1), .max = milliseconds(60'000)},
                    "How often wills that are due, and fronts that died, are looked for.");
}

}  // namespace sluice::front
