#include "checks/checks.h"

#include "validator/validator_process.h"
#include "writer/writer_process.h"

#include <algorithm>

#include <sluice/kafka/topics.h>

namespace sluice::simulation {
namespace {

constexpr std::string_view kRaw = kafka::topics::kTelemetryRaw.name;
constexpr std::string_view kValid = kafka::topics::kTelemetryValid.name;
constexpr std::string_view kRejected = kafka::topics::kTelemetryRejected.name;

}  // namespace

void Checks::on_appended(const Appended& record) {
  if (record.topic == kRaw) raw_.add(record);
  if (record.topic == kValid) verdicts_.add_valid(record);
  if (record.topic == kRejected) verdicts_.add_rejected(record);
}

void Checks::on_reported_lost(std::string_view topic, std::string_view key,
                              std::string_view value) {
  if (topic == kRaw) {
    raw_.note_reported_lost(key, value);
  } else {
    verdicts_.note_reported_lost(topic, value);
  }
}

// --- I1

void Checks::on_acknowledging(Said said) {
  if (raw_.contains(said)) return;
  world_.violated(Invariant::kAckedIsStored,
                  "message {} of {} is acknowledged, and telemetry.raw does not have it",
                  said.sequence, traffic_.key(said.device));
}

void Checks::on_acknowledged(Said said) { acknowledged_.insert(said); }

// --- I2

void Checks::on_committed(std::string_view group, const kafka::TopicPartition& partition,
                          kafka::Offset next) {
  if (group == ValidatorProcess::kGroup) {
    return check_judged(partition.partition.value(), next.value());
  }
  const auto position = tables_.position(partition.topic, partition.partition.value());
  if (next.value() <= position.value_or(0)) return;
  world_.violated(Invariant::kCommittedIsDurable,
                  "{} has committed {}/{} up to {}, and the tables have it up to {}", group,
                  partition.topic, partition.partition.value(), next.value(), position.value_or(0));
}

void Checks::check_judged(std::int32_t partition, std::int64_t next) {
  std::int64_t& below = judged_below_[partition];
  for (; below < next; ++below) {
    const RawLog::Record* const record = raw_.at(partition, below);
    if (record == nullptr || verdicts_.has_verdict(*record)) continue;
    world_.violated(Invariant::kCommittedIsDurable,
                    "telemetry.raw/{} is committed up to {}, and the message at {} has no verdict",
                    partition, next, below);
  }
}

// --- I6, beside what RawLog and Verdicts look at

void Checks::on_trespass(std::uint32_t device, std::string_view what) {
  world_.violated(Invariant::kIsolated, "{} {}", traffic_.key(device), what);
}

void Checks::on_command(std::uint32_t device, std::string_view topic, std::string_view payload) {
  const bool is_own = topic.starts_with(traffic_.topic(device, "commands/"));
  if (is_own && payload == "to " + traffic_.key(device)) return;
  world_.violated(Invariant::kIsolated, "{} is handed '{}' on {}", traffic_.key(device), payload,
                  topic);
}

// --- I7

void Checks::on_in_flight(std::string_view producer, std::size_t records, std::size_t most) {
  on_length(producer, records, most);
}

void Checks::on_length(std::string_view queue, std::size_t count, std::size_t most) {
  auto known = longest_.find(queue);
  if (known == longest_.end()) known = longest_.emplace(queue, 0).first;
  if (count <= known->second) return;
  known->second = count;
  if (count > most) {
    world_.violated(Invariant::kBounded, "{} holds {}, at most {} are allowed", queue, count, most);
  }
}

// --- The end

void Checks::finish() {
  check_all_accounted_for();
  check_tables();
}

void Checks::check_all_accounted_for() {
  for (std::size_t partition = 0; partition < raw_.partitions().size(); ++partition) {
    const auto committed = cluster_.committed(
        ValidatorProcess::kGroup,
        {std::string(kRaw), kafka::Partition(static_cast<std::int32_t>(partition))});
    const std::int64_t read = committed ? committed->value() : 0;
    for (const RawLog::Record& record : raw_.partitions()[partition]) {
      if (record.offset >= read || verdicts_.has_verdict(record)) continue;
      world_.violated(Invariant::kAccountedFor,
                      "message {} of {} is neither valid nor rejected nor still to be read",
                      record.said.sequence, traffic_.key(record.said.device));
    }
  }
  for (const Said& said : acknowledged_) {
    if (raw_.contains(said)) continue;
    world_.violated(Invariant::kAccountedFor, "message {} of {} was acknowledged and is nowhere",
                    said.sequence, traffic_.key(said.device));
  }
}

/// I3: however often records came again, the tables are those of a single reading.
void Checks::check_tables() {
  Content wanted;
  for (const auto& record : cluster_.records(kValid)) {
    const auto position = tables_.position(std::string(kValid), record.partition.value());
    if (record.offset.value() < position.value_or(0)) replay(record.value.value_or(""), wanted);
  }
  const std::string differences = difference(wanted, tables_.content());
  if (differences.empty()) return;
  world_.violated(Invariant::kIdempotent,
                  "the tables are not those of a single reading of telemetry.valid: {}",
                  differences);
}

}  // namespace sluice::simulation
