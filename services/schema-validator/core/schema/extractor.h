#pragma once

#include "core/payload/payload_sink.h"
#include "core/payload/rejection.h"
#include "core/payload/sample.h"
#include "core/schema/compiled_schema.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::validator {

/// What becomes of NaN and the infinities, which some formats can say.
enum class NonFinite : std::uint8_t { kReject, kDrop };

struct ExtractPolicy {
  NonFinite non_finite = NonFinite::kReject;
  std::size_t max_metrics = 1024;  // of one sample, undeclared ones among them
  std::size_t max_samples = 10'000;
  std::size_t max_name = 256;  // bytes of a metric's name
  /// Of a payload with the defaults that each of its samples is given: a few bytes of payload must
  /// not become gigabytes of readings.
  std::size_t max_readings = 100'000;
  /// Bytes of names and texts that do not stand in the payload as they are: put together of the
  /// names of objects, unescaped, or symbols of the schema that a payload tells by their number.
  std::size_t max_texts = 16 * 1024 * 1024;
  /// Of schemas that are not one-pass: rules applied to one sample, so that no payload can make
  /// its judging take longer than that.
  std::size_t max_steps = 1'000'000;
};

/// Judges a payload by a schema and takes its samples and readings out, both as it is read. Without
/// a schema every number, truth value and text is a reading.
///
/// Reused from message to message; nothing is allocated once it is warm, but by schemas that are
/// not one-pass. Owned by one thread.
class Extractor final : public PayloadSink {
 public:
  explicit Extractor(const ExtractPolicy& policy = {});
  ~Extractor() override;
  Extractor(const Extractor&) = delete;
  Extractor& operator=(const Extractor&) = delete;

  /// Begins a message; `into` is cleared. `schema` (null: none) and `into` outlive finish(). Texts
  /// that lie within `payload` are referred to, all others are copied into `into`.
  void begin(const CompiledSchema* schema, Extracted& into,
             std::span<const std::byte> payload = {});
  /// Reads the whole payload at once where it is JSON of a common shape that the schema has nothing
  /// against: then it is as though a decoder had told it. False: nothing was done. Behind `json`
  /// kPayloadPadding bytes are readable.
  bool take_flat_json(std::string_view json, const PayloadLimits& limits);
  /// The JSON pointer of the value that is being read: where a decoder met what it cannot read.
  std::string place() const;
  /// What is wrong with the message, if anything is; else `into` is complete.
  std::optional<Rejection> finish();

  bool on_null() override;
  bool on_bool(bool value) override;
  bool on_int64(std::int64_t value) override;
  bool on_uint64(std::uint64_t value) override;
  bool on_double(double value) override;
  bool on_string(std::string_view value) override;
  bool on_bytes(std::span<const std::byte> value) override;
  bool begin_object() override;
  bool on_key(std::string_view key) override;
  bool end_object() override;
  bool begin_array() override;
  bool end_array() override;

  struct Inside;  // for its own sources alone

 private:
  std::unique_ptr<Inside> inside_;
};

}  // namespace sluice::validator
