#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/mqtt/packet.h>
#include <sluice/mqtt/protocol.h>

namespace sluice::mqtt {

/// A message that waits: retained, queued for subscribers, or a will. Owns what a Publish views.
/// Never changed once made.
struct Message {
  std::string topic{};
  std::string payload{};
  Qos qos = Qos::kAtMostOnce;
  bool retain = false;
  std::optional<std::uint8_t> payload_format{};
  std::string content_type{};
  std::string response_topic{};
  std::optional<std::string> correlation_data{};
  std::vector<std::byte> user_properties{};  // as UserProperties views them
  std::uint32_t user_property_count = 0;
  /// When it is no longer worth delivering; nullopt: never.
  std::optional<MonoTime> expires_at{};
  /// Whoever published it, for No Local; 0: nobody who subscribes.
  std::uint64_t publisher = 0;

  /// What it counts for in a bound on bytes.
  std::size_t size_bytes() const;
  bool has_expired(MonoTime now) const { return expires_at && *expires_at <= now; }
};

/// Shared by every queue that the message waits in: one copy for all subscribers.
using MessagePtr = std::shared_ptr<const Message>;

/// A copy of a publish (topic alias already resolved) as it came at `now`.
Message to_message(const Publish& publish, std::uint64_t publisher, MonoTime now);
/// A copy of a will, made when it is fired; the delay is the caller's.
Message to_message(const Will& will, std::uint64_t publisher, MonoTime now);

}  // namespace sluice::mqtt
