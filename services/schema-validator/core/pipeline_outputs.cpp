// What is sent of a judged message: its samples, or why it is set aside.
#include "core/pipeline.h"

#include <format>
#include <limits>

#include <sluice/base/planted_bug.h>
#include <sluice/base/utf8.h>
#include <sluice/telemetry/v1/rejected_message.pb.h>

namespace sluice::validator {
namespace {

constexpr std::size_t kMaxDetail = 1024;  // and of a pointer, which may have long keys
/// What a record has beside its value: key and Kafka's own framing, generously.
constexpr std::size_t kRecordOverhead = 1024;

ingest::ReadingType type_of(ValueType type) {
  switch (type) {
    case ValueType::kDouble:
      return ingest::ReadingType::kDouble;
    case ValueType::kInt64:
      return ingest::ReadingType::kInt64;
    case ValueType::kBool:
      return ingest::ReadingType::kBool;
    case ValueType::kString:
      return ingest::ReadingType::kString;
    case ValueType::kBytes:
      return ingest::ReadingType::kBytes;
  }
  return ingest::ReadingType::kNone;
}

/// Texts of a Protobuf message must be UTF-8; a broken envelope may hold anything.
std::string text_of(std::string_view text) { return replace_invalid_utf8(text); }

}  // namespace

/// Before any byte is written and anything is remembered of the message.
std::optional<Rejection> Pipeline::check_outputs() const {
  constexpr std::size_t kSampleFraming = 128;  // tags, lengths, times, version
  constexpr std::size_t kReadingFraming = 24;  // tags, lengths, a number
  std::size_t envelope = kSampleFraming;
  for (const std::string_view text :
       {raw_.message_id, raw_.tenant, raw_.device, raw_.fleet, raw_.device_type, raw_.region,
        raw_.stream, raw_.schema_id, raw_.traceparent}) {
    envelope += text.size();
  }
  std::size_t bytes = extracted_.samples.size() * envelope;
  for (const Reading& reading : extracted_.readings) {
    bytes += kReadingFraming + reading.metric.size() + reading.unit.size() + reading.text.size();
  }
  if (bytes <= settings_.max_outputs() || SLUICE_PLANTED_BUG("validator_bounds_no_defaults")) {
    return std::nullopt;
  }
  return Rejection{.reason = RejectReason::kPayloadTooComplex,
                   .detail = std::format("its samples become {} bytes, more than {}: each repeats "
                                         "names, units and defaults",
                                         bytes, settings_.max_outputs()),
                   .pointer = {}};
}

void Pipeline::shorten(Rejection& rejection) {
  for (std::string* const text : {&rejection.detail, &rejection.pointer}) {
    *text = text_of(std::string_view(*text).substr(0, kMaxDetail));
  }
}

std::optional<Rejection> Pipeline::write_valid(Outputs& outputs) {
  ingest::ValidFields fields{.message_id = raw_.message_id,
                             .tenant = raw_.tenant,
                             .device = raw_.device,
                             .fleet = raw_.fleet,
                             .device_type = raw_.device_type,
                             .region = raw_.region,
                             .channel = raw_.channel,
                             .stream = raw_.stream,
                             .protocol = raw_.protocol,
                             .schema_id = {},
                             .schema_version = {},
                             .received_at_ms = raw_.received_at_ms,
                             .device_time_ms = {},
                             .sequence = {},
                             .traceparent = raw_.traceparent};
  if (version_ != nullptr) {
    fields.schema_id = version_->id;
    fields.schema_version = version_->version_text;
  }
  std::uint64_t readings = 0;
  for (std::size_t i = 0; i < extracted_.samples.size(); ++i) {
    const SampleJudgement& judged = judgement_.samples[i];
    if (judged.is_replay) continue;
    const Sample& sample = extracted_.samples[i];
    fields.event_time_ms = judged.event_time_ms;
    fields.device_time_ms = judged.device_time_ms;
    fields.sequence = judged.sequence;
    fields.buffered = judged.buffered;
    fields.quality = judged.quality;
    fields.part = static_cast<std::uint32_t>(i);
    if ((judged.quality & kClockSkewed) != 0) metrics_.skewed.add();
    if ((judged.quality & kLate) != 0) metrics_.late.add();
    readings_.clear();
    for (const Reading& reading :
         std::span(extracted_.readings).subspan(sample.first_reading, sample.reading_count)) {
      readings_.push_back({.metric = reading.metric,
                           .unit = reading.unit,
                           .type = type_of(reading.type),
                           .quality = reading.quality,
                           .number = reading.number,
                           .integer = reading.integer,
                           .text = reading.text});
    }
    const std::size_t before = outputs.buffer().size();
    ingest::write_valid_message(fields, readings_, outputs.buffer());
    if (outputs.buffer().size() - before + kRecordOverhead > settings_.max_record) {
      return Rejection{.reason = RejectReason::kPayloadTooLarge,
                       .detail = "becomes a record that Kafka does not take",
                       .pointer = extracted_.samples.size() > 1 ? std::format("/{}", i) : ""};
    }
    outputs.end(Outputs::Kind::kValid);
    readings += readings_.size();
  }
  metrics_.samples.add(outputs.size());
  metrics_.readings.add(readings);
  return std::nullopt;
}

void Pipeline::write_rejected(const SourceRecord& record, const Rejection& rejection,
                              Outputs& outputs) {
  metrics_.rejected[static_cast<std::size_t>(rejection.reason)].add();
  telemetry::v1::RejectedMessage message;
  telemetry::v1::RawMessage& raw = *message.mutable_raw();
  const bool is_envelope =
      record.value.size() <= std::numeric_limits<int>::max() &&
      raw.ParseFromArray(record.value.data(), static_cast<int>(record.value.size()));
  if (!is_envelope) {
    // No message, but its bytes are kept all the same.
    raw.Clear();
    raw.set_payload(record.value.data(), record.value.size());
  }
  message.set_reason(std::string(name_of(rejection.reason)));
  message.set_detail(text_of(std::string_view(rejection.detail).substr(0, kMaxDetail)));
  message.set_pointer(text_of(std::string_view(rejection.pointer).substr(0, kMaxDetail)));
  if (version_ != nullptr) {
    message.set_schema_id(version_->id);
    message.set_schema_version(version_->version_text);
  } else if (is_envelope) {
    message.set_schema_id(raw.schema_id());
  }
  message.set_source_partition(record.partition);
  message.set_source_offset(record.offset);
  message.set_rejected_at_ms(record.now_ms);
  if (message.ByteSizeLong() + kRecordOverhead > settings_.max_record) {
    raw.clear_payload();
    message.set_detail(message.detail() +
                       " (too large to be repeated here: see its place in telemetry.raw)");
  }
  message.AppendToString(&outputs.buffer());
  outputs.end(Outputs::Kind::kRejected);
}

}  // namespace sluice::validator
