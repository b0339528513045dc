#include "adapters/redis_session_store_sweeper.h"

#include <charconv>
#include <string_view>
#include <utility>

namespace sluice::front {
namespace {

using redis::Reply;

// Per sweep, so that the lock is renewed in between however many there are. What ended may have a
// queue's worth of messages each.
constexpr int kWillsPerSweep = 1000;
constexpr int kEndedPerSweep = 100;
// How long whoever has messages of an ended session may take to find another member for them: some
// times what a call to another front may take. Then they are handed out again.
constexpr std::string_view kHandedOutMs = "30000";
// After this a session that is missing is gone: fronts put back within 20 minutes what Redis lost.
constexpr std::string_view kGoneAfterMs = "1800000";

std::uint64_t to_number(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

SessionSweeper::SessionSweeper(redis::Client& client, const RedisKeys& keys, std::string front,
                               std::chrono::milliseconds interval, Hooks hooks)
    : client_(client),
      keys_(keys),
      front_(std::move(front)),
      interval_(interval),
      hooks_(std::move(hooks)) {}

Result<> SessionSweeper::sweep(bool may_judge_fronts) {
  SLUICE_TRY_ASSIGN(const bool is_ours, lock());
  if (!is_ours) return {};
  SLUICE_TRY(sweep_due(keys_.due_wills(), kWillsPerSweep,
                       [this](const SessionKey& key) { return look_for_will(key, ""); }));
  SLUICE_TRY(sweep_due(keys_.ended_sessions(), kEndedPerSweep,
                       [this](const SessionKey& key) { return look_for_ended(key); }));
  if (!may_judge_fronts) return {};
  return sweep_fronts();
}

// Spares the others the work and nothing more, so that its length is of no weight.
Result<bool> SessionSweeper::lock() {
  const std::string lock_ms = std::to_string((interval_ * 3).count());
  SLUICE_TRY_ASSIGN(const Reply lock,
                    scripts_.lock.call(client_, {keys_.sweeper()}, {front_, lock_ms}));
  return lock.integer() == 1;
}

Result<> SessionSweeper::sweep_due(const std::string& list, int most, const Look& look) {
  SLUICE_TRY_ASSIGN(const Reply due, scripts_.due.call(client_, {list}, {std::to_string(most)}));
  for (std::size_t i = 0; i + 1 < due.items().size(); i += 2) {
    const std::string& session = due.items()[i].text();
    SLUICE_TRY_ASSIGN(std::string later, look(SessionKey(session)));
    SLUICE_TRY(scripts_.move_due.call(client_, {list},
                                      {session, due.items()[i + 1].text(), std::move(later)}));
  }
  return {};
}

Result<std::string> SessionSweeper::look_for_will(const SessionKey& key,
                                                  const std::string& dead_front) {
  SLUICE_TRY_ASSIGN(const Reply reply,
                    scripts_.take_will.call(client_, keys_.session(key), {dead_front}));
  const auto& items = reply.items();
  if (items.size() < 2) return std::string();
  if (items[0].text() == "later") return items[1].text();
  hooks_.on_will_due(key, items[1].text());
  return std::string();
}

Result<std::string> SessionSweeper::look_for_ended(const SessionKey& key) {
  SLUICE_TRY_ASSIGN(const Reply reply, scripts_.take_ended.call(
                                           client_, keys_.session(key),
                                           {std::string(kHandedOutMs), std::string(kGoneAfterMs)}));
  const auto& items = reply.items();
  if (items.size() < 2) {
    hooks_.on_gone(key);
    return std::string();
  }
  Records records;
  for (std::size_t i = 2; i + 1 < items.size(); i += 2) {
    records.emplace_back(to_number(items[i].text()), items[i + 1].text());
  }
  if (!records.empty()) hooks_.on_ended(key, records);
  return items[1].text();
}

Result<> SessionSweeper::sweep_fronts() {
  const std::string list = keys_.fronts();
  SLUICE_TRY_ASSIGN(const Reply fronts,
                    client_.call(redis::Command::on_key(list, {"HKEYS", list})));
  for (const Reply& front : fronts.items()) {
    const std::string lease = keys_.lease(front.text());
    SLUICE_TRY_ASSIGN(const Reply is_alive,
                      client_.call(redis::Command::on_key(lease, {"EXISTS", lease})));
    if (is_alive.integer() == 0) SLUICE_TRY(sweep_front(front.text()));
  }
  return {};
}

Result<> SessionSweeper::sweep_front(const std::string& front) {
  const std::string list = keys_.front_wills(front);
  const std::string due = keys_.due_wills();
  SLUICE_TRY_ASSIGN(const Reply sessions,
                    client_.call(redis::Command::on_key(
                        list, {"SRANDMEMBER", list, std::to_string(kWillsPerSweep)})));
  for (const Reply& session : sessions.items()) {
    SLUICE_TRY_ASSIGN(const std::string later, look_for_will(SessionKey(session.text()), front));
    if (!later.empty()) {
      SLUICE_TRY(client_.call(redis::Command::on_key(due, {"ZADD", due, later, session.text()})));
    }
    SLUICE_TRY(client_.call(redis::Command::on_key(list, {"SREM", list, session.text()})));
  }
  if (sessions.items().size() == static_cast<std::size_t>(kWillsPerSweep)) return {};
  // A front that comes back puts itself into the list again with its next renewal.
  const std::string fronts = keys_.fronts();
  SLUICE_TRY(client_.call(redis::Command::on_key(fronts, {"HDEL", fronts, front})));
  return {};
}

}  // namespace sluice::front
