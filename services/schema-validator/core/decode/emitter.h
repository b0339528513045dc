#pragma once

#include "core/payload/payload_sink.h"
#include "core/payload/rejection.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::validator {

/// What every decoder tells its values through: it counts them, checks texts and depth, and passes
/// on what is within the bounds. A call that returns false ends the decoding: either there is a
/// rejection(), or the sink wanted no more.
class Emitter {
 public:
  /// Decoders go down one call per level, so that no setting may ask for more stack than this.
  static constexpr std::size_t kMaxDepth = 256;

  Emitter(PayloadSink& sink, const PayloadLimits& limits);

  bool on_null() { return count() && sink_.on_null(); }
  bool on_bool(bool value) { return count() && sink_.on_bool(value); }
  bool on_int64(std::int64_t value) { return count() && sink_.on_int64(value); }
  bool on_uint64(std::uint64_t value) {
    if (value <= static_cast<std::uint64_t>(INT64_MAX)) {
      return on_int64(static_cast<std::int64_t>(value));
    }
    return count() && sink_.on_uint64(value);
  }
  bool on_double(double value) { return count() && sink_.on_double(value); }
  bool on_string(std::string_view value) {
    return count() && check_text(value) && sink_.on_string(value);
  }
  bool on_bytes(std::span<const std::byte> value) {
    return count() && check_size(value.size()) && sink_.on_bytes(value);
  }
  bool on_key(std::string_view key) { return check_text(key) && sink_.on_key(key); }
  bool begin_object() { return count() && deeper() && sink_.begin_object(); }
  bool begin_array() { return count() && deeper() && sink_.begin_array(); }
  bool end_object() {
    --depth_;
    return sink_.end_object();
  }
  bool end_array() {
    --depth_;
    return sink_.end_array();
  }
  /// A number of seconds since the epoch, an integer where there is no fraction.
  bool on_time(std::int64_t seconds, std::uint32_t nanoseconds);

  /// Whether `count` values more are within the bounds: asked before a declared count is believed.
  bool has_room_for(std::uint64_t count) const { return count <= limits_.max_values - values_; }
  std::size_t max_text() const { return limits_.max_text; }

  /// Both return false, for `return emitter.refuse(…)`. The first rejection stands.
  bool refuse(RejectReason reason, std::string detail);
  bool too_complex();
  bool text_too_long();

  std::optional<Rejection>& rejection() { return rejection_; }

 private:
  bool count() { return values_ < limits_.max_values ? (++values_, true) : too_complex(); }
  bool deeper() { return depth_ < limits_.max_depth ? (++depth_, true) : too_deep(); }
  bool check_size(std::size_t size) { return size <= limits_.max_text || text_too_long(); }
  bool check_text(std::string_view text);
  bool too_deep();

  PayloadSink& sink_;
  PayloadLimits limits_;
  std::size_t values_ = 0;
  std::size_t depth_ = 0;
  std::optional<Rejection> rejection_{};
};

}  // namespace sluice::validator
