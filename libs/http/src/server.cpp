#include <sluice/http/server.h>

#include "exchange.h"
#include "poller.h"
#include "tls_context.h"

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <sluice/base/bounded_queue.h>
#include <sluice/base/check.h>

namespace sluice::http {
namespace {

/// The connections that workers have, so that stop() can wait for them and at last cut them.
class InHand {
 public:
  /// False when everything is being cut: the request is not to be begun.
  bool add(const Connection& connection) {
    std::lock_guard lock(mutex_);
    if (is_cut_) return false;
    connections_.insert(&connection);
    return true;
  }

  void remove(const Connection& connection) {
    std::lock_guard lock(mutex_);
    connections_.erase(&connection);
  }

  void cut_all() {
    std::lock_guard lock(mutex_);
    is_cut_ = true;
    for (const Connection* connection : connections_) connection->transport.cut();
  }

 private:
  std::mutex mutex_;
  std::set<const Connection*> connections_;
  bool is_cut_ = false;
};

}  // namespace

struct Server::Impl {
  Impl(Config config, Router router, const Clock& clock, Random& random, Logger log,
       Registry& registry, Ports ports)
      : core(std::move(config), std::move(router), clock, random, std::move(log), registry, ports),
        jobs(static_cast<std::size_t>(core.config.max_waiting)) {}

  void work();
  void stop();

  Core core;
  BoundedQueue<Job> jobs;
  InHand in_hand;
  std::unique_ptr<ServerTls> tls;
  std::unique_ptr<Poller> poller;

  std::mutex
      stop_mutex;  // held through a whole stop(), so that a second caller waits for the first
  bool is_running = false;
  std::jthread poller_thread;
  std::vector<std::jthread> workers;

  std::mutex rest_mutex;
  std::condition_variable at_rest;
  std::size_t busy_workers = 0;
};

void Server::Impl::work() {
  while (auto job = jobs.pop()) {
    core.metrics.waiting.add(-1);
    auto connection = std::move(job->connection);
    Ending ending = Ending::kCut;
    if (in_hand.add(*connection)) {
      core.metrics.in_flight.add(1);
      ending = Exchange(core, *connection).run();
      core.metrics.in_flight.add(-1);
      in_hand.remove(*connection);
    }
    poller->give_back(std::move(connection), ending);
  }
  std::lock_guard lock(rest_mutex);
  --busy_workers;
  at_rest.notify_all();
}

void Server::Impl::stop() {
  std::lock_guard lock(stop_mutex);
  if (!is_running) return;
  is_running = false;
  core.is_draining = true;
  poller->stop_intake();
  jobs.close();  // what waits is still handled
  {
    std::unique_lock rest(rest_mutex);
    at_rest.wait_for(rest, core.config.drain_timeout, [&] { return busy_workers == 0; });
  }
  in_hand.cut_all();
  workers.clear();
  poller->end();
  poller_thread.join();
}

Server::Server(Config config, Router router, const Clock& clock, Random& random, Logger log,
               Registry& registry, Ports ports)
    : impl_(std::make_unique<Impl>(std::move(config), std::move(router), clock, random,
                                   std::move(log), registry, ports)) {
  for (const auto& route : impl_->core.router.routes()) {
    // Nobody could be let in, and that must not be found out by the first caller.
    SLUICE_CHECK(route->access.is_open() || ports.authenticator != nullptr);
  }
}

Server::~Server() { stop(); }

Result<std::string> Server::start() {
  std::lock_guard lock(impl_->stop_mutex);
  SLUICE_CHECK(impl_->poller == nullptr);
  const Config& config = impl_->core.config;
  if (config.tls_cert_file.empty() != config.tls_key_file.empty()) {
    return fail(ErrorCode::kFailedPrecondition,
                "certificate and key go together: give both or neither");
  }
  if (!config.tls_cert_file.empty()) {
    SLUICE_TRY_ASSIGN(
        impl_->tls, ServerTls::open(config.tls_cert_file, config.tls_key_file, impl_->core.clock));
  }
  auto poller = std::make_unique<Poller>(impl_->core, impl_->tls.get(), impl_->jobs);
  SLUICE_TRY_ASSIGN(auto address, poller->listen());
  impl_->poller = std::move(poller);
  impl_->is_running = true;
  impl_->poller_thread = std::jthread([impl = impl_.get()] { impl->poller->run(); });
  impl_->busy_workers = static_cast<std::size_t>(config.threads);
  for (std::int64_t i = 0; i < config.threads; ++i) {
    impl_->workers.emplace_back([impl = impl_.get()] { impl->work(); });
  }
  return address;
}

void Server::begin_drain() { impl_->core.is_draining = true; }

void Server::stop() { impl_->stop(); }

Result<bool> Server::reload_certificates() {
  return impl_->poller == nullptr ? Result<bool>(false) : impl_->poller->reload_certificates();
}

const Router& Server::router() const { return impl_->core.router; }

}  // namespace sluice::http
