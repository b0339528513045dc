#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/mqtt/protocol.h>

namespace sluice::mqtt {

// All packets are views: texts and payloads point into the bytes they were decoded from (or into
// whatever the sender of one owns) and live no longer. Nothing here allocates.

/// User properties, in order, repeats included: a view of their encoded bytes, already checked.
class UserProperties {
 public:
  using Entry = std::pair<std::string_view, std::string_view>;

  UserProperties() = default;
  /// `encoded` holds whole property entries, identifiers included, of which the others are passed
  /// over.
  explicit UserProperties(std::span<const std::byte> encoded, std::uint32_t count)
      : encoded_(encoded), count_(count) {}

  std::uint32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }

  /// Calls `visit(name, value)` for each.
  template <typename Visit>
  void for_each(Visit visit) const {
    auto rest = encoded_;
    Entry entry;
    while (next(rest, entry)) visit(entry.first, entry.second);
  }

 private:
  static bool next(std::span<const std::byte>& rest, Entry& entry);

  std::span<const std::byte> encoded_{};
  std::uint32_t count_ = 0;
};

/// Subscription identifiers of a PUBLISH, in order: numbers to be sent, or a view of the encoded
/// properties they came in, already checked.
class SubscriptionIds {
 public:
  SubscriptionIds() = default;
  // Implicit, so that whoever sends says `.subscription_ids = ids`.
  SubscriptionIds(std::span<const std::uint32_t> ids)
      : ids_(ids), count_(static_cast<std::uint32_t>(ids.size())) {}
  SubscriptionIds(const std::vector<std::uint32_t>& ids) : SubscriptionIds(std::span(ids)) {}
  /// `encoded` holds whole property entries, identifiers included, of which the others are passed
  /// over.
  SubscriptionIds(std::span<const std::byte> encoded, std::uint32_t count)
      : encoded_(encoded), count_(count) {}

  std::uint32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }

  /// Calls `visit(std::uint32_t)` for each.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const std::uint32_t id : ids_) visit(id);
    if (!ids_.empty() || count_ == 0) return;
    auto rest = encoded_;
    std::uint32_t id = 0;
    while (next(rest, id)) visit(id);
  }

 private:
  static bool next(std::span<const std::byte>& rest, std::uint32_t& id);

  std::span<const std::uint32_t> ids_{};
  std::span<const std::byte> encoded_{};
  std::uint32_t count_ = 0;
};

/// Properties of a message: of PUBLISH, and of the will.
struct MessageProperties {
  std::optional<std::uint8_t> payload_format{};  // 1: UTF-8 text
  std::optional<std::uint32_t> expiry_seconds{};
  std::optional<std::uint16_t> topic_alias{};    // PUBLISH only
  std::optional<std::uint32_t> delay_seconds{};  // will only
  std::string_view content_type{};
  std::string_view response_topic{};
  std::optional<std::span<const std::byte>> correlation_data{};
  // Subscription identifiers: a client sends none; a server sends those of the matched
  // subscriptions.
  SubscriptionIds subscription_ids{};
  UserProperties user{};
};

struct Will {
  std::string_view topic{};
  std::span<const std::byte> payload{};
  Qos qos = Qos::kAtMostOnce;
  bool retain = false;
  MessageProperties properties{};
};

struct Connect {
  Version version = Version::kV5;
  bool clean_start = true;
  std::uint16_t keep_alive_seconds = 0;
  std::string_view client_id{};
  std::optional<Will> will{};
  std::optional<std::string_view> user_name{};
  std::optional<std::span<const std::byte>> password{};
  // MQTT 5
  std::uint32_t session_expiry_seconds = 0;
  std::uint16_t receive_maximum = 65'535;
  std::optional<std::uint32_t> maximum_packet_size{};
  std::uint16_t topic_alias_maximum = 0;
  bool request_response_information = false;
  bool request_problem_information = true;
  std::optional<std::string_view> authentication_method{};
  std::optional<std::span<const std::byte>> authentication_data{};
  UserProperties user{};
};

struct Connack {
  bool session_present = false;
  ReasonCode reason = ReasonCode::kSuccess;
  // MQTT 5; what is absent is not sent and means the protocol's default.
  std::optional<std::uint32_t> session_expiry_seconds{};
  std::optional<std::uint16_t> receive_maximum{};
  std::optional<Qos> maximum_qos{};
  std::optional<bool> retain_available{};
  std::optional<std::uint32_t> maximum_packet_size{};
  std::string_view assigned_client_id{};
  std::optional<std::uint16_t> topic_alias_maximum{};
  std::string_view reason_string{};
  std::optional<bool> wildcard_subscriptions{};
  std::optional<bool> subscription_identifiers{};
  std::optional<bool> shared_subscriptions{};
  std::optional<std::uint16_t> server_keep_alive_seconds{};
  std::string_view response_information{};
  std::string_view server_reference{};
};

struct Publish {
  std::string_view topic{};  // empty only where a topic alias stands for it
  std::span<const std::byte> payload{};
  Qos qos = Qos::kAtMostOnce;
  bool dup = false;  // says that the sender sends again; never that the receiver has seen it
  bool retain = false;
  std::uint16_t packet_id = 0;  // 0 at QoS 0
  MessageProperties properties{};
};

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
struct Ack {
  PacketType type = PacketType::kPuback;
  std::uint16_t packet_id = 0;
  ReasonCode reason = ReasonCode::kSuccess;
  std::string_view reason_string{};
};

enum class RetainHandling : std::uint8_t { kSend = 0, kSendIfNew = 1, kDoNotSend = 2 };

/// One filter of a SUBSCRIBE.
struct Subscription {
  std::string_view filter{};
  Qos qos = Qos::kAtMostOnce;
  bool no_local = false;
  bool retain_as_published = false;
  RetainHandling retain_handling = RetainHandling::kSend;
};

/// SUBSCRIBE or UNSUBSCRIBE: a checked view of the filters, read one by one.
class FilterList {
 public:
  FilterList() = default;
  FilterList(std::span<const std::byte> encoded, bool has_options, Version version,
             std::uint32_t count)
      : encoded_(encoded), has_options_(has_options), version_(version), count_(count) {}

  std::uint32_t count() const { return count_; }

  /// Calls `visit(const Subscription&)` for each; of an UNSUBSCRIBE only the filter is set.
  template <typename Visit>
  void for_each(Visit visit) const {
    auto rest = encoded_;
    Subscription subscription;
    while (next(rest, subscription)) visit(subscription);
  }

 private:
  bool next(std::span<const std::byte>& rest, Subscription& subscription) const;

  std::span<const std::byte> encoded_{};
  bool has_options_ = true;
  Version version_ = Version::kV5;
  std::uint32_t count_ = 0;
};

struct Subscribe {
  std::uint16_t packet_id = 0;
  std::optional<std::uint32_t> subscription_id{};
  UserProperties user{};
  FilterList filters{};
};

struct Unsubscribe {
  std::uint16_t packet_id = 0;
  UserProperties user{};
  FilterList filters{};
};

/// SUBACK or UNSUBACK.
struct FilterAck {
  PacketType type = PacketType::kSuback;
  std::uint16_t packet_id = 0;
  std::span<const ReasonCode> reasons{};
  std::string_view reason_string{};
};

struct Disconnect {
  ReasonCode reason = ReasonCode::kSuccess;
  std::optional<std::uint32_t> session_expiry_seconds{};
  std::string_view reason_string{};
  std::string_view server_reference{};
};

struct Auth {
  ReasonCode reason = ReasonCode::kSuccess;
  std::string_view method{};
  std::optional<std::span<const std::byte>> data{};
};

}  // namespace sluice::mqtt
