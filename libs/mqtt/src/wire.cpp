#include "wire.h"

#include <array>
#include <cstring>

#include <sluice/base/check.h>
#include <sluice/base/utf8.h>

namespace sluice::mqtt::wire {

std::span<const std::byte> Reader::take(std::size_t count) {
  if (count > rest_.size()) {
    fail();
    return {};
  }
  const auto taken = rest_.first(count);
  rest_ = rest_.subspan(count);
  return taken;
}

std::uint8_t Reader::u8() {
  const auto bytes = take(1);
  return bytes.empty() ? std::uint8_t{0} : std::to_integer<std::uint8_t>(bytes[0]);
}

std::uint16_t Reader::u16() {
  const auto bytes = take(2);
  if (bytes.empty()) return 0;
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[0]) << 8 |
                                    std::to_integer<unsigned>(bytes[1]));
}

std::uint32_t Reader::u32() {
  const std::uint32_t high = u16();
  return high << 16 | u16();
}

std::uint32_t Reader::varint() {
  std::uint32_t value = 0;
  for (unsigned shift = 0; shift < 28; shift += 7) {
    const std::uint32_t byte = u8();
    value |= (byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) {
      if (byte == 0 && shift > 0) fail();  // the same number fits into fewer bytes
      return ok_ ? value : 0;
    }
  }
  fail();
  return 0;
}

std::span<const std::byte> Reader::binary() { return take(u16()); }

std::string_view Reader::text() {
  const auto bytes = binary();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.find('\0') != std::string_view::npos || !is_valid_utf8(text)) {
    fail();
    return {};
  }
  return text;
}

PropertyType type_of(std::uint8_t identifier) {
  switch (static_cast<Property>(identifier)) {
    case Property::kPayloadFormatIndicator:
    case Property::kRequestProblemInformation:
    case Property::kRequestResponseInformation:
    case Property::kMaximumQos:
    case Property::kRetainAvailable:
    case Property::kWildcardSubscriptionAvailable:
    case Property::kSubscriptionIdentifierAvailable:
    case Property::kSharedSubscriptionAvailable:
      return PropertyType::kByte;
    case Property::kServerKeepAlive:
    case Property::kReceiveMaximum:
    case Property::kTopicAliasMaximum:
    case Property::kTopicAlias:
      return PropertyType::kU16;
    case Property::kMessageExpiryInterval:
    case Property::kSessionExpiryInterval:
    case Property::kWillDelayInterval:
    case Property::kMaximumPacketSize:
      return PropertyType::kU32;
    case Property::kSubscriptionIdentifier:
      return PropertyType::kVarint;
    case Property::kContentType:
    case Property::kResponseTopic:
    case Property::kAssignedClientIdentifier:
    case Property::kAuthenticationMethod:
    case Property::kResponseInformation:
    case Property::kServerReference:
    case Property::kReasonString:
      return PropertyType::kText;
    case Property::kCorrelationData:
    case Property::kAuthenticationData:
      return PropertyType::kBinary;
    case Property::kUserProperty:
      return PropertyType::kPair;
  }
  return PropertyType::kNone;
}

void skip_value(Reader& reader, PropertyType type) {
  switch (type) {
    case PropertyType::kNone:
      reader.fail();
      return;
    case PropertyType::kByte:
      reader.u8();
      return;
    case PropertyType::kU16:
      reader.u16();
      return;
    case PropertyType::kU32:
      reader.u32();
      return;
    case PropertyType::kVarint:
      reader.varint();
      return;
    case PropertyType::kText:
      reader.text();
      return;
    case PropertyType::kBinary:
      reader.binary();
      return;
    case PropertyType::kPair:
      reader.text();
      reader.text();
      return;
  }
}

void Writer::u8(std::uint8_t value) {
  SLUICE_CHECK(next_ < end_);
  *next_++ = std::byte{value};
}

void Writer::u16(std::uint16_t value) {
  u8(static_cast<std::uint8_t>(value >> 8));
  u8(static_cast<std::uint8_t>(value & 0xFF));
}

void Writer::u32(std::uint32_t value) {
  u16(static_cast<std::uint16_t>(value >> 16));
  u16(static_cast<std::uint16_t>(value & 0xFFFF));
}

void Writer::varint(std::uint32_t value) {
  while (value >= 128) {
    u8(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  u8(static_cast<std::uint8_t>(value));
}

void Writer::raw(std::span<const std::byte> bytes) {
  SLUICE_CHECK(bytes.size() <= static_cast<std::size_t>(end_ - next_));
  if (bytes.empty()) return;
  std::memcpy(next_, bytes.data(), bytes.size());
  next_ += bytes.size();
}

void Writer::binary(std::span<const std::byte> bytes) {
  SLUICE_CHECK(bytes.size() <= 65'535);
  u16(static_cast<std::uint16_t>(bytes.size()));
  raw(bytes);
}

void Writer::text(std::string_view text) { binary(std::as_bytes(std::span(text))); }

}  // namespace sluice::mqtt::wire
