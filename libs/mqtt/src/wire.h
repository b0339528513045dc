#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

// The data types of [MQTT5-1.5], read and written. Inside of the library alone.
namespace sluice::mqtt::wire {

/// Takes values off the front of bytes. Once something was missing or wrong every later read gives
/// nothing, so that a decoder checks ok() once at its end instead of after each field.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  std::span<const std::byte> rest() const { return rest_; }

  std::uint8_t u8();
  std::uint16_t u16();
  std::uint32_t u32();
  /// Variable Byte Integer; more than four bytes, or more bytes than needed, are malformed.
  std::uint32_t varint();
  /// Binary Data: two bytes of length, then that many.
  std::span<const std::byte> binary();
  /// UTF-8 Encoded String: well-formed, without U+0000, [MQTT5-1.5.4].
  std::string_view text();
  std::span<const std::byte> take(std::size_t count);
  void fail() {
    ok_ = false;
    rest_ = {};
  }

 private:
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

/// Identifiers of [MQTT5-2.2.2.2].
enum class Property : std::uint8_t {
  kPayloadFormatIndicator = 0x01,
  kMessageExpiryInterval = 0x02,
  kContentType = 0x03,
  kResponseTopic = 0x08,
  kCorrelationData = 0x09,
  kSubscriptionIdentifier = 0x0B,
  kSessionExpiryInterval = 0x11,
  kAssignedClientIdentifier = 0x12,
  kServerKeepAlive = 0x13,
  kAuthenticationMethod = 0x15,
  kAuthenticationData = 0x16,
  kRequestProblemInformation = 0x17,
  kWillDelayInterval = 0x18,
  kRequestResponseInformation = 0x19,
  kResponseInformation = 0x1A,
  kServerReference = 0x1C,
  kReasonString = 0x1F,
  kReceiveMaximum = 0x21,
  kTopicAliasMaximum = 0x22,
  kTopicAlias = 0x23,
  kMaximumQos = 0x24,
  kRetainAvailable = 0x25,
  kUserProperty = 0x26,
  kMaximumPacketSize = 0x27,
  kWildcardSubscriptionAvailable = 0x28,
  kSubscriptionIdentifierAvailable = 0x29,
  kSharedSubscriptionAvailable = 0x2A,
};

/// How a property's value is encoded.
enum class PropertyType : std::uint8_t { kNone, kByte, kU16, kU32, kVarint, kText, kBinary, kPair };
PropertyType type_of(std::uint8_t identifier);
/// Passes over the value of a property.
void skip_value(Reader& reader, PropertyType type);

constexpr std::size_t varint_size(std::uint32_t value) {
  return value < 128 ? 1 : value < 16'384 ? 2 : value < 2'097'152 ? 3 : 4;
}

/// Writes values to memory that was made large enough before.
class Writer {
 public:
  explicit Writer(std::span<std::byte> target)
      : next_(target.data()), end_(next_ + target.size()) {}

  void u8(std::uint8_t value);
  void u16(std::uint16_t value);
  void u32(std::uint32_t value);
  void varint(std::uint32_t value);
  void raw(std::span<const std::byte> bytes);
  void binary(std::span<const std::byte> bytes);
  void text(std::string_view text);
  void property(Property property) { u8(static_cast<std::uint8_t>(property)); }
  bool is_full() const { return next_ == end_; }

 private:
  std::byte* next_;
  std::byte* end_;
};

}  // namespace sluice::mqtt::wire
