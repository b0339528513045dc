#include "adapters/redis_session_store_wills.h"

#include <format>
#include <utility>

namespace sluice::front {
namespace {

// Per sweep, so that the lock is renewed in between however many there are.
constexpr int kWillsPerSweep = 1000;

}  // namespace

WillSweeper::WillSweeper(redis::Client& client, const SessionScripts& scripts,
                         const RedisKeys& keys, std::string front,
                         std::chrono::milliseconds interval, OnDue on_due)
    : client_(client),
      scripts_(scripts),
      keys_(keys),
      front_(std::move(front)),
      interval_(interval),
      on_due_(std::move(on_due)) {}

Result<> WillSweeper::sweep() {
  // Spares the others the work and nothing more, so that its length is of no weight.
  const std::string lock_ms = std::format("{}", (interval_ * 3).count());
  SLUICE_TRY_ASSIGN(const redis::Reply lock,
                    scripts_.lock.call(client_, {keys_.sweeper()}, {front_, lock_ms}));
  if (lock.integer() != 1) return {};
  SLUICE_TRY(sweep_due());
  return sweep_fronts();
}

Result<std::string> WillSweeper::take(const std::string& session, const std::string& dead_front) {
  const SessionKey key(session);
  SLUICE_TRY_ASSIGN(const redis::Reply reply,
                    scripts_.take_will.call(client_, keys_.session(key), {dead_front}));
  const auto& items = reply.items();
  if (items.size() < 2) return std::string();
  if (items[0].text() == "later") return items[1].text();
  on_due_(key, items[1].text());
  return std::string();
}

Result<> WillSweeper::sweep_due() {
  const std::string list = keys_.due_wills();
  SLUICE_TRY_ASSIGN(const redis::Reply due,
                    scripts_.due.call(client_, {list}, {std::to_string(kWillsPerSweep)}));
  for (std::size_t i = 0; i + 1 < due.items().size(); i += 2) {
    const std::string& session = due.items()[i].text();
    SLUICE_TRY_ASSIGN(const std::string later, take(session, ""));
    SLUICE_TRY(
        scripts_.move_due.call(client_, {list}, {session, due.items()[i + 1].text(), later}));
  }
  return {};
}

Result<> WillSweeper::sweep_fronts() {
  SLUICE_TRY_ASSIGN(const redis::Reply fronts, client_.call(redis::Command::on_key(
                                                   keys_.fronts(), {"HKEYS", keys_.fronts()})));
  for (const redis::Reply& front : fronts.items()) {
    const std::string lease = keys_.lease(front.text());
    SLUICE_TRY_ASSIGN(const redis::Reply is_alive,
                      client_.call(redis::Command::on_key(lease, {"EXISTS", lease})));
    if (is_alive.integer() == 0) SLUICE_TRY(sweep_front(front.text()));
  }
  return {};
}

Result<> WillSweeper::sweep_front(const std::string& front) {
  const std::string list = keys_.front_wills(front);
  const std::string due = keys_.due_wills();
  SLUICE_TRY_ASSIGN(const redis::Reply sessions,
                    client_.call(redis::Command::on_key(
                        list, {"SRANDMEMBER", list, std::to_string(kWillsPerSweep)})));
  for (const redis::Reply& session : sessions.items()) {
    SLUICE_TRY_ASSIGN(const std::string later, take(session.text(), front));
    if (!later.empty()) {
      SLUICE_TRY(client_.call(redis::Command::on_key(due, {"ZADD", due, later, session.text()})));
    }
    SLUICE_TRY(client_.call(redis::Command::on_key(list, {"SREM", list, session.text()})));
  }
  if (sessions.items().size() == static_cast<std::size_t>(kWillsPerSweep)) return {};
  // A front that comes back puts itself into the list again with its next renewal.
  SLUICE_TRY(client_.call(redis::Command::on_key(keys_.fronts(), {"HDEL", keys_.fronts(), front})));
  return {};
}

}  // namespace sluice::front
