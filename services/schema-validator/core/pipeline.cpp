#include "core/pipeline.h"

#include <algorithm>
#include <cstring>
#include <format>

#include <sluice/base/planted_bug.h>

namespace sluice::validator {
namespace {

constexpr std::size_t kMessageIdSize = 16;
/// So few readings, of no more samples therefore, are held to the size of a record alone: what they
/// become together is not worth its counting.
constexpr std::size_t kFewReadings = 64;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

bool is_missing_identity(const ingest::RawMessageView& raw) {
  return raw.message_id.size() != kMessageIdSize || raw.tenant.empty() || raw.device.empty() ||
         raw.received_at_ms <= 0;
}

}  // namespace

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kValid:
      return "valid";
    case Outcome::kRejected:
      return "rejected";
    case Outcome::kReplay:
      return "replay";
    case Outcome::kReprocessed:
      return "reprocessed";
  }
  return "unknown";
}

Pipeline::Pipeline(const PipelineSettings& settings, PipelineMetrics& metrics)
    : settings_(settings),
      metrics_(metrics),
      extractor_({.max_metrics = settings.max_metrics,
                  .max_readings = settings.limits.max_values,
                  .max_texts = settings.max_outputs()}) {}

Outcome Pipeline::judge(const SourceRecord& record, PartitionState& state,
                        const Catalogue& catalogue, Outputs& outputs) {
  version_ = nullptr;
  raw_ = {};
  if (state.was_judged(record.key, record.offset, record.timestamp_ms)) {
    return Outcome::kReprocessed;
  }
  auto rejection = read_envelope(record);
  if (!rejection && !raw_.schema_id.empty()) {
    version_ = catalogue.find(raw_.tenant, raw_.schema_id);
    if (version_ == nullptr || !version_->compiled) {
      rejection = Rejection{.reason = RejectReason::kUnknownSchema,
                            .detail = std::format("there is no schema \"{}\"", raw_.schema_id),
                            .pointer = {}};
    }
  }
  if (!rejection) {
    if (version_ == nullptr) metrics_.schemaless.add();
    rejection = extract(version_ == nullptr ? nullptr : version_->compiled.get());
  }
  if (!rejection) rejection = judge_stream(record, state);
  if (!rejection) {
    rejection = write_valid(outputs);
    if (rejection) outputs.clear();
  }
  if (rejection) {
    if (!SLUICE_PLANTED_BUG("validator_drops_rejected")) {
      write_rejected(record, *rejection, outputs);
    }
    return Outcome::kRejected;
  }
  return outputs.size() > 0 ? Outcome::kValid : Outcome::kReplay;
}

void Pipeline::reject(const SourceRecord& record, const Rejection& rejection, Outputs& outputs) {
  version_ = nullptr;
  raw_ = {};
  static_cast<void>(read_envelope(record));
  write_rejected(record, rejection, outputs);
}

std::optional<Rejection> Pipeline::try_schema(const ingest::RawMessageView& raw,
                                              const CompiledSchema& schema) {
  raw_ = raw;
  version_ = nullptr;
  auto rejection = extract(&schema);
  if (rejection) shorten(*rejection);
  return rejection;
}

std::optional<Rejection> Pipeline::read_envelope(const SourceRecord& record) {
  const auto bad = [](std::string detail) {
    return Rejection{
        .reason = RejectReason::kMalformedEnvelope, .detail = std::move(detail), .pointer = {}};
  };
  auto raw = ingest::read_raw_message(record.value);
  if (!raw) return bad(raw.error().message());
  raw_ = *raw;
  if (is_missing_identity(raw_))
    return bad("message_id, tenant, device or received_at_ms is missing");
  // States and order are kept by the key: a record of another device's key would mix them up.
  const std::string_view key = record.key;
  if (key.size() != raw_.tenant.size() + 1 + raw_.device.size() || !key.starts_with(raw_.tenant) ||
      key[raw_.tenant.size()] != '/' || !key.ends_with(raw_.device)) {
    return bad("the record's key is not tenant/device");
  }
  if (!raw_.redrive_id.empty()) metrics_.redriven.add();
  return std::nullopt;
}

std::optional<Rejection> Pipeline::extract(const CompiledSchema* schema) {
  std::span<const std::byte> payload = bytes_of(raw_.payload);
  if (!raw_.content_encoding.empty()) {
    auto plain = decompressor_.decompress(
        raw_.content_encoding, payload,
        {.max_bytes = settings_.limits.max_bytes, .max_ratio = settings_.max_ratio});
    if (!plain) return std::move(plain).error();
    return decode(schema, *plain);
  }
  if (payload.size() > settings_.limits.max_bytes) {
    return Rejection{
        .reason = RejectReason::kPayloadTooLarge,
        .detail = std::format("{} bytes, more than {}", payload.size(), settings_.limits.max_bytes),
        .pointer = {}};
  }
  // Readers look ahead in blocks, and behind a payload may be the end of what Kafka handed out.
  const std::size_t wanted = payload.size() + kPayloadPadding;
  if (padded_.size() < wanted) padded_.resize(std::max(wanted, 2 * padded_.size()));
  std::memcpy(padded_.data(), payload.data(), payload.size());
  std::memset(padded_.data() + payload.size(), 0, kPayloadPadding);
  return decode(schema, bytes_of(std::string_view(padded_.data(), payload.size())));
}

std::optional<Rejection> Pipeline::decode(const CompiledSchema* schema,
                                          std::span<const std::byte> payload) {
  std::optional<Format> schema_format;
  if (schema != nullptr && schema->avro() != nullptr) schema_format = Format::kAvro;
  if (schema != nullptr && schema->protobuf() != nullptr) schema_format = Format::kProtobuf;
  auto format = choose_format(raw_.content_type, payload, schema_format);
  if (!format) return std::move(format).error();
  metrics_.formats[static_cast<std::size_t>(*format)].add();
  extractor_.begin(schema, extracted_, payload);
  std::optional<Rejection> rejection;
  if (*format == Format::kJson) {
    rejection = json_.decode(payload, settings_.limits, extractor_);
  } else {
    rejection = decoder_.decode(*format, payload,
                                {.limits = settings_.limits,
                                 .received_at_ms = raw_.received_at_ms,
                                 .avro = schema == nullptr ? nullptr : schema->avro(),
                                 .protobuf = schema == nullptr ? nullptr : schema->protobuf()},
                                extractor_);
  }
  if (rejection) {
    if (rejection->pointer.empty()) rejection->pointer = extractor_.place();
    return rejection;
  }
  rejection = extractor_.finish();
  if (!rejection && extracted_.readings.size() > kFewReadings) rejection = check_outputs();
  return rejection;
}

std::optional<Rejection> Pipeline::judge_stream(const SourceRecord& record, PartitionState& state) {
  const MessageContext context{
      .device_key = record.key,
      .received_at_ms = raw_.received_at_ms,
      .sequence = raw_.sequence,
      .buffered = raw_.buffered,
      .is_redrive = !raw_.redrive_id.empty(),
      .outliers = version_ == nullptr ? nullptr : version_->outliers.get()};
  state.devices().judge(context, extracted_, judgement_);
  count(judgement_);
  return judgement_.rejection;
}

void Pipeline::count(const Judgement& judgement) {
  for (std::size_t kind = 0; kind < kOutlierKinds; ++kind) {
    if (judgement.outliers[kind] > 0) metrics_.outliers[kind].add(judgement.outliers[kind]);
  }
  if (judgement.replays > 0) metrics_.replays.add(judgement.replays);
  if (judgement.maybe_duplicates > 0) metrics_.maybe_duplicates.add(judgement.maybe_duplicates);
  if (judgement.unjudged_readings > 0) {
    metrics_.unjudged_readings.add(judgement.unjudged_readings);
  }
}

}  // namespace sluice::validator
