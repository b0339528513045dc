#pragma once

#include "core/decode/decoder.h"
#include "core/decode/decompress.h"
#include "core/payload/json_decoder.h"
#include "core/payload/payload_sink.h"
#include "core/pipeline_metrics.h"
#include "core/record_judge.h"
#include "core/schema/extractor.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sluice/ingest/raw_message.h>
#include <sluice/ingest/valid_message.h>

namespace sluice::validator {

struct PipelineSettings {
  PayloadLimits limits{};
  std::size_t max_ratio = 200;     // of a compressed payload: see DecompressLimits
  std::size_t max_metrics = 1024;  // of a sample
  /// Largest record that the topics take. A sample that becomes a larger one cannot be kept as
  /// valid; a rejected message that does loses its payload, whose place in telemetry.raw it tells.
  std::size_t max_record = 1024 * 1024;

  /// Most bytes that the samples of one message may become together. Each repeats the envelope, the
  /// names and units of its metrics and its defaults, so that 80 KB of payload could become
  /// gigabytes. Sixteen times the payload leaves room for any sample that says something.
  std::size_t max_outputs() const {
    constexpr std::size_t kLeast = 16 * 1024 * 1024;
    return limits.max_bytes > kLeast / 16 ? 16 * limits.max_bytes : kLeast;
  }
};

/// One record from envelope to outputs: reads the envelope where it lies, chooses the schema,
/// undoes the compression, decodes and judges in one pass, asks the device's state about time,
/// replays and outliers, and writes what is to be sent. Nothing is allocated for an ordinary
/// message once it is warm. All or nothing: one bad sample rejects its message.
///
/// Events go the same way as telemetry: a class whose events differ from its telemetry has a schema
/// that allows both, or none.
///
/// Owned by one thread; `metrics` is shared and must outlive it.
class Pipeline final : public RecordJudge {
 public:
  Pipeline(const PipelineSettings& settings, PipelineMetrics& metrics);

  Outcome judge(const SourceRecord& record, PartitionState& state, const Catalogue& catalogue,
                Outputs& outputs) override;
  void reject(const SourceRecord& record, const Rejection& rejection, Outputs& outputs) override;

  /// For dry runs: what this schema alone would say of a record's payload, nothing remembered.
  /// nullopt: it would be taken. Detail and pointer are no longer than telemetry.rejected has them.
  std::optional<Rejection> try_schema(const ingest::RawMessageView& raw,
                                      const CompiledSchema& schema);

 private:
  std::optional<Rejection> read_envelope(const SourceRecord& record);
  std::optional<Rejection> extract(const CompiledSchema* schema);
  std::optional<Rejection> decode(const CompiledSchema* schema, std::span<const std::byte> payload);
  std::optional<Rejection> judge_stream(const SourceRecord& record, PartitionState& state);
  std::optional<Rejection> check_outputs() const;
  static void shorten(Rejection& rejection);
  std::optional<Rejection> write_valid(Outputs& outputs);
  void write_rejected(const SourceRecord& record, const Rejection& rejection, Outputs& outputs);
  void count(const Judgement& judgement);

  const PipelineSettings settings_;
  PipelineMetrics& metrics_;
  Decompressor decompressor_;
  JsonDecoder json_;
  Decoder decoder_;
  Extractor extractor_;
  Extracted extracted_;
  Judgement judgement_;
  std::string padded_;  // a payload that has no readable bytes behind it
  std::vector<ingest::ValidReading> readings_;

  // Of the record at hand.
  ingest::RawMessageView raw_{};
  const SchemaVersion* version_ = nullptr;
};

}  // namespace sluice::validator
