#include "adapters/redis_session_store_ended.h"

#include <charconv>
#include <format>
#include <string_view>

namespace sluice::front {
namespace {

// Per sweep; each may have a queue's worth of messages.
constexpr int kSessionsPerSweep = 100;
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

EndedSweeper::EndedSweeper(redis::Client& client, const SessionScripts& scripts,
                           const RedisKeys& keys, std::string front,
                           std::chrono::milliseconds interval, Hooks hooks)
    : client_(client),
      scripts_(scripts),
      keys_(keys),
      front_(std::move(front)),
      interval_(interval),
      hooks_(std::move(hooks)) {}

Result<> EndedSweeper::sweep() {
  // As for wills: spares the others the work and nothing more.
  const std::string lock_ms = std::format("{}", (interval_ * 3).count());
  SLUICE_TRY_ASSIGN(const redis::Reply lock,
                    scripts_.lock.call(client_, {keys_.ended_sweeper()}, {front_, lock_ms}));
  if (lock.integer() != 1) return {};
  const std::string list = keys_.ended_sessions();
  SLUICE_TRY_ASSIGN(const redis::Reply due,
                    scripts_.due.call(client_, {list}, {std::to_string(kSessionsPerSweep)}));
  for (std::size_t i = 0; i + 1 < due.items().size(); i += 2) {
    const std::string& session = due.items()[i].text();
    SLUICE_TRY_ASSIGN(std::string later, take(SessionKey(session)));
    SLUICE_TRY(scripts_.move_due.call(client_, {list},
                                      {session, due.items()[i + 1].text(), std::move(later)}));
  }
  return {};
}

Result<std::string> EndedSweeper::take(const SessionKey& key) {
  SLUICE_TRY_ASSIGN(
      const redis::Reply reply,
      scripts_.take_ended.call(client_, keys_.session(key),
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

}  // namespace sluice::front
