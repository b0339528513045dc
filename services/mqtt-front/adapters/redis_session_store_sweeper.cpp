#include "adapters/redis_session_store_sweeper.h"

#include <charconv>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace sluice::front {
namespace {

using redis::Command;
using redis::Reply;

// Of a slice. As many wills as Redis takes some milliseconds for, and about what loops publish
// meanwhile: a front's worth of them at once would hold up the sockets. What ended may have a
// queue's worth of messages each.
constexpr std::size_t kWillsPerSlice = 500;
constexpr std::size_t kEndedPerSlice = 100;
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

Command on_list(const std::string& list, std::vector<std::string_view> words) {
  return Command::on_key(list, std::span<const std::string_view>(words));
}

}  // namespace

SessionSweeper::SessionSweeper(redis::Client& client, const RedisKeys& keys, std::string front,
                               std::chrono::milliseconds interval, Hooks hooks)
    : client_(client),
      keys_(keys),
      front_(std::move(front)),
      interval_(interval),
      hooks_(std::move(hooks)) {}

Result<bool> SessionSweeper::sweep(bool may_judge_fronts) {
  SLUICE_TRY_ASSIGN(const bool is_ours, lock());
  if (!is_ours) return false;
  SLUICE_TRY_ASSIGN(const bool has_more,
                    sweep_due(keys_.due_wills(), kWillsPerSlice, [this](const Sessions& sessions) {
                      return look_for_wills(sessions, "");
                    }));
  // At the pace of the sweeps, however many there are: each may give a queue's worth of messages on
  // to other fronts, and is in no hurry.
  SLUICE_TRY(sweep_due(keys_.ended_sessions(), kEndedPerSlice,
                       [this](const Sessions& sessions) { return look_for_ended(sessions); }));
  if (!may_judge_fronts) return has_more;
  SLUICE_TRY_ASSIGN(const bool has_more_of_fronts, sweep_fronts());
  return has_more || has_more_of_fronts;
}

// Spares the others the work and nothing more, so that its length is of no weight.
Result<bool> SessionSweeper::lock() {
  const std::string lock_ms = std::to_string((interval_ * 3).count());
  SLUICE_TRY_ASSIGN(const Reply lock,
                    scripts_.lock.call(client_, {keys_.sweeper()}, {front_, lock_ms}));
  return lock.integer() == 1;
}

Result<bool> SessionSweeper::sweep_due(const std::string& list, std::size_t most,
                                       const Look& look) {
  SLUICE_TRY_ASSIGN(const Reply due, scripts_.due.call(client_, {list}, {std::to_string(most)}));
  const auto& items = due.items();  // a session, then when it was due
  Sessions sessions;
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) sessions.push_back(items[i].text());
  if (sessions.empty()) return false;
  Looked looked = look(sessions);
  std::vector<std::string> moved;
  Result<> failed{};
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    if (!looked[i]) {
      failed = fail(std::move(looked[i]).error());
      continue;
    }
    moved.insert(moved.end(), {sessions[i], items[2 * i + 1].text(), *std::move(looked[i])});
  }
  if (!moved.empty()) SLUICE_TRY(scripts_.move_due.call(client_, {list}, std::move(moved)));
  SLUICE_TRY(failed);
  return sessions.size() == most;
}

SessionSweeper::Looked SessionSweeper::look_for_wills(const Sessions& sessions,
                                                      const std::string& dead_front) {
  std::vector<redis::Script::Call> calls;
  for (const std::string& session : sessions) {
    calls.push_back({.keys = keys_.session(SessionKey(session)), .arguments = {dead_front}});
  }
  Looked looked;
  for (Result<Reply>& reply : scripts_.take_will.call_all(client_, std::move(calls))) {
    if (!reply) {
      looked.emplace_back(fail(std::move(reply).error()));
      continue;
    }
    const auto& items = reply->items();
    const bool is_found = items.size() >= 2;
    const bool is_later = is_found && items[0].text() == "later";
    if (is_found && !is_later) {
      hooks_.on_will_due(SessionKey(sessions[looked.size()]), items[1].text());
    }
    looked.emplace_back(is_later ? items[1].text() : std::string());
  }
  return looked;
}

SessionSweeper::Looked SessionSweeper::look_for_ended(const Sessions& sessions) {
  std::vector<redis::Script::Call> calls;
  for (const std::string& session : sessions) {
    calls.push_back({.keys = keys_.session(SessionKey(session)),
                     .arguments = {std::string(kHandedOutMs), std::string(kGoneAfterMs)}});
  }
  Looked looked;
  for (Result<Reply>& reply : scripts_.take_ended.call_all(client_, std::move(calls))) {
    if (!reply) {
      looked.emplace_back(fail(std::move(reply).error()));
      continue;
    }
    looked.emplace_back(hand_out_ended(SessionKey(sessions[looked.size()]), *reply));
  }
  return looked;
}

std::string SessionSweeper::hand_out_ended(const SessionKey& key, const Reply& reply) {
  const auto& items = reply.items();
  if (items.size() < 2) {
    hooks_.on_gone(key);
    return {};
  }
  Records records;
  for (std::size_t i = 2; i + 1 < items.size(); i += 2) {
    records.emplace_back(to_number(items[i].text()), items[i + 1].text());
  }
  if (!records.empty()) hooks_.on_ended(key, records);
  return items[1].text();
}

Result<bool> SessionSweeper::sweep_fronts() {
  const std::string list = keys_.fronts();
  SLUICE_TRY_ASSIGN(const Reply fronts, client_.call(on_list(list, {"HKEYS", list})));
  std::vector<Command> questions;
  for (const Reply& front : fronts.items()) {
    const std::string lease = keys_.lease(front.text());
    questions.push_back(on_list(lease, {"EXISTS", lease}));
  }
  const std::vector<Result<Reply>> answers = client_.call_all(std::move(questions));
  // One of them in a slice, however many have died.
  std::optional<std::string> dead;
  bool are_more_dead = false;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]) return fail(Error(answers[i].error()));
    if (answers[i]->integer() != 0) continue;
    are_more_dead = dead.has_value();
    if (!dead) dead = fronts.items()[i].text();
  }
  if (!dead) return false;
  SLUICE_TRY_ASSIGN(const bool has_more, sweep_front(*dead));
  return has_more || are_more_dead;
}

Result<bool> SessionSweeper::sweep_front(const std::string& front) {
  const std::string list = keys_.front_wills(front);
  const std::string most = std::to_string(kWillsPerSlice);
  SLUICE_TRY_ASSIGN(const Reply listed, client_.call(on_list(list, {"SRANDMEMBER", list, most})));
  Sessions sessions;
  for (const Reply& session : listed.items()) sessions.push_back(session.text());
  if (!sessions.empty()) SLUICE_TRY(sweep_wills_of(front, list, sessions));
  if (sessions.size() == kWillsPerSlice) return true;
  // A front that comes back puts itself into the list again with its next renewal.
  const std::string fronts = keys_.fronts();
  SLUICE_TRY(client_.call(on_list(fronts, {"HDEL", fronts, front})));
  return false;
}

Result<> SessionSweeper::sweep_wills_of(const std::string& front, const std::string& list,
                                        const Sessions& sessions) {
  const Looked looked = look_for_wills(sessions, front);
  const std::string due = keys_.due_wills();
  std::vector<std::string_view> delayed{"ZADD", due};
  std::vector<std::string_view> done{"SREM", list};
  Result<> failed{};
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    if (!looked[i]) {
      failed = fail(Error(looked[i].error()));
      continue;
    }
    if (!looked[i]->empty()) delayed.insert(delayed.end(), {*looked[i], sessions[i]});
    done.push_back(sessions[i]);
  }
  // Listed with those that wait before it is off the front's list, so that it is always on one.
  if (delayed.size() > 2) SLUICE_TRY(client_.call(on_list(due, std::move(delayed))));
  if (done.size() > 2) SLUICE_TRY(client_.call(on_list(list, std::move(done))));
  return failed;
}

}  // namespace sluice::front
