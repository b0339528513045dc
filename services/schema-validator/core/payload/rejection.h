#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::validator {

/// Why a message was set aside. The names are a contract with operators: they group by them, alert
/// on them and write them into re-drives, so they are only added.
enum class RejectReason : std::uint8_t {
  kMalformedEnvelope,    // the record is no RawMessage, or lacks its identity
  kUnknownContentType,   // declared, and none that we read
  kUnsupportedEncoding,  // compressed in a way we do not read
  kDecompressionFailed,  // the compressed bytes are damaged
  kPayloadTooLarge,      // past PayloadLimits::max_bytes, or the ratio of a bomb
  kMalformedPayload,     // not what it says it is
  kPayloadTooDeep,       // past max_depth
  kPayloadTooComplex,    // past max_values or max_text, or becomes too much by its schema
  kUnknownShape,         // readable, and in none of the shapes
  kUnknownSchema,        // the device's class names a schema that does not exist
  kSchemaViolation,      // judged by its schema, and it breaks it
  kNonFiniteNumber,      // NaN or an infinity, where the policy refuses them
  kNumberOutOfRange,     // an integer beyond 64 bits, a double that is none
  kUnknownUnit,          // a unit that cannot be converted into the metric's
  kTooManyMetrics,       // more metrics than the class may have
  kOutlier,              // far from what this device usually says, where the policy quarantines
  kInternal,             // failed again and again, for a reason of ours: on_poison
};

/// snake_case, as it stands in telemetry.rejected and in metric labels.
std::string_view name_of(RejectReason reason);

/// What was wrong with a message, in words its sender can act on.
struct Rejection {
  RejectReason reason = RejectReason::kInternal;
  std::string detail{};
  std::string pointer{};  // RFC 6901; empty where the whole is faulty
};

}  // namespace sluice::validator
