#include "adapters/redis_session_store_mirror.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <unordered_set>
#include <utility>

namespace sluice::front {
namespace {

// Changes that are kept for followers: minutes of what an installation changes. Trimmed roughly,
// which Redis does in whole nodes of its log.
constexpr const char* kLogSize = "10000";
constexpr const char* kChangesPerPoll = "500";
constexpr const char* kFieldsPerScan = "500";
// Commands under way at once while a copy is put back: full pipelines, and no flood.
constexpr std::size_t kPutBackWindow = 256;

}  // namespace

RedisMirror::RedisMirror(redis::Client& client, const SessionScripts& scripts,
                         SessionStoreMetrics metrics, Logger log, std::vector<std::string> keys,
                         Bounds bounds)
    : client_(client),
      scripts_(scripts),
      metrics_(metrics),
      log_(std::move(log)),
      keys_(std::move(keys)),
      bounds_(std::move(bounds)) {}

void RedisMirror::put(std::string field, std::string value, redis::Client::Callback done) const {
  run_put(std::move(field), std::move(value), false, std::move(done));
}

void RedisMirror::run_put(std::string field, std::string value, bool only_if_absent,
                          redis::Client::Callback done) const {
  scripts_.mirror_put.run(client_, keys_,
                          {std::move(field), std::move(value), std::to_string(bounds_.max_entries),
                           std::to_string(bounds_.max_bytes), kLogSize, only_if_absent ? "1" : "0",
                           bounds_.entries_setting, bounds_.bytes_setting},
                          std::move(done));
}

void RedisMirror::remove(std::string field, std::string value, redis::Client::Callback done) const {
  scripts_.mirror_remove.run(client_, keys_, {std::move(field), kLogSize, std::move(value)},
                             std::move(done));
}

Result<> RedisMirror::poll() {
  while (true) {
    SLUICE_TRY_ASSIGN(
        const redis::Reply reply,
        scripts_.mirror_follow.call(client_, keys_, {generation_, version_, kChangesPerPoll}));
    const auto& items = reply.items();
    if (items.size() < 3) return fail(ErrorCode::kDataLoss, "a mirror's state cannot be read");
    if (items[2].integer() == 1) {
      if (!generation_.empty() && items[0].text() != generation_) {
        metrics_.data_losses.add();
        log_.warning("session_mirror_lost", {{"key", keys_[0]}});
        SLUICE_TRY(put_back());
      }
      SLUICE_TRY(load());
      continue;
    }
    version_ = items[1].text();
    if (items.size() == 3) {
      is_loaded_.store(true);
      return {};
    }
    // nil ends no array here: a removed field's value is a value of its own.
    const auto& changes = items[3].items();
    for (std::size_t i = 0; i + 1 < changes.size(); i += 2) {
      if (changes[i + 1].is_nil()) {
        on_removed(changes[i].text());
      } else {
        on_put(changes[i].text(), changes[i + 1].text());
      }
    }
  }
}

Result<> RedisMirror::load() {
  metrics_.reloads.add();
  // Read before the values: changes that come meanwhile are followed again, which does no harm.
  SLUICE_TRY_ASSIGN(const redis::Reply state, client_.call(redis::Command::on_key(
                                                  keys_[2], {"HMGET", keys_[2], "gen", "ver"})));
  std::unordered_set<std::string> seen;
  std::string cursor = "0";
  do {
    SLUICE_TRY_ASSIGN(const redis::Reply page,
                      client_.call(redis::Command::on_key(
                          keys_[0], {"HSCAN", keys_[0], cursor, "COUNT", kFieldsPerScan})));
    if (page.items().size() != 2) return fail(ErrorCode::kDataLoss, "HSCAN gave no page");
    cursor = page.items()[0].text();
    const auto& entries = page.items()[1].items();
    for (std::size_t i = 0; i + 1 < entries.size(); i += 2) {
      on_put(entries[i].text(), entries[i + 1].text());
      seen.insert(entries[i].text());
    }
  } while (cursor != "0");
  for (const std::string& field : fields()) {
    if (!seen.contains(field)) on_removed(field);
  }
  generation_ = state.items().at(0).text();
  version_ = state.items().at(1).is_nil() ? "0" : state.items().at(1).text();
  return {};
}

Result<> RedisMirror::put_back() {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t under_way = 0;
  std::optional<Error> failure;
  std::unique_lock lock(mutex);
  for (const std::string& field : fields()) {
    changed.wait(lock, [&] { return under_way < kPutBackWindow; });
    if (failure) break;
    ++under_way;
    lock.unlock();
    run_put(field, value_of(field), true, [&](Result<redis::Reply> reply) {
      const std::lock_guard answered(mutex);
      // One that is over a bound stays away; the others must not wait for it.
      if (!reply && is_retryable(reply.error().code())) failure = std::move(reply).error();
      --under_way;
      changed.notify_one();
    });
    lock.lock();
  }
  changed.wait(lock, [&] { return under_way == 0; });
  if (failure) return fail(*std::move(failure));
  return {};
}

}  // namespace sluice::front
