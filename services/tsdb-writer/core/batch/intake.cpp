#include "core/batch/intake.h"

#include <sluice/base/ids.h>

namespace sluice::tsdb {
namespace {

bool is_id(std::string_view text) { return check_id(text, "").has_value(); }
bool is_id_or_empty(std::string_view text) { return text.empty() || is_id(text); }

/// What PostgreSQL takes as a text, too: read_message() has checked the UTF-8.
bool is_label(std::string_view text, std::size_t max_bytes) {
  return text.size() <= max_bytes && !text.contains('\0');
}

bool is_text(series::ColumnType type) { return type >= series::ColumnType::kString; }

WallTime time_of(std::int64_t milliseconds) {
  return WallTime(std::chrono::milliseconds(milliseconds));
}

}  // namespace

Intake::Intake(const IntakeLimits& limits, DictionaryStore& store, Registry& registry)
    : limits_(limits), store_(store), refusals_(registry), dictionary_(limits.max_devices) {}

std::optional<Refusal> Intake::fault_of_message(WallTime now) const {
  if (!is_id(message_.tenant) || !is_id(message_.device) || !is_id_or_empty(message_.fleet) ||
      !is_id_or_empty(message_.device_type)) {
    return Refusal::kIdentity;
  }
  const std::int64_t oldest = (now - limits_.max_age).time_since_epoch().count();
  const std::int64_t newest = (now + limits_.max_ahead).time_since_epoch().count();
  if (message_.event_time_ms < oldest || message_.event_time_ms > newest) {
    return Refusal::kEventTime;
  }
  return std::nullopt;
}

std::optional<Refusal> Intake::fault_of_reading(const ReadingView& reading) const {
  if (!reading.has_value) return Refusal::kNoValue;
  if (reading.metric.empty() || !is_label(reading.metric, kMaxMetricNameBytes)) {
    return Refusal::kMetricName;
  }
  if (!is_label(reading.unit, kMaxUnitBytes)) return Refusal::kUnit;
  if (reading.text.size() > limits_.max_text_bytes) return Refusal::kTextTooLong;
  return std::nullopt;
}

void Intake::stage(const IntakeRecord& record, WallTime now) {
  staged_.push_back({.device = nullptr,
                     .event_time_ms = 0,
                     .received_at_ms = 0,
                     .offset = record.offset,
                     .span = record.span,
                     .sample_count = 0,
                     .remarks = 0});
  StagedMessage& staged = staged_.back();
  const auto refuse = [&](Refusal reason) { ++refused_[static_cast<std::size_t>(reason)]; };
  if (!read_message(record.bytes, message_)) return refuse(Refusal::kMalformed);
  if (const auto fault = fault_of_message(now)) return refuse(*fault);
  Dictionary::Device& device =
      dictionary_.device({message_.tenant, message_.device, message_.fleet, message_.device_type});
  staged.device = &device;
  staged.event_time_ms = message_.event_time_ms;
  staged.received_at_ms = message_.received_at_ms;
  staged.remarks = message_.remarks;
  for (const ReadingView& reading : message_.readings) {
    if (const auto fault = fault_of_reading(reading)) {
      refuse(*fault);
      continue;
    }
    samples_.push_back(
        {.metric = &dictionary_.metric(device, reading.metric, reading.type, reading.unit),
         .bits = is_text(reading.type) ? texts_.size() : reading.bits,
         .text_size = reading.text.size(),
         .type = reading.type,
         .remarks = reading.remarks});
    texts_ += reading.text;
    ++staged.sample_count;
  }
}

Result<> Intake::prepare(std::span<const IntakeRecord> records, WallTime now) {
  staged_.clear();
  samples_.clear();
  texts_.clear();
  refused_.assign(kRefusalCount, 0);
  dictionary_.trim();
  for (const IntakeRecord& record : records) stage(record, now);
  return dictionary_.resolve(store_);
}

GroupIndex Intake::group_of(Batch& batch, const StagedMessage& message) {
  Dictionary::Device& device = *message.device;
  const WallTime hour = event_hour_of(time_of(message.event_time_ms));
  if (device.batch_serial != batch.serial() || device.event_hour != hour ||
      device.span != message.span) {
    device.group = batch.group_of(device.key, hour, message.span);
    device.batch_serial = batch.serial();
    device.event_hour = hour;
    device.span = message.span;
  }
  return device.group;
}

void Intake::commit(Batch& batch) {
  std::size_t next = 0;
  for (const StagedMessage& message : staged_) {
    const std::size_t end = next + message.sample_count;
    bool has_samples = false;
    for (; next < end; ++next) {
      const StagedSample& staged = samples_[next];
      if (staged.metric->key == MetricKey()) {
        ++refused_[static_cast<std::size_t>(Refusal::kTooManyMetrics)];
        continue;
      }
      const auto keep_text = [&] {
        return batch.keep(std::string_view(texts_).substr(staged.bits, staged.text_size));
      };
      batch.add({.bits = is_text(staged.type) ? keep_text() : staged.bits,
                 .metric = staged.metric->key,
                 .type = staged.type,
                 .remarks = staged.remarks});
      has_samples = true;
    }
    if (has_samples) {
      batch.end_run(group_of(batch, message), message.event_time_ms, message.remarks);
    }
    batch.pass(message.span, Offset(message.offset.value() + 1),
               message.device == nullptr ? WallTime::max() : time_of(message.received_at_ms));
  }
  for (std::size_t reason = 0; reason < kRefusalCount; ++reason) {
    if (refused_[reason] != 0) refusals_.count(static_cast<Refusal>(reason), refused_[reason]);
  }
  staged_.clear();
  samples_.clear();
}

}  // namespace sluice::tsdb
