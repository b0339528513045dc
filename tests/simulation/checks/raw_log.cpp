#include "checks/raw_log.h"

#include <optional>
#include <utility>

#include <sluice/ingest/raw_message.h>

namespace sluice::simulation {

void RawLog::add(const Appended& record) {
  const auto partition = static_cast<std::size_t>(record.partition.value());
  if (partition >= partitions_.size()) partitions_.resize(partition + 1);
  Record& added = partitions_[partition].emplace_back();
  const auto raw = ingest::read_raw_message(record.value);
  const auto device = traffic_.find(record.key);
  if (!raw || !device || std::string(raw->tenant) + "/" + std::string(raw->device) != record.key) {
    return world_.violated(Invariant::kIsolated, "raw/{}@{} has the key {} and is of another",
                           record.partition.value(), record.offset.value(), record.key);
  }
  added.offset = record.offset.value();
  added.message_id = raw->message_id;
  added.payload = raw->payload;
  by_id_[added.message_id] = {partition, partitions_[partition].size() - 1};
  const auto said = traffic_.read_payload(*device, raw->payload);
  if (!said) {
    return world_.violated(Invariant::kIsolated, "raw/{}@{}: {} never said '{}'",
                           record.partition.value(), record.offset.value(), record.key,
                           raw->payload);
  }
  added.said = *said;
  check_order(*said, added.offset);
}

void RawLog::check_order(Said said, std::int64_t offset) {
  if (!first_.emplace(said, offset).second) return;  // a copy
  if (traffic_.fleet().qos(said.device, said.sequence) == mqtt::Qos::kAtMostOnce) return;
  if (reported_lost_.contains(said)) return;
  std::uint32_t& furthest = furthest_[said.device];
  if (said.sequence < furthest) {
    world_.violated(Invariant::kOrdered, "raw: {} of {} comes after {}", said.sequence,
                    traffic_.key(said.device), furthest);
  }
  furthest = std::max(furthest, said.sequence);
}

void RawLog::note_reported_lost(std::string_view key, std::string_view value) {
  const auto raw = ingest::read_raw_message(value);
  const auto device = traffic_.find(key);
  if (!raw || !device) return;
  if (const auto said = traffic_.read_payload(*device, raw->payload)) reported_lost_.insert(*said);
}

const RawLog::Record* RawLog::at(std::int32_t partition, std::int64_t offset) const {
  const auto number = static_cast<std::size_t>(partition);
  const auto place = static_cast<std::size_t>(offset);
  if (number >= partitions_.size() || place >= partitions_[number].size()) return nullptr;
  return &partitions_[number][place];
}

const RawLog::Record* RawLog::find(std::string_view message_id) const {
  const auto found = by_id_.find(message_id);
  if (found == by_id_.end()) return nullptr;
  return &partitions_[found->second.first][found->second.second];
}

}  // namespace sluice::simulation
