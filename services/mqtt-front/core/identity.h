#pragma once

#include "core/access_policy.h"
#include "ports.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/base/ids.h>
#include <sluice/base/result.h>
#include <sluice/ingest/topic_map.h>

namespace sluice::device::v1 {
class DeviceIdentity;
}

namespace sluice::front {

/// What a device may send; the front's defaults filled in where its class leaves a limit open. 0:
/// no limit.
struct DeviceLimits {
  std::uint32_t messages_per_second = 100;       // AWS IoT's quota per connection
  std::uint32_t bytes_per_second = 512 * 1024;   // the same
  std::uint32_t max_payload_bytes = 128 * 1024;  // the same
  mqtt::Qos max_qos = mqtt::Qos::kExactlyOnce;
  /// Losing its QoS 0 messages is preferred to slowing it down.
  bool is_lossy = false;

  bool operator==(const DeviceLimits&) const = default;
};

/// A proven device and all that it may do. Immutable; shared by the cache and the connections.
struct Identity {
  TenantId tenant{};
  DeviceId device{};
  std::string external_id{};  // may be empty
  std::string fleet{};        // may be empty
  DeviceClassId device_class{};
  std::string schema_id{};      // may be empty
  std::string topic_policy{};   // empty: the built-in one
  std::string credential_id{};  // empty when it was looked up, not authenticated
  std::optional<WallTime> credential_expires_at{};
  std::int64_t revision = 0;            // of the device
  std::int64_t class_revision = 0;      // of the class that limits and schema are from; 0: not told
  std::int64_t policy_revision = 0;     // of the topic policy; 0: not told, or the built-in one
  std::uint32_t cache_ttl_seconds = 0;  // 0: left to the cache
  SessionKey session{};                 // tenant/device
  DeviceLimits limits{};
  AccessPolicy policy{};

  ingest::DeviceNames names() const {
    return {tenant.value(), device.value(), external_id, fleet, device_class.value()};
  }
  bool has_expired(WallTime now) const {
    return credential_expires_at && *credential_expires_at <= now;
  }
  /// A client id is the device's id or its external id, nothing else.
  bool may_use_client_id(std::string_view client_id) const {
    return !client_id.empty() && (client_id == device.value() || client_id == external_id);
  }
};
/// Owners: the cache's entry and each connection of the device.
using IdentityPtr = std::shared_ptr<const Identity>;

SessionKey session_key(std::string_view tenant, std::string_view device);

/// How answers of the registry become identities.
struct IdentityOptions {
  const ingest::TopicMap& topics;
  DeviceLimits default_limits{};
  bool opens_dollar_topics = false;  // see AccessPolicy::Options
};
/// Believes nothing unseen: an answer with an id that is none, an unusable rule or a status other
/// than ACTIVE is an error (kInvalidArgument), and its device stays out.
Result<IdentityPtr> make_identity(const device::v1::DeviceIdentity& answer,
                                  const IdentityOptions& options);
/// The same for the answer to a Lookup, which knows of no credential: that of `previous` is kept.
/// The caller has seen that it is still among the active ones.
Result<IdentityPtr> make_identity(const device::v1::DeviceIdentity& answer,
                                  const IdentityOptions& options, const Identity& previous);

}  // namespace sluice::front
