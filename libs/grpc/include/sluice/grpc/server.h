#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/base/random.h>
#include <sluice/base/result.h>
#include <sluice/crypto/tls_identity.h>
#include <sluice/grpc/config.h>
#include <sluice/log/logger.h>
#include <sluice/metrics/metrics.h>

namespace grpc {
class Service;
}

namespace sluice::rpc {

/// Where a method's handler runs.
enum class Runs : std::uint8_t {
  kOnWorker,  // on the bounded pool of threads: it may block, up to the call's deadline
  kInline,    // on gRPC's own thread: it answers from memory within microseconds
};

/// One method a service offers: `name` is "sluice.device.v1.DeviceAuthentication/Authenticate".
struct MethodOptions {
  std::string name;
  std::vector<std::string> peers;  // services that may call it; nobody else may
  Runs runs = Runs::kOnWorker;
  /// As many threads and as long a queue as all others share, for this method alone: where those
  /// may wait for other processes whose answers need this method, they would wait for each other.
  bool has_own_workers = false;
};

/// A registered method; made by Server::method(), lives as long as the server. Used by serve()
/// (raw.h).
class Method;

/// The gRPC server of a service: mutual TLS, callback API, everything bounded.
///   rpc::Server server(config.grpc, config.identity, clock, random, log, registry);
///   AuthenticationService authentication(server, authenticator);  // calls server.method() per
///   method server.add(authentication); SLUICE_TRY(server.start());
/// Closed by default: a method that is not registered, and a peer a method does not name, get
/// PERMISSION_DENIED before a handler runs, whoever wrote the handler. grpc.health.v1.Health/Check
/// is open to every peer with a certificate of our authorities. Without an identity the server
/// listens on loopback alone, in plaintext, and cannot tell peers apart: for development only.
/// Renewed certificate files are taken up without a restart.
///
/// Handlers run on gRPC's threads or on the pool, see Runs. start() and stop() belong to the owner.
class Server {
 public:
  /// What is passed by reference must outlive the server.
  Server(const ServerConfig& config, crypto::TlsIdentity identity, const Clock& clock,
         Random& random, const Logger& log, Registry& registry);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Registers a method; before start(). The same name twice is a bug.
  Method& method(MethodOptions options);
  /// Adds a generated service; before start(). It must outlive stop().
  void add(grpc::Service& service);

  Result<> start();
  /// "127.0.0.1:41234": where it listens, once started.
  std::string address() const;

  /// Ends in good order: new calls, to the health service too, are refused with kUnavailable; calls
  /// under way have until `grpc_drain` and are then cancelled. Returns when no handler runs any
  /// more, for which handlers must end soon after their deadline. Any thread, any number of times.
  void stop();

 private:
  friend class Method;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::rpc
