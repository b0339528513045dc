#include "adapters/topic_repair.h"

#include "adapters/postgres_tables.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <format>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <sluice/base/planted_bug.h>
#include <sluice/postgres/transaction.h>

namespace sluice::registry {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kTopicTimeout = 10s;
// Kafka may be silent for so long; a partition that goes on to come is read for as long as it
// takes.
constexpr std::chrono::milliseconds kReadTimeout = 10s;
// Things asked for in one statement.
constexpr std::size_t kPage = 2000;
// What one thing is in the way of does not stop the others; a database that is down does.
constexpr std::size_t kMostFailures = 10;

constexpr const char* kCounterHelp =
    "Things of which control.devices knew more than a restored database, by what was told then.";

/// What is stored of things of one kind, in their order; nullopt where there is none.
Result<std::vector<std::optional<Stored>>> stored_things(postgres::Transaction& sql,
                                                         ResourceKind kind,
                                                         std::span<const Told* const> told) {
  const Table& table = table_of(kind);
  const bool is_device = kind == ResourceKind::kDevice;
  const std::string statement = std::format(
      "SELECT x.revision, {} AS is_revoked "
      "FROM unnest($1::text[], $2::{}[]) WITH ORDINALITY AS t (tenant, id, n) "
      "LEFT JOIN {} AS x ON x.{} = t.id AND x.tenant_id = t.tenant ORDER BY t.n",
      is_device ? "coalesce(x.status = 'revoked', false)" : "false", is_device ? "uuid" : "text",
      table.name, table.id);
  std::vector<std::string> tenants, ids;
  for (const Told* each : told) {
    tenants.push_back(each->thing.tenant.value());
    ids.push_back(each->thing.id);
  }
  SLUICE_TRY_ASSIGN(const postgres::Rows rows,
                    sql.query(postgres::Sql::from_trusted_text(statement), {tenants, ids}));
  std::vector<std::optional<Stored>> things;
  things.reserve(rows.size());
  for (const postgres::Row& row : rows) {
    const auto revision = row.get<std::optional<std::int64_t>>("revision");
    things.push_back(revision.transform([&](std::int64_t found) {
      return Stored{.revision = found, .is_revoked = row.get<bool>("is_revoked")};
    }));
  }
  return things;
}

std::string key_of(const Told& told) {
  return change_key(told.thing.kind, told.thing.tenant, told.thing.id);
}

}  // namespace

TopicRepair::TopicRepair(OpenKafka open_kafka, postgres::Pool& pool, const Clock& clock,
                         Random& random, const Logger& log, Registry& registry, Options options)
    : open_kafka_(std::move(open_kafka)),
      pool_(pool),
      clock_(clock),
      uuids_(clock, random),
      log_(log),
      options_(options),
      store_(pool),
      leadership_(pool, "device_registry.topic_repair"),
      told_anew_(
          registry.counter("sluice_registry_lost_changes_total", kCounterHelp, {{"told", "anew"}})),
      told_gone_(
          registry.counter("sluice_registry_lost_changes_total", kCounterHelp, {{"told", "gone"}})),
      told_later_(registry.counter("sluice_registry_lost_changes_total", kCounterHelp,
                                   {{"told", "later"}})),
      withheld_(registry.counter("sluice_registry_lost_changes_total", kCounterHelp,
                                 {{"told", "withheld"}})) {}

Result<> TopicRepair::run(const std::stop_token& stop) {
  SLUICE_TRY_ASSIGN(const bool leads, leadership_.acquire());
  const std::uint64_t term = leadership_.term();
  if (!leads || term == compared_term_) return {};
  if (term != term_) compare_at_ = clock_.mono() + options_.quiet_time;
  term_ = term;
  if (clock_.mono() < compare_at_ || SLUICE_PLANTED_BUG("registry_believes_restored_database")) {
    return {};
  }
  const Result<bool> is_complete = repair(stop);
  compare_at_ = clock_.mono() + options_.quiet_time;
  if (!is_complete) return fail(is_complete.error());
  if (*is_complete) compared_term_ = term;
  return {};
}

Result<bool> TopicRepair::repair(const std::stop_token& stop) {
  SLUICE_TRY_ASSIGN(const Kafka kafka, open_kafka_());
  SLUICE_TRY_ASSIGN(const kafka::TopicDescription topic,
                    kafka.admin->describe(kControlTopic, kTopicTimeout));
  Findings findings;
  const auto compare = [&]() -> Result<> {
    for (std::int32_t i = 0; i < topic.partitions && !stop.stop_requested(); ++i) {
      SLUICE_TRY(repair_partition(*kafka.reader, i, stop, findings));
    }
    // What is known of a part of the topic says little about the database.
    return stop.stop_requested() ? Result<>() : tell_gone(stop, findings);
  };
  const Result<> compared = compare();
  log_outcome(findings);
  if (!compared) return fail(compared.error());
  if (findings.failure) return fail(*findings.failure);
  return findings.left == 0 && !stop.stop_requested();
}

void TopicRepair::log_outcome(const Findings& findings) const {
  const auto number = [](std::size_t count) { return static_cast<std::int64_t>(count); };
  if (findings.malformed > 0) {
    log_.warning("control_devices_malformed", {{"records", number(findings.malformed)}});
  }
  if (findings.told_anew + findings.told_gone + findings.failed == 0) return;
  log_.warning("database_was_restored", {{"told_anew", number(findings.told_anew)},
                                         {"told_gone", number(findings.told_gone)},
                                         {"later", number(findings.left)},
                                         {"failed", number(findings.failed)}});
}

Result<> TopicRepair::tell_gone(const std::stop_token& stop, Findings& findings) {
  if (findings.known_devices < findings.unknown_devices) {
    withheld_.add(findings.unknown.size() + findings.left);
    findings.left = 0;
    log_.error("control_devices_unknown",
               {{"known_devices", static_cast<std::int64_t>(findings.known_devices)},
                {"unknown_devices", static_cast<std::int64_t>(findings.unknown_devices)}});
    return {};
  }
  told_later_.add(findings.left);
  for (const Told& told : findings.unknown) {
    if (stop.stop_requested()) return {};
    SLUICE_TRY(mend_one(told, findings));
  }
  return {};
}

void TopicRepair::note_unknown(Told told, Findings& findings) {
  if (told.thing.kind == ResourceKind::kDevice) ++findings.unknown_devices;
  if (findings.unknown.size() < options_.most_told_gone) {
    findings.unknown.push_back(std::move(told));
  } else {
    ++findings.left;
  }
}

Result<TopicRepair::Tellings> TopicRepair::read(kafka::PartitionReader& reader,
                                                std::int32_t partition, const std::stop_token& stop,
                                                Findings& findings) {
  Tellings tellings;
  std::array stretches{
      kafka::Stretch{.partition = {std::string(kControlTopic), kafka::Partition(partition)}}};
  bool has_moved = false;
  const auto take = [&](const kafka::RecordView& record) {
    has_moved = true;
    stretches[0].from = kafka::Offset(record.offset.value() + 1);
    auto told = read_told(record.key, record.value);
    if (!told) {
      ++findings.malformed;
    } else if (const auto known = tellings.find(std::string(record.key)); known != tellings.end()) {
      known->second.follow(*std::move(told));
    } else {
      tellings.emplace(record.key, *std::move(told));
    }
    return !stop.stop_requested();
  };
  while (!stop.stop_requested()) {
    has_moved = false;
    const Result<> done = reader.read(stretches, kReadTimeout, take);
    if (done) break;
    if (done.error().code() != ErrorCode::kDeadlineExceeded || !has_moved) {
      return fail(done.error());
    }
  }
  return tellings;
}

Result<> TopicRepair::repair_partition(kafka::PartitionReader& reader, std::int32_t partition,
                                       const std::stop_token& stop, Findings& findings) {
  SLUICE_TRY_ASSIGN(Tellings tellings, read(reader, partition, stop, findings));
  if (stop.stop_requested()) return {};
  SLUICE_TRY_ASSIGN(const std::vector<Lost> lost, find_lost(tellings, findings));
  if (lost.empty()) return {};
  // What was changed after the first reading and told before the database was asked looks lost,
  // too.
  tellings = Tellings();  // one at a time in memory
  Findings again;
  SLUICE_TRY_ASSIGN(tellings, read(reader, partition, stop, again));
  for (const Lost& each : lost) {
    if (stop.stop_requested()) return {};
    const auto told = tellings.find(each.key);
    if (told == tellings.end()) continue;
    if (each.is_known) {
      SLUICE_TRY(mend_one(told->second, findings));
    } else if (!told->second.is_gone) {
      note_unknown(std::move(told->second), findings);
    }
  }
  return {};
}

Result<std::vector<TopicRepair::Lost>> TopicRepair::find_lost(const Tellings& tellings,
                                                              Findings& findings) {
  std::map<ResourceKind, std::vector<const Told*>> by_kind;
  for (const auto& [key, told] : tellings) by_kind[told.thing.kind].push_back(&told);
  std::vector<Lost> lost;
  for (const auto& [kind, all] : by_kind) {
    for (std::size_t at = 0; at < all.size(); at += kPage) {
      const auto page = std::span(all).subspan(at, std::min(kPage, all.size() - at));
      SLUICE_TRY_ASSIGN(const auto stored,
                        postgres::transaction(pool_, {.all_tenants = true, .read_only = true},
                                              [&](postgres::Transaction& sql) {
                                                return stored_things(sql, kind, page);
                                              }));
      for (std::size_t i = 0; i < page.size(); ++i) {
        if (stored[i] && kind == ResourceKind::kDevice) ++findings.known_devices;
        if (!is_lost(*page[i], stored[i])) continue;
        lost.push_back({.key = key_of(*page[i]),
                        .is_known = stored[i].has_value(),
                        .is_told_gone = page[i]->is_gone});
      }
    }
  }
  // That a thing was made or deleted is perhaps only not told yet.
  std::vector<std::string> asked;
  for (const Lost& each : lost) {
    if (!each.is_known || each.is_told_gone) asked.push_back(each.key);
  }
  SLUICE_TRY_ASSIGN(const std::vector<std::string> waits, waiting(asked));
  std::erase_if(lost, [&](const Lost& each) {
    return (!each.is_known || each.is_told_gone) && std::ranges::binary_search(waits, each.key);
  });
  return lost;
}

Result<std::vector<std::string>> TopicRepair::waiting(std::span<const std::string> keys) {
  std::vector<std::string> found;
  if (keys.empty()) return found;
  SLUICE_TRY_ASSIGN(
      const postgres::Rows rows,
      postgres::transaction(
          pool_, {.all_tenants = true, .read_only = true}, [&](postgres::Transaction& sql) {
            return sql.query("SELECT key FROM outbox WHERE topic = $1 AND key = ANY ($2::text[])",
                             {kControlTopic, keys});
          }));
  for (const postgres::Row& row : rows) found.push_back(row.get<std::string>("key"));
  std::ranges::sort(found);
  return found;
}

Result<> TopicRepair::mend_one(const Told& told, Findings& findings) {
  const Result<Mended> mended =
      in_transaction(store_, Scope::of(told.thing.tenant), {}, [&](Transaction& transaction) {
        return mend(transaction, told, {.at = clock_.wall()}, uuids_);
      });
  if (!mended) {
    if (!findings.failure) findings.failure = Error(mended.error()).context(key_of(told));
    return ++findings.failed < kMostFailures ? Result<>() : fail(*findings.failure);
  }
  if (*mended == Mended::kToldAnew) ++findings.told_anew, told_anew_.add();
  if (*mended == Mended::kToldGone) ++findings.told_gone, told_gone_.add();
  return {};
}

}  // namespace sluice::registry
