#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

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
inline char* put_bytes(char* out, std::uint32_t field, std::string_view value) {
  if (value.empty()) return out;
  out = put_varint(put_varint(out, tag(field, Type::kBytes)), value.size());
  std::memcpy(out, value.data(), value.size());
  return out + value.size();
}
inline char* put_double(char* out, std::uint32_t field, double value) {
  static_assert(std::endian::native == std::endian::little);
  out = put_varint(out, tag(field, Type::kFixed64));
  std::memcpy(out, &value, sizeof value);
  return out + sizeof value;
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
  bool next(Field& field);
  bool is_broken() const { return is_broken_; }
  const char* at() const { return at_; }

 private:
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
