#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <sluice/base/result.h>

namespace sluice::validator {

/// What a payload says, value by value, whatever it was written in: the one door between decoders
/// and whatever judges them. A decoder calls it in the payload's order; views die with the call.
///
/// A call returns false when the sink has seen enough (it has a fault to tell, or a limit is
/// reached): the decoder returns at once and asks nothing of the sink any more. A decoder reports
/// what only it can know (truncated, nested too deep, a key that is no text) by its own error.
class PayloadSink {
 public:
  virtual ~PayloadSink() = default;

  virtual bool on_null() = 0;
  virtual bool on_bool(bool value) = 0;
  /// Every integer that fits is told as int64, however it was spelled; on_uint64 has only those
  /// above. Numbers with a fraction or an exponent are doubles, bit for bit as written.
  virtual bool on_int64(std::int64_t value) = 0;
  virtual bool on_uint64(std::uint64_t value) = 0;
  virtual bool on_double(double value) = 0;
  /// Valid UTF-8, checked by the decoder.
  virtual bool on_string(std::string_view value) = 0;
  virtual bool on_bytes(std::span<const std::byte> value) = 0;

  virtual bool begin_object() = 0;
  /// Followed by exactly one value. The sink finds keys that stand twice.
  virtual bool on_key(std::string_view key) = 0;
  virtual bool end_object() = 0;
  virtual bool begin_array() = 0;
  virtual bool end_array() = 0;
};

/// Bounds of one payload, the same for every format.
struct PayloadLimits {
  std::size_t max_bytes = 1024 * 1024;  // after decompression
  std::size_t max_depth = 32;
  std::size_t max_values = 100'000;  // scalars, objects and arrays of a payload
  std::size_t max_text = 64 * 1024;  // of one text, key or byte string
};

}  // namespace sluice::validator
