#pragma once

#include "core/decode/byte_reader.h"
#include "core/decode/protobuf_schema.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

/// How Protobuf writes one value, whatever message it stands in.
namespace sluice::validator {

/// How a field is written; 3 and 4 are groups, which are not read.
enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kDelimited = 2, kFixed32 = 5 };

inline WireType wire_type_of(ProtobufSchema::Type type) {
  using Type = ProtobufSchema::Type;
  switch (type) {
    case Type::kDouble:
    case Type::kFixed64:
    case Type::kSfixed64:
      return WireType::kFixed64;
    case Type::kFloat:
    case Type::kFixed32:
    case Type::kSfixed32:
      return WireType::kFixed32;
    case Type::kString:
    case Type::kBytes:
    case Type::kMessage:
      return WireType::kDelimited;
    default:
      return WireType::kVarint;
  }
}

/// The bytes of one field, as a number or as what its length says; false where they are not there.
inline bool take_wire(ByteReader& in, WireType wire, std::uint64_t& number,
                      std::span<const std::byte>& bytes) {
  std::uint32_t small = 0;
  switch (wire) {
    case WireType::kVarint:
      return in.take_varint(number);
    case WireType::kFixed64:
      return in.take_little_endian(number);
    case WireType::kFixed32:
      if (!in.take_little_endian(small)) return false;
      number = small;
      return true;
    case WireType::kDelimited:
      return in.take_varint(number) && in.take_bytes(number, bytes);
    default:
      return false;
  }
}

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Narrow types keep their low 32 bits, as Protobuf's own parsers do.
inline std::int64_t signed_of(ProtobufSchema::Type type, std::uint64_t number) {
  using Type = ProtobufSchema::Type;
  switch (type) {
    case Type::kInt32:
    case Type::kSfixed32:
      return static_cast<std::int32_t>(static_cast<std::uint32_t>(number));
    case Type::kSint32:
      return static_cast<std::int32_t>(from_zigzag(static_cast<std::uint32_t>(number)));
    case Type::kSint64:
      return from_zigzag(number);
    default:
      return static_cast<std::int64_t>(number);
  }
}

}  // namespace sluice::validator
