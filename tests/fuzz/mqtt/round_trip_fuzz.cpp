// What was decoded and encoded again says the same: packet by packet in MQTT 5, which leaves
// nothing out; for older versions, whose encoder maps reasons, from the second time on.

#include "../fuzz.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include <sluice/mqtt/decoder.h>
#include <sluice/mqtt/encoder.h>

namespace sluice::mqtt {
namespace {

// Views compared by what they show. A packet's parts are listed once, as a tuple.

bool same(const MessageProperties& one, const MessageProperties& other);
bool same(const Will& one, const Will& other);

bool same(std::span<const std::byte> one, std::span<const std::byte> other) {
  return std::ranges::equal(one, other);
}

template <typename T>
bool same(const T& one, const T& other) {
  return one == other;
}

template <typename T>
bool same(const std::optional<T>& one, const std::optional<T>& other) {
  return one.has_value() == other.has_value() && (!one || same(*one, *other));
}

bool same(const UserProperties& one, const UserProperties& other) {
  const auto list = [](const UserProperties& user) {
    std::vector<UserProperties::Entry> all;
    user.for_each([&](auto name, auto value) { all.emplace_back(name, value); });
    return all;
  };
  return list(one) == list(other);
}

bool same(const SubscriptionIds& one, const SubscriptionIds& other) {
  const auto list = [](const SubscriptionIds& ids) {
    std::vector<std::uint32_t> all;
    ids.for_each([&](std::uint32_t id) { all.push_back(id); });
    return all;
  };
  return list(one) == list(other);
}

bool same(const FilterList& one, const FilterList& other) {
  const auto list = [](const FilterList& filters) {
    std::vector<std::tuple<std::string_view, Qos, bool, bool, RetainHandling>> all;
    filters.for_each([&](const Subscription& subscription) {
      all.emplace_back(subscription.filter, subscription.qos, subscription.no_local,
                       subscription.retain_as_published, subscription.retain_handling);
    });
    return all;
  };
  return list(one) == list(other);
}

template <typename... Parts>
bool same(const std::tuple<Parts...>& one, const std::tuple<Parts...>& other);

auto parts(const MessageProperties& all) {
  return std::tie(all.payload_format, all.expiry_seconds, all.topic_alias, all.delay_seconds,
                  all.content_type, all.response_topic, all.correlation_data, all.subscription_ids,
                  all.user);
}
bool same(const MessageProperties& one, const MessageProperties& other) {
  return same(parts(one), parts(other));
}

auto parts(const Will& will) {
  return std::tie(will.topic, will.payload, will.qos, will.retain, will.properties);
}
bool same(const Will& one, const Will& other) { return same(parts(one), parts(other)); }

auto parts(const Connect& packet) {
  return std::tie(packet.version, packet.clean_start, packet.keep_alive_seconds, packet.client_id,
                  packet.will, packet.user_name, packet.password, packet.session_expiry_seconds,
                  packet.receive_maximum, packet.maximum_packet_size, packet.topic_alias_maximum,
                  packet.request_response_information, packet.request_problem_information,
                  packet.authentication_method, packet.authentication_data, packet.user);
}
auto parts(const Connack& packet) {
  return std::tie(
      packet.session_present, packet.reason, packet.session_expiry_seconds, packet.receive_maximum,
      packet.maximum_qos, packet.retain_available, packet.maximum_packet_size,
      packet.assigned_client_id, packet.topic_alias_maximum, packet.reason_string,
      packet.wildcard_subscriptions, packet.subscription_identifiers, packet.shared_subscriptions,
      packet.server_keep_alive_seconds, packet.response_information, packet.server_reference);
}
auto parts(const Publish& packet) {
  return std::tie(packet.topic, packet.payload, packet.qos, packet.dup, packet.retain,
                  packet.packet_id, packet.properties);
}
auto parts(const Ack& packet) {
  return std::tie(packet.type, packet.packet_id, packet.reason, packet.reason_string);
}
auto parts(const Subscribe& packet) {
  return std::tie(packet.packet_id, packet.subscription_id, packet.user, packet.filters);
}
auto parts(const Unsubscribe& packet) {
  return std::tie(packet.packet_id, packet.user, packet.filters);
}
auto parts(const FilterAck& packet) {
  return std::tuple(packet.type, packet.packet_id, std::as_bytes(packet.reasons),
                    packet.reason_string);
}
auto parts(const Disconnect& packet) {
  return std::tie(packet.reason, packet.session_expiry_seconds, packet.reason_string,
                  packet.server_reference);
}

template <typename... Parts>
bool same(const std::tuple<Parts...>& one, const std::tuple<Parts...>& other) {
  return [&]<std::size_t... kAt>(std::index_sequence<kAt...>) {
    return (same(std::get<kAt>(one), std::get<kAt>(other)) && ...);
  }(std::index_sequence_for<Parts...>{});
}

void encode_any(const Connect& packet, Version, Output& out) { encode(packet, out); }
template <typename Packet>
void encode_any(const Packet& packet, Version version, Output& out) {
  encode(packet, version, out);
}

Frame frame_of(const Output& out) {
  const auto frame = next_frame(out, kMaxRemainingLength);
  SLUICE_CHECK(frame && *frame && (*frame)->size == out.size());
  return **frame;
}

template <typename Packet, typename Decode>
void go_around(const Frame& frame, Version version, Decode decode) {
  auto first = decode(frame);
  if (!first) return;
  if constexpr (std::is_same_v<Packet, Connack>) {
    // The encoder never says what [MQTT5-3.2.2-6] forbids.
    if (is_failure(first->reason)) first->session_present = false;
  }
  Output once;
  encode_any(*first, version, once);
  const auto second = decode(frame_of(once));
  SLUICE_CHECK(second.has_value());
  if (version == Version::kV5) SLUICE_CHECK(same(parts(*first), parts(*second)));
  Output twice;
  encode_any(*second, version, twice);
  SLUICE_CHECK(once == twice);
  const auto third = decode(frame_of(twice));
  SLUICE_CHECK(third && same(parts(*second), parts(*third)));
  if constexpr (std::is_same_v<Packet, Publish>) {
    SLUICE_CHECK(encoded_size(*first, version) == once.size());
  }
}

void go_around(const Frame& frame, Version version) {
  switch (frame.type) {
    case PacketType::kConnect:
      if (const auto connect = decode_connect(frame); connect && connect->version == version) {
        go_around<Connect>(frame, version, [](const Frame& one) { return decode_connect(one); });
      }
      break;
    case PacketType::kConnack:
      go_around<Connack>(frame, version,
                         [=](const Frame& one) { return decode_connack(one, version); });
      break;
    case PacketType::kPublish:
      go_around<Publish>(frame, version,
                         [=](const Frame& one) { return decode_publish(one, version); });
      break;
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      go_around<Ack>(frame, version, [=](const Frame& one) { return decode_ack(one, version); });
      break;
    case PacketType::kSubscribe:
      go_around<Subscribe>(frame, version,
                           [=](const Frame& one) { return decode_subscribe(one, version); });
      break;
    case PacketType::kUnsubscribe:
      go_around<Unsubscribe>(frame, version,
                             [=](const Frame& one) { return decode_unsubscribe(one, version); });
      break;
    case PacketType::kSuback:
    case PacketType::kUnsuback:
      go_around<FilterAck>(frame, version,
                           [=](const Frame& one) { return decode_filter_ack(one, version); });
      break;
    case PacketType::kDisconnect:
      go_around<Disconnect>(frame, version,
                            [=](const Frame& one) { return decode_disconnect(one, version); });
      break;
    case PacketType::kPingreq:
    case PacketType::kPingresp:
    case PacketType::kAuth:  // has no encoder
      break;
  }
}

}  // namespace
}  // namespace sluice::mqtt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::mqtt;
  auto rest = sluice::fuzz::as_bytes(data, size);
  for (;;) {
    const auto frame = next_frame(rest, 1 << 20);
    if (!frame || !*frame) return 0;
    for (const Version version : {Version::kV31, Version::kV311, Version::kV5}) {
      go_around(**frame, version);
    }
    rest = rest.subspan((*frame)->size);
  }
}
