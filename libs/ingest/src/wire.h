#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <sluice/base/utf8.h>

// The wire format of Protocol Buffers, as far as our own messages need it. By hand, because the
// generated classes copy every text of every message.
namespace sluice::ingest::wire {

enum class Type : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

constexpr std::uint32_t tag(std::uint32_t field, Type type) {
  return field << 3 | static_cast<std::uint32_t>(type);
}

constexpr std::size_t varint_size(std::uint64_t value) {
  // Seven bits a byte; 0 takes one byte too.
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}
/// With its tag. proto3 leaves empty values out.
constexpr std::size_t bytes_size(std::uint32_t field, std::size_t size) {
  if (size == 0) return 0;
  return varint_size(tag(field, Type::kBytes)) + varint_size(size) + size;
}
constexpr std::size_t varint_field_size(std::uint32_t field, std::uint64_t value) {
  return varint_size(tag(field, Type::kVarint)) + varint_size(value);
}

inline char* put_varint(char* out, std::uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}
inline char* put_varint_field(char* out, std::uint32_t field, std::uint64_t value) {
  return put_varint(put_varint(out, tag(field, Type::kVarint)), value);
}
/// Copies without a call where the bytes are few, which names are: in two halves that overlap.
inline char* put_raw(char* out, std::string_view value) {
  const std::size_t size = value.size();
  const char* const from = value.data();
  if (size > 16) {
    std::memcpy(out, from, size);
  } else if (size >= 8) {
    std::memcpy(out, from, 8);
    std::memcpy(out + size - 8, from + size - 8, 8);
  } else if (size >= 4) {
    std::memcpy(out, from, 4);
    std::memcpy(out + size - 4, from + size - 4, 4);
  } else {
    for (std::size_t i = 0; i < size; ++i) out[i] = from[i];
  }
  return out + size;
}
inline char* put_bytes(char* out, std::uint32_t field, std::string_view value) {
  if (value.empty()) return out;
  return put_raw(put_varint(put_varint(out, tag(field, Type::kBytes)), value.size()), value);
}
inline char* put_double(char* out, std::uint32_t field, double value) {
  static_assert(std::endian::native == std::endian::little);
  out = put_varint(out, tag(field, Type::kFixed64));
  std::memcpy(out, &value, sizeof value);
  return out + sizeof value;
}

/// Whether it is valid UTF-8. Short texts of ASCII, which nearly all are, cost a few instructions.
inline bool is_text(std::string_view text) {
  constexpr std::uint64_t kHigh = 0x8080'8080'8080'8080U;
  if (text.size() >= 8 && text.size() <= 16) {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::memcpy(&first, text.data(), 8);
    std::memcpy(&last, text.data() + text.size() - 8, 8);
    if (((first | last) & kHigh) == 0) return true;
  }
  return is_valid_utf8(text);
}

/// One field as it was met: a number in `number`, bytes in `bytes`.
struct Field {
  std::uint32_t number = 0;
  Type type = Type::kVarint;
  std::uint64_t value = 0;   // kVarint, kFixed64, kFixed32
  std::string_view bytes{};  // kBytes
};

/// Goes over the fields of a message whose bytes nobody has checked.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  /// False at the end and where the bytes are no message; then is_broken() tells which.
  bool next(Field& field) {
    // Nearly all are texts whose tag and size take one byte each.
    if (end_ - at_ >= 2 && (at_[0] & 0x87) == static_cast<int>(Type::kBytes) && at_[0] > 7 &&
        at_[1] >= 0 && at_[1] <= end_ - at_ - 2) {
      field.number = static_cast<std::uint32_t>(at_[0]) >> 3U;
      field.type = Type::kBytes;
      field.bytes = {at_ + 2, static_cast<std::size_t>(at_[1])};
      at_ += 2 + at_[1];
      return true;
    }
    return next_of_any_kind(field);
  }
  bool is_broken() const { return is_broken_; }
  const char* at() const { return at_; }

 private:
  bool next_of_any_kind(Field& field);
  bool read_varint(std::uint64_t& value);
  bool read_fixed(std::size_t size, std::uint64_t& value);
  bool broken() {
    is_broken_ = true;
    return false;
  }

  const char* at_;
  const char* end_;
  bool is_broken_ = false;
};

}  // namespace sluice::ingest::wire
