#include <grpcpp/server.h>

#include "access_table.h"
#include "address.h"
#include "monotonic.h"
#include "server_call.h"
#include "server_credentials.h"
#include "worker_pool.h"

#include <atomic>
#include <exception>
#include <format>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include <sluice/base/check.h>
#include <sluice/grpc/raw.h>

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

namespace sluice::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// Connections are ended now and then, so that callers spread over new instances and a name that was
// taken out of the authorities' trust loses its standing connection too. gRPC adds 10 % of jitter.
constexpr milliseconds kMaxConnectionAge = minutes(30);
constexpr milliseconds kMaxConnectionAgeGrace = seconds(60);
// A caller that vanished without a word is noticed after this much silence.
constexpr milliseconds kKeepaliveTime = seconds(60);
constexpr milliseconds kKeepaliveTimeout = seconds(20);
// Channels of ours send one every 30 s; gRPC's default of 5 min would take that for an attack.
constexpr milliseconds kMinPingInterval = seconds(10);
constexpr milliseconds kHandshakeTimeout = seconds(10);

int milliseconds_of(milliseconds duration) { return static_cast<int>(duration.count()); }

std::unexpected<Error> refuse(ErrorCode code, std::string reason, std::string message) {
  return fail(Error(code, std::move(message)).with_reason(std::move(reason)));
}

}  // namespace

struct Server::Impl final : CallGate {
  Impl(const ServerConfig& c, crypto::TlsIdentity i, const Clock& k, Random& r, const Logger& l,
       Registry& g);

  std::unique_ptr<WorkerPool> make_pool() const {
    return std::make_unique<WorkerPool>(static_cast<std::size_t>(config.workers),
                                        static_cast<std::size_t>(config.queue));
  }
  Result<> start();
  Result<> bind();
  void stop();

  Result<> admit(std::string_view path, std::string_view peer) override;
  void on_certificate(const crypto::Certificate& certificate) override;
  void on_reload_failed(const Error& error) override;
  void log_refusal(std::string_view path, std::string_view peer);

  Counter refused(std::string_view cause) const {
    return registry.counter("sluice_grpc_server_refused_total",
                            "Calls refused before their handler ran, by cause.",
                            {{"cause", std::string(cause)}});
  }

  const ServerConfig config;
  const crypto::TlsIdentity identity;
  const Clock& clock;
  Random& random;
  const Logger log;
  Registry& registry;
  Counter refused_unknown_method;
  Counter refused_peer;
  Counter refused_draining;
  Counter refused_in_flight;
  Counter refused_queue;
  Counter refused_expired;
  Gauge certificate_expiry;
  Counter reloads_failed;
  Gauge in_flight_gauge;

  AccessTable access;
  std::vector<std::unique_ptr<Method>> methods;
  std::vector<grpc::Service*> services;
  const std::unique_ptr<WorkerPool> pool;
  std::vector<std::unique_ptr<WorkerPool>> own_pools;
  std::atomic<std::int64_t> in_flight = 0;
  std::atomic<bool> is_draining = false;

  // In seconds: one line a second tells whom to talk to; the counter has how many.
  std::atomic<std::int64_t> last_refusal_logged = -1;
  std::mutex reload_mutex;
  std::string last_reload_error;  // so that a fault that stays is logged once

  std::mutex stop_mutex;  // held by the one who stops; the others wait on it
  std::string address;
  std::unique_ptr<crypto::TlsFiles> files;
  std::shared_ptr<ListenerCredentials>
      credentials;  // owned here and, while it starts, by the builder
  std::unique_ptr<grpc::Server> server;
};

/// A registered method with its numbers.
class Method {
 public:
  Method(Server::Impl& server, MethodOptions options);

  grpc::ServerUnaryReactor* serve(grpc::CallbackServerContext* context,
                                  raw_detail::Handler handler);

 private:
  void run(const ServerCall& call, grpc::ServerUnaryReactor* reactor, raw_detail::Handler& handler);
  Result<> outcome_of(const ServerCall& call, raw_detail::Handler& handler);
  void finish(const ServerCall& call, grpc::ServerUnaryReactor* reactor, const Result<>& outcome);
  Counter calls(std::string_view code) const;

  Server::Impl& server_;
  const MethodOptions options_;
  WorkerPool* pool_;  // its own or that of all
  Counter calls_ok_;
  Histogram seconds_;
};

Method::Method(Server::Impl& server, MethodOptions options)
    : server_(server),
      options_(std::move(options)),
      pool_(options_.has_own_workers ? server.own_pools.emplace_back(server.make_pool()).get()
                                     : server.pool.get()),
      calls_ok_(calls("ok")),
      seconds_(server.registry.histogram("sluice_grpc_server_call_seconds",
                                         "From the arrival of a call to its status.",
                                         latency_buckets_seconds(), {{"method", options_.name}})) {}

Counter Method::calls(std::string_view code) const {
  return server_.registry.counter("sluice_grpc_server_calls_total",
                                  "Calls answered, by status code.",
                                  {{"method", options_.name}, {"code", std::string(code)}});
}

grpc::ServerUnaryReactor* Method::serve(grpc::CallbackServerContext* context,
                                        raw_detail::Handler handler) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  ServerCall call(*context, {server_.config.default_deadline, server_.config.max_deadline},
                  server_.clock, server_.random);
  const std::int64_t others = server_.in_flight.fetch_add(1);
  server_.in_flight_gauge.add(1);
  if (others >= server_.config.max_in_flight) {
    server_.refused_in_flight.add();
    finish(call, reactor,
           refuse(ErrorCode::kResourceExhausted, "too_many_calls", "too many calls under way"));
    return reactor;
  }
  if (options_.runs == Runs::kInline) {
    run(call, reactor, handler);
    return reactor;
  }
  // Shared by the task and, should the queue refuse that, by this function.
  auto waiting = std::make_shared<std::pair<ServerCall, raw_detail::Handler>>(std::move(call),
                                                                              std::move(handler));
  if (!pool_->try_submit(
          [this, reactor, waiting] { run(waiting->first, reactor, waiting->second); })) {
    server_.refused_queue.add();
    finish(waiting->first, reactor,
           refuse(ErrorCode::kResourceExhausted, "queue_full", "too many calls wait for a worker"));
  }
  return reactor;
}

void Method::run(const ServerCall& call, grpc::ServerUnaryReactor* reactor,
                 raw_detail::Handler& handler) {
  if (call.is_expired()) {
    server_.refused_expired.add();
    finish(call, reactor,
           refuse(ErrorCode::kDeadlineExceeded, "expired_in_queue",
                  "its deadline passed in the queue"));
  } else if (call.is_cancelled()) {
    finish(call, reactor, fail(ErrorCode::kCancelled, "the caller gave up"));
  } else {
    finish(call, reactor, outcome_of(call, handler));
  }
}

Result<> Method::outcome_of(const ServerCall& call, raw_detail::Handler& handler) {
  // What an exception says was not written for callers.
  const auto caught = [&](const char* what) {
    server_.log.with_trace(call.trace())
        .error("grpc_handler_threw", {{"method", options_.name}, {"error", what}});
    return fail(ErrorCode::kInternal, "internal error");
  };
  try {
    return handler(call);
  } catch (const std::exception& exception) {
    return caught(exception.what());
  } catch (...) {
    return caught("not a std::exception");
  }
}

void Method::finish(const ServerCall& call, grpc::ServerUnaryReactor* reactor,
                    const Result<>& outcome) {
  seconds_.observe(std::chrono::duration<double>(server_.clock.mono() - call.arrived()).count());
  if (outcome) {
    calls_ok_.add();
  } else {
    calls(to_string(outcome.error().code())).add();
  }
  server_.in_flight_gauge.add(-1);
  server_.in_flight.fetch_sub(1);
  // The last act: from here on gRPC may end the call's objects, on another thread, at any time.
  reactor->Finish(outcome ? grpc::Status::OK : to_status(outcome.error()));
}

Server::Impl::Impl(const ServerConfig& c, crypto::TlsIdentity i, const Clock& k, Random& r,
                   const Logger& l, Registry& g)
    : config(c),
      identity(std::move(i)),
      clock(k),
      random(r),
      log(l),
      registry(g),
      refused_unknown_method(refused("unknown_method")),
      refused_peer(refused("peer")),
      refused_draining(refused("draining")),
      refused_in_flight(refused("in_flight")),
      refused_queue(refused("queue")),
      refused_expired(refused("expired")),
      certificate_expiry(
          registry.gauge("sluice_grpc_server_certificate_expiry_timestamp_seconds",
                         "When the certificate shown to other services runs out; 0 for none.")),
      reloads_failed(
          registry.counter("sluice_grpc_server_certificate_reloads_failed_total",
                           "Handshakes at which changed certificate files could not be taken.")),
      in_flight_gauge(registry.gauge("sluice_grpc_server_calls_in_flight", "Calls under way.")),
      pool(make_pool()) {}

Result<> Server::Impl::admit(std::string_view path, std::string_view peer) {
  if (is_draining.load(std::memory_order_relaxed)) {
    refused_draining.add();
    return fail(ErrorCode::kUnavailable, "the service is stopping");
  }
  switch (files ? access.check(path, peer) : access.check_without_peer(path)) {
    case AccessTable::Verdict::kAllowed:
      return {};
    case AccessTable::Verdict::kNoWatch:
      return fail(ErrorCode::kUnimplemented, "health is for Check only");
    case AccessTable::Verdict::kUnknownMethod:
      refused_unknown_method.add();
      break;
    case AccessTable::Verdict::kWrongPeer:
      refused_peer.add();
      break;
  }
  log_refusal(path, peer);
  // One answer for both, so that nobody learns which methods there are.
  return fail(ErrorCode::kPermissionDenied, "not allowed to call this method");
}

void Server::Impl::log_refusal(std::string_view path, std::string_view peer) {
  const std::int64_t second =
      std::chrono::duration_cast<seconds>(clock.mono().time_since_epoch()).count();
  if (last_refusal_logged.exchange(second) == second) return;
  log.warning("grpc_call_refused", {{"path", path}, {"peer", peer}});
}

void Server::Impl::on_certificate(const crypto::Certificate& certificate) {
  certificate_expiry.set(
      std::chrono::duration<double>(certificate.not_after.time_since_epoch()).count());
}

void Server::Impl::on_reload_failed(const Error& error) {
  reloads_failed.add();
  {
    std::lock_guard lock(reload_mutex);
    if (error.message() == last_reload_error) return;
    last_reload_error = error.message();
  }
  log.error("grpc_certificate_reload_failed", error);
}

Result<> Server::Impl::start() {
  SLUICE_CHECK(!server);
  if (identity.is_set()) {
    SLUICE_TRY_ASSIGN(files, crypto::TlsFiles::open(identity, clock));
  } else if (!is_loopback(config.listen)) {
    return fail(Error(ErrorCode::kFailedPrecondition, "plaintext gRPC listens on loopback only")
                    .with_fault("grpc_listen", "must be a loopback address without tls_cert_file"));
  }
  SLUICE_TRY(bind());
  log.info("grpc_listening", {{"address", address}, {"mutual_tls", files != nullptr}});
  return {};
}

Result<> Server::Impl::bind() {
  // Process-wide in gRPC, and wanted by every server.
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  int port = 0;
  credentials = std::make_shared<ListenerCredentials>(files.get(), *this);
  builder.AddListeningPort(config.listen, credentials, &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(static_cast<int>(config.max_message.count));
  builder.SetMaxSendMessageSize(static_cast<int>(config.max_message.count));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             static_cast<int>(config.max_streams_per_connection));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, milliseconds_of(kMaxConnectionAge));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                             milliseconds_of(kMaxConnectionAgeGrace));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds_of(kKeepaliveTime));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds_of(kKeepaliveTimeout));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             milliseconds_of(kMinPingInterval));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             milliseconds_of(kHandshakeTimeout));
  // Two processes on one port would share its connections without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);

  server = builder.BuildAndStart();
  if (!server || port == 0) {
    server.reset();
    return fail(ErrorCode::kUnavailable, std::format("gRPC cannot listen on {}", config.listen));
  }
  address = with_port(config.listen, port);
  return {};
}

void Server::Impl::stop() {
  is_draining = true;
  std::lock_guard lock(stop_mutex);
  if (server) {
    server->Shutdown(grpc_time_after(config.drain));
    server.reset();
  }
  pool->stop();
  for (const auto& own : own_pools) own->stop();
}

Server::Server(const ServerConfig& config, crypto::TlsIdentity identity, const Clock& clock,
               Random& random, const Logger& log, Registry& registry)
    : impl_(std::make_unique<Impl>(config, std::move(identity), clock, random, log, registry)) {}

Server::~Server() { stop(); }

Method& Server::method(MethodOptions options) {
  SLUICE_CHECK(!impl_->server);
  impl_->access.add(options.name, options.peers);
  return *impl_->methods.emplace_back(std::make_unique<Method>(*impl_, std::move(options)));
}

void Server::add(grpc::Service& service) {
  SLUICE_CHECK(!impl_->server);
  impl_->services.push_back(&service);
}

Result<> Server::start() { return impl_->start(); }

std::string Server::address() const { return impl_->address; }

void Server::stop() { impl_->stop(); }

grpc::ServerUnaryReactor* raw_detail::serve(Method& method, grpc::CallbackServerContext* context,
                                            Handler handler) {
  return method.serve(context, std::move(handler));
}

}  // namespace sluice::rpc
