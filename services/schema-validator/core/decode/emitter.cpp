#include "core/decode/emitter.h"

#include <format>

#include <sluice/base/utf8.h>

namespace sluice::validator {

Emitter::Emitter(PayloadSink& sink, const PayloadLimits& limits) : sink_(sink), limits_(limits) {
  limits_.max_depth = std::min(limits_.max_depth, kMaxDepth);
}

bool Emitter::refuse(RejectReason reason, std::string detail) {
  if (!rejection_) rejection_ = Rejection{.reason = reason, .detail = std::move(detail)};
  return false;
}

bool Emitter::too_complex() {
  return refuse(RejectReason::kPayloadTooComplex,
                std::format("more than {} values (max_values)", limits_.max_values));
}

bool Emitter::too_deep() {
  return refuse(RejectReason::kPayloadTooDeep,
                std::format("nested deeper than {} levels (max_depth)", limits_.max_depth));
}

bool Emitter::text_too_long() {
  return refuse(RejectReason::kPayloadTooComplex,
                std::format("a text of more than {} bytes (max_text)", limits_.max_text));
}

bool Emitter::check_text(std::string_view text) {
  if (!check_size(text.size())) return false;
  // Most keys and texts are plain ASCII, which one look at each byte's highest bit tells.
  unsigned char bits = 0;
  for (const char c : text) bits |= static_cast<unsigned char>(c);
  if (bits < 0x80 || is_valid_utf8(text)) return true;
  return refuse(RejectReason::kMalformedPayload, "a text is not valid UTF-8");
}

bool Emitter::on_time(std::int64_t seconds, std::uint32_t nanoseconds) {
  if (nanoseconds == 0) return on_int64(seconds);
  return on_double(static_cast<double>(seconds) + static_cast<double>(nanoseconds) * 1e-9);
}

}  // namespace sluice::validator
