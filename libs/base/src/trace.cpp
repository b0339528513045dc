#include <sluice/base/trace.h>

#include <algorithm>
#include <span>

#include <sluice/base/encoding.h>

namespace sluice {
namespace {

template <std::size_t Size>
std::string hex_of(const std::array<std::uint8_t, Size>& bytes) {
  return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});  // char views bytes
}

/// A non-zero id.
template <std::size_t Size>
bool read_id(std::string_view text, std::array<std::uint8_t, Size>& out) {
  const auto bytes = from_hex(text);
  if (!bytes) return false;
  std::ranges::transform(*bytes, out.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
  return std::ranges::any_of(out, [](std::uint8_t byte) { return byte != 0; });
}

}  // namespace

TraceContext TraceContext::start(Random& random) {
  TraceContext trace;
  random.fill(std::as_writable_bytes(std::span(trace.trace_id)));
  random.fill(std::as_writable_bytes(std::span(trace.span_id)));
  return trace;
}

std::optional<TraceContext> TraceContext::parse(std::string_view header) {
  // "00-" trace id (32) "-" span id (16) "-" flags (2)
  if (header.size() != 55 || !header.starts_with("00-") || header[35] != '-' || header[52] != '-') {
    return std::nullopt;
  }
  // The specification has hex in lower case alone.
  if (std::ranges::any_of(header, [](char c) { return c >= 'A' && c <= 'F'; })) return std::nullopt;
  TraceContext trace;
  const auto flags = from_hex(header.substr(53));
  if (!read_id(header.substr(3, 32), trace.trace_id) ||
      !read_id(header.substr(36, 16), trace.span_id) || !flags) {
    return std::nullopt;
  }
  trace.sampled = (static_cast<unsigned char>(flags->front()) & 1U) != 0;
  return trace;
}

TraceContext TraceContext::child(Random& random) const {
  TraceContext trace = *this;
  random.fill(std::as_writable_bytes(std::span(trace.span_id)));
  return trace;
}

std::string TraceContext::traceparent() const {
  return "00-" + trace_id_hex() + "-" + hex_of(span_id) + (sampled ? "-01" : "-00");
}

std::string TraceContext::trace_id_hex() const { return hex_of(trace_id); }

}  // namespace sluice
