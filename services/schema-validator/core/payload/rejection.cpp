#include "core/payload/rejection.h"

namespace sluice::validator {

std::string_view name_of(RejectReason reason) {
  switch (reason) {
    case RejectReason::kMalformedEnvelope:
      return "malformed_envelope";
    case RejectReason::kUnknownContentType:
      return "unknown_content_type";
    case RejectReason::kUnsupportedEncoding:
      return "unsupported_encoding";
    case RejectReason::kDecompressionFailed:
      return "decompression_failed";
    case RejectReason::kPayloadTooLarge:
      return "payload_too_large";
    case RejectReason::kMalformedPayload:
      return "malformed_payload";
    case RejectReason::kPayloadTooDeep:
      return "payload_too_deep";
    case RejectReason::kPayloadTooComplex:
      return "payload_too_complex";
    case RejectReason::kUnknownShape:
      return "unknown_shape";
    case RejectReason::kUnknownSchema:
      return "unknown_schema";
    case RejectReason::kSchemaViolation:
      return "schema_violation";
    case RejectReason::kNonFiniteNumber:
      return "non_finite_number";
    case RejectReason::kNumberOutOfRange:
      return "number_out_of_range";
    case RejectReason::kUnknownUnit:
      return "unknown_unit";
    case RejectReason::kTooManyMetrics:
      return "too_many_metrics";
    case RejectReason::kOutlier:
      return "outlier";
    case RejectReason::kInternal:
      return "internal";
  }
  return "internal";
}

}  // namespace sluice::validator
