#include "properties.h"

#include <array>

namespace sluice::mqtt {

namespace {

using wire::Property;
using wire::Reader;

constexpr std::uint16_t bit(PropertyPlace place) {
  return static_cast<std::uint16_t>(1U << static_cast<unsigned>(place));
}

/// The places a property is allowed in, as bits; 0 for what is no property.
std::uint16_t places_of(Property property) {
  constexpr auto kConnect = bit(PropertyPlace::kConnect);
  constexpr auto kConnack = bit(PropertyPlace::kConnack);
  constexpr auto kPublish = bit(PropertyPlace::kPublish);
  constexpr auto kWill = bit(PropertyPlace::kWill);
  constexpr auto kAck = bit(PropertyPlace::kAck);
  constexpr auto kSubscribe = bit(PropertyPlace::kSubscribe);
  constexpr auto kDisconnect = bit(PropertyPlace::kDisconnect);
  constexpr auto kAuth = bit(PropertyPlace::kAuth);
  switch (property) {
    case Property::kPayloadFormatIndicator:
    case Property::kMessageExpiryInterval:
    case Property::kContentType:
    case Property::kResponseTopic:
    case Property::kCorrelationData:
      return kPublish | kWill;
    case Property::kTopicAlias:
      return kPublish;
    case Property::kSubscriptionIdentifier:
      return kPublish | kSubscribe;
    case Property::kSessionExpiryInterval:
      return kConnect | kConnack | kDisconnect;
    case Property::kAuthenticationMethod:
    case Property::kAuthenticationData:
      return kConnect | kConnack | kAuth;
    case Property::kRequestProblemInformation:
    case Property::kRequestResponseInformation:
      return kConnect;
    case Property::kWillDelayInterval:
      return kWill;
    case Property::kReceiveMaximum:
    case Property::kTopicAliasMaximum:
    case Property::kMaximumPacketSize:
      return kConnect | kConnack;
    case Property::kAssignedClientIdentifier:
    case Property::kServerKeepAlive:
    case Property::kResponseInformation:
    case Property::kMaximumQos:
    case Property::kRetainAvailable:
    case Property::kWildcardSubscriptionAvailable:
    case Property::kSubscriptionIdentifierAvailable:
    case Property::kSharedSubscriptionAvailable:
      return kConnack;
    case Property::kServerReference:
      return kConnack | kDisconnect;
    case Property::kReasonString:
      return kConnack | kAck | kDisconnect | kAuth;
    case Property::kUserProperty:
      return 0xFFFF;
  }
  return 0;
}

DecodeError protocol_error(std::string_view what) {
  return {.reason = ReasonCode::kProtocolError, .what = what};
}

/// Whether the value was still free. A second one is a protocol error.
template <typename T, typename Value>
bool set_once(std::optional<T>& field, Value value) {
  const bool is_first = !field.has_value();
  field = value;
  return is_first;
}

bool read_value(Reader& in, Property property, PropertySet& set) {
  switch (property) {
    case Property::kPayloadFormatIndicator:
      return set_once(set.payload_format, in.u8());
    case Property::kMessageExpiryInterval:
      return set_once(set.message_expiry, in.u32());
    case Property::kContentType:
      return set_once(set.content_type, in.text());
    case Property::kResponseTopic:
      return set_once(set.response_topic, in.text());
    case Property::kCorrelationData:
      return set_once(set.correlation_data, in.binary());
    case Property::kSubscriptionIdentifier:
      return set_once(set.subscription_id, in.varint());
    case Property::kSessionExpiryInterval:
      return set_once(set.session_expiry, in.u32());
    case Property::kAssignedClientIdentifier:
      return set_once(set.assigned_client_id, in.text());
    case Property::kServerKeepAlive:
      return set_once(set.server_keep_alive, in.u16());
    case Property::kAuthenticationMethod:
      return set_once(set.authentication_method, in.text());
    case Property::kAuthenticationData:
      return set_once(set.authentication_data, in.binary());
    case Property::kRequestProblemInformation:
      return set_once(set.request_problem_information, in.u8());
    case Property::kWillDelayInterval:
      return set_once(set.will_delay, in.u32());
    case Property::kRequestResponseInformation:
      return set_once(set.request_response_information, in.u8());
    case Property::kResponseInformation:
      return set_once(set.response_information, in.text());
    case Property::kServerReference:
      return set_once(set.server_reference, in.text());
    case Property::kReasonString:
      return set_once(set.reason_string, in.text());
    case Property::kReceiveMaximum:
      return set_once(set.receive_maximum, in.u16());
    case Property::kTopicAliasMaximum:
      return set_once(set.topic_alias_maximum, in.u16());
    case Property::kTopicAlias:
      return set_once(set.topic_alias, in.u16());
    case Property::kMaximumQos:
      return set_once(set.maximum_qos, in.u8());
    case Property::kRetainAvailable:
      return set_once(set.retain_available, in.u8());
    case Property::kMaximumPacketSize:
      return set_once(set.maximum_packet_size, in.u32());
    case Property::kWildcardSubscriptionAvailable:
      return set_once(set.wildcard_available, in.u8());
    case Property::kSubscriptionIdentifierAvailable:
      return set_once(set.subscription_ids_available, in.u8());
    case Property::kSharedSubscriptionAvailable:
      return set_once(set.shared_available, in.u8());
    case Property::kUserProperty:
      in.text();
      in.text();
      return true;
  }
  return false;
}

/// The values that the specification excludes by name.
std::optional<std::string_view> forbidden_value(const PropertySet& set) {
  const auto is_flag = [](const std::optional<std::uint8_t>& flag) { return !flag || *flag <= 1; };
  if (!is_flag(set.payload_format)) return "payload format indicator is neither 0 nor 1";
  if (!is_flag(set.request_problem_information)) return "request problem information is no flag";
  if (!is_flag(set.request_response_information)) return "request response information is no flag";
  if (!is_flag(set.maximum_qos)) return "maximum QoS is neither 0 nor 1";
  if (!is_flag(set.retain_available)) return "retain available is no flag";
  if (!is_flag(set.wildcard_available)) return "wildcard subscription available is no flag";
  if (!is_flag(set.subscription_ids_available)) return "subscription ids available is no flag";
  if (!is_flag(set.shared_available)) return "shared subscription available is no flag";
  if (set.receive_maximum == 0) return "receive maximum is 0 [MQTT5-3.1.2.11.3]";
  if (set.maximum_packet_size == 0U) return "maximum packet size is 0 [MQTT5-3.1.2.11.4]";
  if (set.subscription_id == 0U) return "subscription identifier is 0 [MQTT5-3.8.2.1.2]";
  if (set.authentication_data && !set.authentication_method) {
    return "authentication data without a method [MQTT5-3.1.2.11.10]";
  }
  return std::nullopt;
}

}  // namespace

Decoded<PropertySet> read_properties(Reader& reader, PropertyPlace place) {
  PropertySet set;
  Reader in(reader.take(reader.varint()));
  const auto encoded = in.rest();
  std::uint32_t user_count = 0;
  std::uint32_t id_count = 0;
  while (reader.ok() && !in.at_end()) {
    const auto property = static_cast<Property>(in.u8());
    const std::uint16_t places = places_of(property);
    if (places == 0) return std::unexpected(DecodeError{.what = "unknown property"});
    if ((places & bit(place)) == 0) {
      return std::unexpected(
          DecodeError{.what = "a property that does not belong to this packet [MQTT5-2.2.2.2]"});
    }
    if (property == Property::kUserProperty) ++user_count;
    if (property == Property::kSubscriptionIdentifier) {
      ++id_count;
      // A server may match several subscriptions with one PUBLISH, [MQTT5-3.3.4-3]. The value of
      // each is looked at below.
      if (place == PropertyPlace::kPublish && set.subscription_id != 0U)
        set.subscription_id.reset();
    }
    if (!read_value(in, property, set)) {
      return std::unexpected(protocol_error("a property that may come once came twice"));
    }
    if (!in.ok()) {
      reader.fail();
      return set;
    }
  }
  if (const auto what = forbidden_value(set)) return std::unexpected(protocol_error(*what));
  set.subscription_ids = SubscriptionIds(encoded, id_count);
  set.user = UserProperties(encoded, user_count);
  return set;
}

}  // namespace sluice::mqtt
