#include "wire.h"

namespace sluice::ingest::wire {

bool Reader::read_varint(std::uint64_t& value) {
  if (at_ != end_ && static_cast<unsigned char>(*at_) < 0x80) {  // nearly all
    value = static_cast<unsigned char>(*at_++);
    return true;
  }
  value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (at_ == end_) return false;
    const auto byte = static_cast<unsigned char>(*at_++);
    // The tenth byte has one bit left to give; readers differ about more, so nobody may send it.
    if (shift == 63 && byte > 1) return false;
    value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool Reader::read_fixed(std::size_t size, std::uint64_t& value) {
  if (static_cast<std::size_t>(end_ - at_) < size) return false;
  value = 0;
  std::memcpy(&value, at_, size);
  at_ += size;
  return true;
}

bool Reader::next_of_any_kind(Field& field) {
  if (at_ == end_) return false;
  std::uint64_t tag = 0;
  if (!read_varint(tag) || tag > 0xFFFF'FFFFU || tag >> 3 == 0) return broken();
  field.number = static_cast<std::uint32_t>(tag >> 3);
  field.type = static_cast<Type>(tag & 7U);
  switch (field.type) {
    case Type::kVarint:
      return read_varint(field.value) || broken();
    case Type::kFixed64:
      return read_fixed(8, field.value) || broken();
    case Type::kFixed32:
      return read_fixed(4, field.value) || broken();
    case Type::kBytes: {
      std::uint64_t size = 0;
      if (!read_varint(size) || size > static_cast<std::uint64_t>(end_ - at_)) return broken();
      field.bytes = {at_, static_cast<std::size_t>(size)};
      at_ += size;
      return true;
    }
  }
  return broken();  // groups, which proto3 has not, and what is no type at all
}

}  // namespace sluice::ingest::wire
