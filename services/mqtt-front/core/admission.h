#pragma once

#include "core/identity.h"
#include "core/tenant_limits.h"
#include "core/token_bucket.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include <sluice/base/clock.h>
#include <sluice/mqtt/protocol.h>

namespace sluice::front {

/// Which limit decided. `name` and `scope` are stable, for metric labels and reason strings.
struct LimitHit {
  std::string_view name{};   // "messages_per_second"
  std::string_view scope{};  // "device", "tenant", "node", "client"
  std::uint64_t value = 0;

  /// "messages_per_second limit 100 of device".
  std::string describe() const;
};

/// Whether a connection may go on.
struct ConnectionVerdict {
  bool is_admitted = true;
  LimitHit limit{};
  mqtt::ReasonCode reason = mqtt::ReasonCode::kSuccess;
};

/// Keeps a storm of connections off what stands. Thread-safe: shared by all loops; before the TLS
/// handshake it costs two atomic operations, after it one short lock. What it remembers by client
/// is asked only after the client has proven who it is, so that nobody can ban another, and is
/// bounded.
class ConnectionAdmission {
 public:
  struct Settings {
    Rate node_connections{1000, 2000};
    std::size_t max_handshakes = 256;         // under way at once: about 100 ms of one core's work
    Rate client_connects{1, 3};               // per session key; AWS IoT allows 1 a second
    std::uint32_t flapping_disconnects = 15;  // EMQX's default; 0: nobody is banned
    std::chrono::seconds flapping_window{60};
    std::chrono::seconds ban_duration{300};
    std::size_t max_clients = 200'000;  // remembered; the one not heard of for longest is forgotten
  };
  explicit ConnectionAdmission(const Settings& settings) : settings_(settings) {}

  /// A socket was accepted: before any byte is read. When admitted, handshake_done() must follow,
  /// however the handshake and CONNECT end.
  ConnectionVerdict admit_socket(MonoTime now);
  /// The same where another one, for which handshake_done() follows at once, gives way to it.
  ConnectionVerdict admit_in_place(MonoTime now);
  void handshake_done();
  /// Whether fewer than max_handshakes are under way.
  bool has_room() const { return handshakes() < settings_.max_handshakes; }
  std::size_t handshakes() const { return handshakes_.load(std::memory_order_relaxed); }

  /// The device has proven who it is. Reason codes: 0x9F for rates, 0x8A for a ban.
  ConnectionVerdict admit_client(const SessionKey& key, TenantMeter& tenant, MonoTime now);
  /// Its connection ended, for whatever reason but a DISCONNECT of its own and our shutdown.
  void on_disconnect(const SessionKey& key, MonoTime now);
  std::size_t clients() const;

 private:
  struct Client {
    TokenBucket connects{};
    std::uint32_t disconnects = 0;  // since window_start
    MonoTime window_start{};
    MonoTime banned_until{MonoTime::min()};
    std::list<SessionKey>::iterator place{};
  };
  ConnectionVerdict admit_counted(MonoTime now);
  Client& client(const SessionKey& key);  // mutex_ held

  const Settings settings_;
  SharedTokenBucket node_;
  std::atomic<std::size_t> handshakes_{0};
  mutable std::mutex mutex_;  // guards what follows
  std::unordered_map<SessionKey, Client> clients_;
  std::list<SessionKey> by_age_;  // heard of longest ago first
};

/// One device's buckets: of a connection, one owner thread.
struct DeviceMeter {
  TokenBucket messages{};
  TokenBucket bytes{};
  TokenBucket filters{};  // of SUBSCRIBE and UNSUBSCRIBE
};
/// A device's rates, made from its limits once per identity.
struct DeviceRates {
  Rate messages{};
  Rate bytes{};
  std::uint32_t max_payload_bytes = 0;  // 0: no limit
  bool is_lossy = false;

  DeviceRates() = default;
  explicit DeviceRates(const DeviceLimits& limits);
};

struct MessageTraits {
  mqtt::Qos qos = mqtt::Qos::kAtMostOnce;
  std::size_t payload_bytes = 0;
  std::size_t bytes = 0;     // of the whole packet: what the byte rates count
  bool is_buffered = false;  // the device replays what it stored during an outage
};

/// What is to be done with a message.
struct MessageVerdict {
  enum class Action : std::uint8_t {
    kAdmit,
    kShed,    // drop and count: QoS 0 alone
    kWait,    // leave it unread, stop reading the connection, ask again at `until`
    kRefuse,  // acknowledge with `reason` or disconnect: waiting would not help
  };
  Action action = Action::kAdmit;
  MonoTime until{};  // of kWait
  LimitHit limit{};
  mqtt::ReasonCode reason = mqtt::ReasonCode::kSuccess;
};

/// Counts a message against its device and its tenant, or says why not; all buckets or none.
///   QoS 0       over a limit: shed
///   QoS 1, 2    over a limit: wait, never dropped
///   buffered    leaves half of each burst to live messages; then as its QoS says
///   QoS 0 of a lossy class, or of a tenant that sheds low priority: leaves half of the tenant's
///               burst to the others
MessageVerdict admit_message(const MessageTraits& message, const DeviceRates& rates,
                             DeviceMeter& device, TenantMeter& tenant, MonoTime now);

/// The same for a message that has been read already and cannot be left: where it would have to
/// wait it is taken on credit, from all buckets. kWait then means: it is admitted, but read nothing
/// more before `until`. Over time the rates hold, whatever came in one piece.
MessageVerdict admit_read_message(const MessageTraits& message, const DeviceRates& rates,
                                  DeviceMeter& device, TenantMeter& tenant, MonoTime now);

}  // namespace sluice::front
