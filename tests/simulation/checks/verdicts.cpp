#include "checks/verdicts.h"

#include <format>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/ingest/valid_message.h>
#include <sluice/telemetry/v1/rejected_message.pb.h>

namespace sluice::simulation {
namespace {

/// What a copy must say again. Remarks such as "maybe a copy" may differ.
std::string content_of(const ingest::ValidMessageView& message) {
  std::string content = std::format("at {}:", message.fields().event_time_ms);
  for (const ingest::ValidReading& reading : message.readings()) {
    content +=
        std::format(" {}={}/{}/{}", reading.metric, reading.number, reading.integer, reading.text);
  }
  return content;
}

}  // namespace

void Verdicts::add_valid(const Appended& record) {
  const auto message = ingest::read_valid_message(record.value);
  if (!message) {
    return world_.violated(Invariant::kAccountedFor, "valid/{}@{} is no message",
                           record.partition.value(), record.offset.value());
  }
  const RawLog::Record* const source = source_of(message->fields().message_id, record);
  if (source == nullptr) return;
  judge(*source, true, record);
  const auto& fields = message->fields();
  if (std::string(fields.tenant) + "/" + std::string(fields.device) != record.key) {
    world_.violated(Invariant::kIsolated, "valid/{}@{} has the key {} and is of another",
                    record.partition.value(), record.offset.value(), record.key);
  }
  std::string content = content_of(*message);
  auto& parts = verdicts_[source->message_id].parts;
  const auto [known, is_new] = parts.try_emplace(fields.part, content);
  if (!is_new && known->second != content) {
    world_.violated(Invariant::kIdempotent, "message {} of {} said '{}', and judged again '{}'",
                    source->said.sequence, record.key, known->second, content);
  }
  check_order(*source, record);
}

void Verdicts::check_order(const RawLog::Record& source, const Appended& record) {
  // Of several copies any may be the one that is found valid: the place of the first counts.
  if (!valid_.insert(source.said).second || reported_lost_.contains(source.message_id)) return;
  const std::int64_t place = raw_.first_place(source.said);
  const auto [furthest, is_first] = furthest_.try_emplace(source.said.device, place);
  if (place < furthest->second) {
    world_.violated(Invariant::kOrdered, "valid: {}'s message at {} comes after the one at {}",
                    record.key, place, furthest->second);
  }
  furthest->second = std::max(furthest->second, place);
}

void Verdicts::add_rejected(const Appended& record) {
  telemetry::v1::RejectedMessage message;
  if (!message.ParseFromArray(record.value.data(), static_cast<int>(record.value.size()))) {
    return world_.violated(Invariant::kAccountedFor, "rejected/{}@{} is no message",
                           record.partition.value(), record.offset.value());
  }
  const RawLog::Record* const source = source_of(message.raw().message_id(), record);
  if (source == nullptr) return;
  judge(*source, false, record);
  if (message.raw().payload() != source->payload || message.reason().empty()) {
    world_.violated(Invariant::kAccountedFor,
                    "rejected: message {} of {} lost its bytes or its reason",
                    source->said.sequence, record.key);
  }
}

const RawLog::Record* Verdicts::source_of(std::string_view message_id, const Appended& record) {
  const RawLog::Record* const source = raw_.find(message_id);
  if (source == nullptr) {
    world_.violated(Invariant::kIsolated, "{}/{}@{} is of a message that nobody sent", record.topic,
                    record.partition.value(), record.offset.value());
  } else if (traffic_.key(source->said.device) != record.key) {
    world_.violated(Invariant::kIsolated, "{}/{}@{} has the key {} and is {}'s", record.topic,
                    record.partition.value(), record.offset.value(), record.key,
                    traffic_.key(source->said.device));
  }
  return source;
}

void Verdicts::judge(const RawLog::Record& source, bool is_valid, const Appended& record) {
  judged_.insert(source.said);
  const bool should_be_valid =
      traffic_.fleet().defect(source.said.device, source.said.sequence) == sim::Defect::kNone;
  const auto [known, is_new] = verdicts_.try_emplace(source.message_id, Verdict{is_valid});
  if (known->second.is_valid != is_valid) {
    world_.violated(Invariant::kAccountedFor, "message {} of {} is valid and rejected",
                    source.said.sequence, record.key);
  }
  if (is_valid != should_be_valid) {
    world_.violated(Invariant::kAccountedFor, "message {} of {} is {}", source.said.sequence,
                    record.key, is_valid ? "defective, and valid" : "sound, and rejected");
  }
}

void Verdicts::note_reported_lost(std::string_view topic, std::string_view value) {
  if (topic != "telemetry.valid") return;
  if (const auto message = ingest::read_valid_message(value)) {
    reported_lost_.emplace(message->fields().message_id);
  }
}

}  // namespace sluice::simulation
