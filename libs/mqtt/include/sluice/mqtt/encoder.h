#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/mqtt/packet.h>
#include <sluice/mqtt/protocol.h>

namespace sluice::mqtt {

/// Where packets are written to, one behind the other; its memory is kept for the next.
using Output = std::vector<std::byte>;

// Each appends one packet. Fields that a version does not have are left out; a reason code of MQTT
// 5 is mapped to what the older version has (see connack_code()). What cannot be said at all, such
// as an AUTH to an MQTT 3 client, is a bug and aborts.

void encode(const Connect& packet, Output& out);
void encode(const Connack& packet, Version version, Output& out);
void encode(const Publish& packet, Version version, Output& out);
void encode(const Ack& packet, Version version, Output& out);
void encode(const Subscribe& packet, Version version, Output& out);
void encode(const Unsubscribe& packet, Version version, Output& out);
void encode(const FilterAck& packet, Version version, Output& out);
void encode(const Disconnect& packet, Version version, Output& out);
void encode_pingreq(Output& out);
void encode_pingresp(Output& out);

/// The size encode() would append: for the peer's Maximum Packet Size.
std::size_t encoded_size(const Publish& packet, Version version);

/// The return code of an MQTT 3 CONNACK that comes nearest to the reason, [MQTT-3.2.2-3] of 3.1.1.
std::uint8_t connack_code(ReasonCode reason);

/// User properties for sending, kept encoded. UserProperties are views, so the owner must outlive
/// them.
class UserPropertyList {
 public:
  void add(std::string_view name, std::string_view value);
  UserProperties view() const { return UserProperties(encoded_, count_); }

 private:
  std::vector<std::byte> encoded_;
  std::uint32_t count_ = 0;
};

/// Filters for sending.
class FilterListBuilder {
 public:
  /// `has_options`: for SUBSCRIBE; false for UNSUBSCRIBE.
  FilterListBuilder(bool has_options, Version version)
      : has_options_(has_options), version_(version) {}
  void add(const Subscription& subscription);
  FilterList view() const { return FilterList(encoded_, has_options_, version_, count_); }

 private:
  std::vector<std::byte> encoded_;
  bool has_options_;
  Version version_;
  std::uint32_t count_ = 0;
};

}  // namespace sluice::mqtt
