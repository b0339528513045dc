#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/base/trace.h>
#include <sluice/crypto/tls_identity.h>
#include <sluice/grpc/config.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace sluice::rpc {

/// How one call is made.
struct CallOptions {
  std::chrono::milliseconds timeout{0};  // for all attempts together; 0: the channel's
  std::chrono::milliseconds delay{0};    // before the first attempt, a part of the timeout
  bool is_idempotent = false;            // only then may a call be attempted again
  std::optional<TraceContext> trace{};   // sent as `traceparent`
};

/// The way to one other service: mutual TLS with its name checked, a deadline on every call, one
/// connection to each address behind its name. One retry loop (gRPC's own is off): only idempotent
/// calls, only kUnavailable (an overloaded service is not helped by asking again), full-jitter
/// backoff, only while the deadline allows and while most calls succeed (a budget stops retries
/// from making an outage worse). Renewed certificate files are taken up by a new connection within
/// seconds; calls under way end on the old one. Without an identity it speaks plaintext, to
/// loopback only. Calls are made with Client (raw.h). Thread-safe.
class Channel {
 public:
  /// Connects lazily: a service that is not up yet is no error here. What is passed by reference
  /// must outlive the channel.
  static Result<std::unique_ptr<Channel>> open(const ClientConfig& config,
                                               const crypto::TlsIdentity& identity,
                                               const Clock& clock, Random& random,
                                               const Logger& log, Registry& registry);
  ~Channel();  // stops
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  /// Whether a connection stands; begins to make one if not. For readiness.
  bool is_connected();
  /// Waits up to `timeout` for a connection.
  bool wait_connected(std::chrono::milliseconds timeout);

  /// Cancels the calls under way, waits for their callbacks, and refuses new calls with kCancelled.
  /// Never from such a callback.
  void stop();

  struct Impl;
  Impl& impl() { return *impl_; }  // for raw.h

 private:
  explicit Channel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::rpc
