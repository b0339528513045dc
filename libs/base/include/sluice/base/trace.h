#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/base/random.h>

namespace sluice {

/// W3C trace context: which request, message or job a piece of work belongs to. Travels as the
/// `traceparent` header over HTTP, gRPC and Kafka, and as `trace_id` in log lines and problems.
struct TraceContext {
  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};
  bool sampled = false;

  /// A new trace of our own.
  static TraceContext start(Random& random);
  /// The sender's trace with a span of ours; nullopt when `header` is not a valid version-00 value
  /// (callers then start a new one: a malformed header is dropped, never believed).
  static std::optional<TraceContext> parse(std::string_view header);

  TraceContext child(Random& random) const;
  std::string traceparent() const;
  std::string trace_id_hex() const;

  bool operator==(const TraceContext&) const = default;
};

}  // namespace sluice
