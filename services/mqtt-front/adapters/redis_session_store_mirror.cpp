#include "adapters/redis_session_store_mirror.h"

#include <charconv>
#include <condition_variable>
#include <map>
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
// Fronts of an earlier release make the counts lag with each change: a second at the usual
// session_follow_interval between two looks at everything.
constexpr int kPollsBetweenCounts = 20;

std::uint64_t number_of(const std::string& text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

RedisMirror::RedisMirror(redis::Client& client, const MirrorScripts& scripts,
                         SessionStoreMetrics metrics, Logger log, std::vector<std::string> keys,
                         Bounds bounds)
    : client_(client),
      scripts_(scripts),
      metrics_(metrics),
      log_(std::move(log)),
      keys_(std::move(keys)),
      bounds_(std::move(bounds)) {}

std::optional<RedisMirror::Version> RedisMirror::version_of(const redis::Reply& reply) {
  if (reply.items().size() != 2) return std::nullopt;
  return Version{.generation = reply.items()[0].text(),
                 .number = number_of(reply.items()[1].text())};
}

std::vector<std::string> RedisMirror::put_arguments(std::string field, std::string value,
                                                    const Condition& condition) const {
  std::vector<std::string> arguments;
  arguments.reserve(16);
  std::string tenant(tenant_of(field));
  arguments.push_back(std::move(field));
  arguments.push_back(std::move(value));
  arguments.push_back(std::move(tenant));
  arguments.emplace_back(kLogSize);
  arguments.emplace_back(condition.only_if_absent ? "1" : "0");
  append_condition(condition, arguments);
  for (const Bound* bound :
       {&bounds_.tenant_entries, &bounds_.tenant_bytes, &bounds_.entries, &bounds_.bytes}) {
    arguments.push_back(std::to_string(bound->limit));
    arguments.push_back(bound->setting);
  }
  return arguments;
}

std::vector<std::string> RedisMirror::remove_arguments(std::string field, std::string value,
                                                       const Condition& condition) const {
  std::string tenant(tenant_of(field));
  std::vector<std::string> arguments{std::move(field), std::move(value), std::move(tenant),
                                     kLogSize};
  append_condition(condition, arguments);
  return arguments;
}

// Of the thread that polls alone: others must not look at what was followed.
void RedisMirror::append_condition(const Condition& condition,
                                   std::vector<std::string>& arguments) const {
  const bool is_given = condition.unless_changed_since_followed;
  arguments.emplace_back(is_given ? "1" : "0");
  arguments.push_back(is_given ? generation_ : std::string());
  arguments.push_back(is_given ? std::to_string(version_) : std::string());
}

void RedisMirror::put(std::string field, std::string value, redis::Client::Callback done) const {
  scripts_.put.run(client_, keys_, put_arguments(std::move(field), std::move(value), {}),
                   std::move(done));
}

Result<redis::Reply> RedisMirror::call_put(std::string field, std::string value,
                                           const Condition& condition) const {
  return scripts_.put.call(client_, keys_,
                           put_arguments(std::move(field), std::move(value), condition));
}

void RedisMirror::remove(std::string field, std::string value, redis::Client::Callback done) const {
  scripts_.remove.run(client_, keys_, remove_arguments(std::move(field), std::move(value), {}),
                      std::move(done));
}

Result<redis::Reply> RedisMirror::call_remove(std::string field, const Condition& condition) const {
  return scripts_.remove.call(client_, keys_, remove_arguments(std::move(field), {}, condition));
}

Result<> RedisMirror::poll() {
  while (true) {
    SLUICE_TRY_ASSIGN(
        const redis::Reply reply,
        scripts_.follow.call(client_, keys_,
                             {generation_, std::to_string(version_), kChangesPerPoll}));
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
    version_ = number_of(items[1].text());
    if (items.size() == 3) {
      if (polls_until_count_ > 0) {
        --polls_until_count_;
      } else if (items[2].integer() == 2) {
        SLUICE_TRY(count_tenants());
      }
      SLUICE_TRY(on_caught_up());
      is_loaded_.store(true);
      return {};
    }
    // nil ends no array here: a removed field's value is a value of its own.
    const auto& changes = items[3].items();
    const std::uint64_t as_of = number_of(items[4].text());
    for (std::size_t i = 0; i + 1 < changes.size(); i += 2) {
      if (changes[i + 1].is_nil()) {
        on_removed(changes[i].text(), as_of);
      } else {
        on_put(changes[i].text(), changes[i + 1].text(), as_of);
      }
    }
    on_followed(version_);
  }
}

Result<> RedisMirror::load() {
  metrics_.reloads.add();
  // Read before the values: changes that come meanwhile are followed again, which does no harm.
  SLUICE_TRY_ASSIGN(const redis::Reply state, client_.call(redis::Command::on_key(
                                                  keys_[2], {"HMGET", keys_[2], "gen", "ver"})));
  const std::string generation = state.items().at(0).text();
  const std::uint64_t version =
      state.items().at(1).is_nil() ? 0 : number_of(state.items().at(1).text());
  if (generation != generation_) on_generation(generation);
  is_loading_ = true;
  const auto loaded = [&]() -> Result<> {
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
        on_put(entries[i].text(), entries[i + 1].text(), version);
        seen.insert(entries[i].text());
      }
    } while (cursor != "0");
    std::vector<std::string> gone;
    for_each([&](const std::string& field, std::size_t) {
      if (!seen.contains(field)) gone.push_back(field);
    });
    for (const std::string& field : gone) on_removed(field, version);
    return {};
  }();
  is_loading_ = false;
  SLUICE_TRY(loaded);
  generation_ = generation;
  version_ = version;
  on_followed(version_);
  return {};
}

// Once nothing is new the copy is what Redis has, and counts of it are right unless something
// changes before they arrive: then they are refused, and the next round tries again.
Result<> RedisMirror::count_tenants() {
  struct Count {
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
  };
  std::map<std::string, Count, std::less<>> counts;
  for_each([&](const std::string& field, std::size_t value_size) {
    const std::string_view tenant = tenant_of(field);
    auto found = counts.find(tenant);
    if (found == counts.end()) found = counts.emplace(tenant, Count()).first;
    ++found->second.entries;
    found->second.bytes += field.size() + value_size;
  });
  std::vector<std::string> arguments{generation_, std::to_string(version_)};
  for (const auto& [tenant, count] : counts) {
    arguments.push_back(tenant);
    arguments.push_back(std::to_string(count.entries));
    arguments.push_back(std::to_string(count.bytes));
  }
  SLUICE_TRY_ASSIGN(const redis::Reply reply,
                    scripts_.count.call(client_, keys_, std::move(arguments)));
  if (reply.integer() == 0) return {};
  polls_until_count_ = kPollsBetweenCounts;
  log_.info("session_mirror_counted", {{"key", keys_[0]}, {"tenants", counts.size()}});
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
    scripts_.put.run(client_, keys_,
                     put_arguments(field, value_of(field), {.only_if_absent = true}),
                     [&](Result<redis::Reply> reply) {
                       const std::lock_guard answered(mutex);
                       // One that is over a bound stays away; the others must not wait for it.
                       if (!reply && is_retryable(reply.error().code()))
                         failure = std::move(reply).error();
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
