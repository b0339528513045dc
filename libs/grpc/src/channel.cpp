#include "address.h"
#include "channel_impl.h"
#include "monotonic.h"

#include <format>
#include <utility>

#include <sluice/base/check.h>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

namespace sluice::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The largest that a server of ours can be set to send.
constexpr int kMaxAnswerSize = 16 << 20;
// A peer that vanished without a word is noticed within 40 s; the server allows one ping in 10 s.
constexpr milliseconds kKeepaliveTime = seconds(30);
constexpr milliseconds kKeepaliveTimeout = seconds(10);
// gRPC's own first wait is 1 s and its longest 120 s: too long for a service that restarts.
constexpr milliseconds kFirstReconnect = milliseconds(100);
constexpr milliseconds kLastReconnect = seconds(5);
// Three stat() calls; a certificate is renewed hours before it runs out.
constexpr milliseconds kFilesCheckInterval = seconds(1);

int milliseconds_of(milliseconds duration) { return static_cast<int>(duration.count()); }

grpc::ChannelArguments arguments_for(const ClientConfig& config, bool is_tls) {
  grpc::ChannelArguments arguments;
  // The certificate must carry the service's name, whatever name or address leads to it.
  if (is_tls) arguments.SetSslTargetNameOverride(config.service);
  arguments.SetLoadBalancingPolicyName("round_robin");
  arguments.SetMaxReceiveMessageSize(kMaxAnswerSize);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Its own connections, so that an abandoned one ends and no other channel's certificate is used.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Nothing around us decides where calls go: no proxy from the environment, no policy from the
  // DNS.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds_of(kKeepaliveTime));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds_of(kKeepaliveTimeout));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, milliseconds_of(kFirstReconnect));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, milliseconds_of(kLastReconnect));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, milliseconds_of(kLastReconnect));
  return arguments;
}

std::shared_ptr<grpc::ChannelCredentials> credentials_of(const crypto::TlsMaterial* material) {
  if (material == nullptr) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = material->ca_pem;
  options.pem_private_key = material->key_pem.reveal();
  options.pem_cert_chain = material->cert_chain_pem;
  return grpc::SslCredentials(options);
}

Labels labels_of(const ClientConfig& config) { return {{"service", config.service}}; }

}  // namespace

Channel::Impl::Impl(const ClientConfig& c, const Clock& k, Random& r, const Logger& l, Registry& g)
    : config(c),
      clock(k),
      random(r),
      log(l),
      registry(g),
      attempts_ok(g.counter("sluice_grpc_client_attempts_total",
                            "Attempts of calls, by status code.",
                            {{"service", c.service}, {"code", "ok"}})),
      retries(
          g.counter("sluice_grpc_client_retries_total", "Attempts after the first.", labels_of(c))),
      retries_over_budget(g.counter("sluice_grpc_client_retries_over_budget_total",
                                    "Retries not made because too few calls succeed.",
                                    labels_of(c))),
      reloads(g.counter("sluice_grpc_client_certificate_reloads_total",
                        "New connections because the certificate was renewed.", labels_of(c))),
      reloads_failed(g.counter("sluice_grpc_client_certificate_reloads_failed_total",
                               "Looks at changed certificate files that could not be taken.",
                               labels_of(c))),
      call_seconds(g.histogram("sluice_grpc_client_call_seconds", "Whole calls, retries included.",
                               latency_buckets_seconds(), labels_of(c))) {}

void Channel::Impl::connect(std::shared_ptr<const crypto::TlsMaterial> with_material) {
  material = std::move(with_material);
  current = grpc::CreateCustomChannel("dns:///" + config.address, credentials_of(material.get()),
                                      arguments_for(config, material != nullptr));
}

std::shared_ptr<grpc::Channel> Channel::Impl::connection() {
  std::lock_guard lock(connection_mutex);
  if (files) take_up_renewed_files();
  return current;
}

void Channel::Impl::take_up_renewed_files() {
  const MonoTime now = clock.mono();
  if (now - files_checked_at < kFilesCheckInterval) return;
  files_checked_at = now;
  // Stubs let go of a connection when they are next used, calls when they end.
  std::erase_if(retired, [](const auto& connection) { return connection.use_count() == 1; });
  if (auto reloaded = files->reload_if_changed(); !reloaded) {
    reloads_failed.add();
    if (reloaded.error().message() == last_reload_error) return;
    last_reload_error = reloaded.error().message();
    log.error("grpc_certificate_reload_failed", reloaded.error(), {{"service", config.service}});
    return;
  }
  auto fresh = files->current();
  if (fresh == material) return;
  retired.push_back(std::move(current));
  connect(std::move(fresh));
  current->GetState(/*try_to_connect=*/true);
  reloads.add();
  log.info("grpc_certificate_renewed", {{"service", config.service}});
}

bool Channel::Impl::add(std::shared_ptr<OngoingCall> call) {
  std::lock_guard lock(calls_mutex);
  if (is_stopped) return false;
  calls.insert(std::move(call));
  return true;
}

void Channel::Impl::remove(const std::shared_ptr<OngoingCall>& call) {
  std::lock_guard lock(calls_mutex);
  calls.erase(call);
  // Under the lock: whoever waits may destroy the channel as soon as it is released.
  if (calls.empty()) no_calls.notify_all();
}

void Channel::Impl::stop() {
  std::unique_lock lock(calls_mutex);
  is_stopped = true;
  const auto cancelled = calls;
  lock.unlock();
  for (const auto& call : cancelled) call->cancel();
  lock.lock();
  no_calls.wait(lock, [this] { return calls.empty(); });
}

void Channel::Impl::count_attempt(const grpc::Status& status) {
  if (status.ok()) {
    attempts_ok.add();
    return;
  }
  const std::string code(to_string(from_status(status).error().code()));
  registry
      .counter("sluice_grpc_client_attempts_total", "Attempts of calls, by status code.",
               {{"service", config.service}, {"code", code}})
      .add();
}

Channel::Channel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Channel::~Channel() { stop(); }

Result<std::unique_ptr<Channel>> Channel::open(const ClientConfig& config,
                                               const crypto::TlsIdentity& identity,
                                               const Clock& clock, Random& random,
                                               const Logger& log, Registry& registry) {
  auto impl = std::make_unique<Impl>(config, clock, random, log, registry);
  if (identity.is_set()) {
    SLUICE_TRY_ASSIGN(impl->files, crypto::TlsFiles::open(identity, clock));
    impl->files_checked_at = clock.mono();
    impl->connect(impl->files->current());
  } else {
    if (!is_loopback(config.address)) {
      return fail(Error(ErrorCode::kFailedPrecondition,
                        std::format("gRPC to {} without tls_cert_file is for loopback only",
                                    config.service))
                      .with_fault("tls_cert_file", "must be set, as the address is not loopback"));
    }
    impl->connect(nullptr);
  }
  return std::unique_ptr<Channel>(new Channel(std::move(impl)));
}

bool Channel::is_connected() {
  return impl_->connection()->GetState(/*try_to_connect=*/true) == GRPC_CHANNEL_READY;
}

bool Channel::wait_connected(milliseconds timeout) {
  return impl_->connection()->WaitForConnected(grpc_time_after(timeout));
}

void Channel::stop() { impl_->stop(); }

}  // namespace sluice::rpc
