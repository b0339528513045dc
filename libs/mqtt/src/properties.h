#pragma once

#include "wire.h"

#include <sluice/mqtt/decoder.h>

namespace sluice::mqtt {

/// All properties a packet may have, as they came: one decoder for every packet, which says which
/// of them it allows. Views into the packet.
struct PropertySet {
  std::optional<std::uint8_t> payload_format;
  std::optional<std::uint32_t> message_expiry;
  std::optional<std::uint32_t> session_expiry;
  std::optional<std::uint32_t> will_delay;
  std::optional<std::uint32_t> maximum_packet_size;
  std::optional<std::uint32_t> subscription_id;  // of a SUBSCRIBE, which has one
  std::optional<std::uint16_t> server_keep_alive;
  std::optional<std::uint16_t> receive_maximum;
  std::optional<std::uint16_t> topic_alias_maximum;
  std::optional<std::uint16_t> topic_alias;
  std::optional<std::uint8_t> request_problem_information;
  std::optional<std::uint8_t> request_response_information;
  std::optional<std::uint8_t> maximum_qos;
  std::optional<std::uint8_t> retain_available;
  std::optional<std::uint8_t> wildcard_available;
  std::optional<std::uint8_t> subscription_ids_available;
  std::optional<std::uint8_t> shared_available;
  std::optional<std::string_view> content_type;
  std::optional<std::string_view> response_topic;
  std::optional<std::string_view> assigned_client_id;
  std::optional<std::string_view> authentication_method;
  std::optional<std::string_view> response_information;
  std::optional<std::string_view> server_reference;
  std::optional<std::string_view> reason_string;
  std::optional<std::span<const std::byte>> correlation_data;
  std::optional<std::span<const std::byte>> authentication_data;
  SubscriptionIds subscription_ids;  // of a PUBLISH, which may have several
  UserProperties user;
};

/// Where a property may stand, [MQTT5-2.2.2.2].
enum class PropertyPlace : std::uint8_t {
  kConnect,
  kConnack,
  kPublish,
  kWill,
  kAck,  // PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK
  kSubscribe,
  kUnsubscribe,
  kDisconnect,
  kAuth,
};

/// Reads the property length and the properties. One that does not belong there, or comes twice, is
/// a protocol error; one that is cut off or ill-formed makes the reader fail.
Decoded<PropertySet> read_properties(wire::Reader& reader, PropertyPlace place);

}  // namespace sluice::mqtt
