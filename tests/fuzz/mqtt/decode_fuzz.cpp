// Every decoder with every version: whatever comes, it ends with a packet or a reason, and no view
// it hands out leads outside of the input.

#include "../fuzz.h"

#include <sluice/mqtt/decoder.h>

namespace sluice::mqtt {
namespace {

/// Reads every byte of what was decoded, for the sanitizer to see where it lies.
class Toucher {
 public:
  void touch(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) sum_ = sum_ + std::to_integer<unsigned>(byte);
  }
  void touch(std::string_view text) { touch(std::as_bytes(std::span(text))); }
  template <typename T>
  void touch(const std::optional<T>& value) {
    if (value) touch(*value);
  }
  void touch(const UserProperties& user) {
    std::uint32_t count = 0;
    user.for_each([&](std::string_view name, std::string_view value) {
      touch(name);
      touch(value);
      ++count;
    });
    SLUICE_CHECK(count == user.count());
  }
  void touch(const MessageProperties& properties) {
    touch(properties.content_type);
    touch(properties.response_topic);
    touch(properties.correlation_data);
    touch(properties.user);
    std::uint32_t count = 0;
    properties.subscription_ids.for_each([&](std::uint32_t id) {
      SLUICE_CHECK(id > 0 && id <= kMaxRemainingLength);
      ++count;
    });
    SLUICE_CHECK(count == properties.subscription_ids.count());
  }
  void touch(const FilterList& filters) {
    std::uint32_t count = 0;
    filters.for_each([&](const Subscription& subscription) {
      touch(subscription.filter);
      SLUICE_CHECK(subscription.qos <= Qos::kExactlyOnce);
      SLUICE_CHECK(subscription.retain_handling <= RetainHandling::kDoNotSend);
      ++count;
    });
    SLUICE_CHECK(count == filters.count() && count > 0);
  }

  void touch(const Connect& packet) {
    touch(packet.client_id);
    if (packet.will) {
      SLUICE_CHECK(packet.will->qos <= Qos::kExactlyOnce);
      touch(packet.will->topic);
      touch(packet.will->payload);
      touch(packet.will->properties);
    }
    touch(packet.user_name);
    touch(packet.password);
    touch(packet.authentication_method);
    touch(packet.authentication_data);
    touch(packet.user);
    SLUICE_CHECK(packet.receive_maximum > 0);
  }
  void touch(const Connack& packet) {
    touch(packet.assigned_client_id);
    touch(packet.reason_string);
    touch(packet.response_information);
    touch(packet.server_reference);
  }
  void touch(const Publish& packet) {
    touch(packet.topic);
    touch(packet.payload);
    touch(packet.properties);
    SLUICE_CHECK(packet.qos <= Qos::kExactlyOnce);
    SLUICE_CHECK((packet.packet_id == 0) == (packet.qos == Qos::kAtMostOnce));
    SLUICE_CHECK(!packet.topic.empty() || packet.properties.topic_alias);
  }
  void touch(const Ack& packet) { touch(packet.reason_string); }
  template <typename Packet>
    requires requires(const Packet& packet) { packet.filters; }
  void touch(const Packet& packet) {
    touch(packet.user);
    touch(packet.filters);
    SLUICE_CHECK(packet.packet_id != 0);
  }
  void touch(const FilterAck& packet) {
    touch(std::as_bytes(packet.reasons));
    touch(packet.reason_string);
  }
  void touch(const Disconnect& packet) {
    touch(packet.reason_string);
    touch(packet.server_reference);
  }
  void touch(const Auth& packet) {
    touch(packet.method);
    touch(packet.data);
  }
  template <typename T>
  void touch_decoded(const Decoded<T>& decoded) {
    if (decoded) {
      touch(*decoded);
    } else {
      SLUICE_CHECK(is_failure(decoded.error().reason) && !decoded.error().what.empty());
    }
  }

 private:
  volatile unsigned sum_ = 0;
};

void decode(const Frame& frame, Version version) {
  Toucher toucher;
  // Each decoder with every type, since a caller that mixes them up must not be worse than wrong.
  toucher.touch_decoded(decode_connect(frame));
  toucher.touch_decoded(decode_connack(frame, version));
  toucher.touch_decoded(decode_publish(frame, version));
  toucher.touch_decoded(decode_ack(frame, version));
  toucher.touch_decoded(decode_subscribe(frame, version));
  toucher.touch_decoded(decode_unsubscribe(frame, version));
  toucher.touch_decoded(decode_filter_ack(frame, version));
  toucher.touch_decoded(decode_disconnect(frame, version));
  toucher.touch_decoded(decode_auth(frame));
  SLUICE_CHECK(decode_empty(frame).has_value() <= frame.body.empty());
}

}  // namespace
}  // namespace sluice::mqtt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::mqtt;
  auto rest = sluice::fuzz::as_bytes(data, size);
  for (;;) {
    const auto frame = next_frame(rest, 1 << 20);
    if (!frame || !*frame) return 0;
    SLUICE_CHECK((*frame)->size <= rest.size() && (*frame)->body.size() < (*frame)->size);
    for (const Version version : {Version::kV31, Version::kV311, Version::kV5}) {
      decode(**frame, version);
    }
    rest = rest.subspan((*frame)->size);
  }
}
