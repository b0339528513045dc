#include "adapters/schema_table.h"

#include <condition_variable>
#include <limits>
#include <mutex>
#include <string>
#include <utility>

#include <sluice/kafka/topics.h>

namespace sluice::validator {
namespace {

// Wait after an error of Kafka's client: it reconnects by itself, we only must not spin meanwhile.
constexpr std::chrono::milliseconds kErrorPause{200};

}  // namespace

SchemaTable::SchemaTable(std::unique_ptr<kafka::Consumer> consumer,
                         const kafka::ConsumerConfig& limits, const CompileLimits& compile_limits,
                         const Clock& clock, const Logger& log, Registry& registry,
                         CatalogueHolder& holder)
    : clock_(clock),
      log_(log),
      holder_(holder),
      table_(compile_limits),
      unusable_(registry.counter("sluice_validator_schema_records_unusable_total",
                                 "Records of control.schemas that make no sense.")),
      versions_(registry.gauge("sluice_validator_schema_versions",
                               "Versions of schemas that messages are judged by.")),
      broken_(registry.gauge("sluice_validator_schema_versions_broken",
                             "Of these, those whose document cannot be compiled any more.")),
      changed_at_(registry.gauge("sluice_validator_schemas_changed_timestamp_seconds",
                                 "When the workers were last given another catalogue.")),
      fetch_wait_(limits.fetch_wait),
      reader_({.topic = std::string(kafka::topics::kControlSchemas.name), .limits = limits}, clock,
              log, registry, std::move(consumer), *this) {}

SchemaTable::~SchemaTable() { stop(); }

void SchemaTable::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void SchemaTable::stop() {
  if (!thread_.joinable()) return;
  thread_ = {};  // asks it to end, and waits
  reader_.stop();
}

void SchemaTable::run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;  // a wait that a stop ends
  while (!stop.stop_requested()) {
    const auto stepped = reader_.step(fetch_wait_);
    swap();
    if (reader_.caught_up()) caught_up_.store(true, std::memory_order_release);
    if (stepped) continue;
    log_.warning("schema_table_error", stepped.error());
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, kErrorPause, [] { return false; });
  }
}

void SchemaTable::on_change(const kafka::RecordView& record) {
  schema::v1::SchemaChange change;
  if (record.value &&
      (record.value->size() > std::numeric_limits<int>::max() ||
       !change.ParseFromArray(record.value->data(), static_cast<int>(record.value->size())))) {
    return unusable_.add();
  }
  if (const auto applied = table_.apply(record.key, record.value ? &change : nullptr); !applied) {
    unusable_.add();
    log_.warning("schema_record_unusable", applied.error(), {{"offset", record.offset.value()}});
  }
}

void SchemaTable::swap() {
  // While the topic is first read nobody judges, so one catalogue of all of it is enough.
  if (!reader_.caught_up()) return;
  auto changed = table_.take_changed();
  if (!changed) return;
  versions_.set(static_cast<double>(changed->versions()));
  broken_.set(static_cast<double>(table_.broken()));
  changed_at_.set(static_cast<double>(clock_.wall().time_since_epoch().count()) / 1'000.0);
  holder_.store(std::move(changed));
}

}  // namespace sluice::validator
