#include "adapters/front_server.h"

#include "adapters/client_journal.h"
#include "adapters/descriptor_limit.h"
#include "adapters/front_listeners.h"
#include "adapters/front_options.h"
#include "adapters/front_peers.h"
#include "adapters/front_store.h"
#include "adapters/front_topics.h"
#include "adapters/house_metrics.h"
#include "adapters/registry_authenticator.h"
#include "adapters/revoked_certificates.h"
#include "adapters/store_events.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <condition_variable>
#include <deque>
#include <latch>
#include <mutex>
#include <optional>
#include <thread>

#include <sluice/service/periodic_task.h>

#include <unistd.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;

// Records that one read of 64 KiB can bring: the smallest PUBLISH with a topic is about 8 bytes.
constexpr std::size_t kRoomPerRead = 8 * 1024;
constexpr auto kHouseInterval = 100ms;
constexpr auto kPartitionInterval = 1min;
constexpr auto kDrainSlack = 2s;
constexpr auto kSettleInterval = 10ms;
// For what has not come back from Kafka, the session store or other fronts once the devices are
// gone, in all loops. Much less than shutdown_grace: Kafka may be down, and the lease is given back
// after it.
constexpr auto kSettleLimit = 5s;
// The same once the last connections were ended, however long the devices took.
constexpr auto kLastSettleLimit = 1s;

/// In Kubernetes the pod's name.
std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

/// Below connect_timeout by enough for TLS before and the session after.
RegistryAuthenticator::Patience patience_of(const Config& config) {
  RegistryAuthenticator::Patience patience;
  patience.unknown = std::min(config.device_registry.timeout, config.connect_timeout * 3 / 5);
  patience.known = std::min(patience.known, patience.unknown);
  return patience;
}

}  // namespace

/// Everything in the order in which it is made; destroyed from the last to the first.
class FrontServer::Impl {
 public:
  Impl(const Config& config, const Clock& clock, Random& random, const Logger& log,
       Registry& registry)
      : config_(config),
        clock_(clock),
        random_(random),
        log_(log),
        registry_(registry),
        options_(options_of(config)),
        tenant_limits_(tenant_limit_settings_of(config)),
        metrics_(registry),
        admission_(admission_settings_of(config)),
        routes_(config.sessions.tenant_wide_subscriptions(), random, options_.connection.topics,
                static_cast<std::size_t>(config.sessions.max_wide_subscriptions)),
        retained_({.max_messages = static_cast<std::size_t>(config.sessions.max_retained),
                   .max_bytes = config.sessions.max_retained_bytes.count,
                   .max_messages_per_tenant = config.sessions.tenant_retained(),
                   .max_bytes_per_tenant = config.sessions.tenant_retained_bytes(),
                   .topics = options_.connection.topics},
                  random),
        has_topics_(config.is_conformance_profile),
        cache_({.max_identities = static_cast<std::size_t>(config.identity_cache_size),
                .stale_max =
                    std::chrono::duration_cast<std::chrono::seconds>(config.identity_stale_max)}) {}

  ~Impl() {
    for (const auto& loop : loops_) loop->detach();
  }

  Result<> open() {
    SLUICE_TRY(listeners_.open(config_, revoked_, clock_, random_));
    if (!config_.is_conformance_profile) {
      SLUICE_TRY_ASSIGN(registry_channel_,
                        rpc::Channel::open(config_.device_registry, config_.identity, clock_,
                                           random_, log_, registry_));
    }
    authenticator_ =
        registry_channel_
            ? std::make_unique<RegistryAuthenticator>(
                  patience_of(config_), *registry_channel_, cache_, revoked_,
                  IdentityOptions{.topics = topics_, .default_limits = device_limits_of(config_)},
                  clock_, random_, registry_)
            : nullptr;
    peers_ = std::make_unique<FrontPeers>(config_.identity, clock_, random_, log_, registry_);
    const auto cores = std::max(1U, std::thread::hardware_concurrency());
    const std::size_t count =
        config_.loops > 0 ? static_cast<std::size_t>(config_.loops) : std::size_t{cores};
    const std::size_t sockets =
        raise_descriptor_limit(static_cast<std::size_t>(config_.max_connections), count, log_);
    for (std::size_t i = 0; i < count; ++i) {
      FrontLoop::Parts parts{.loop_options = {.nap = config_.loop_nap},
                             .clock = clock_,
                             .registry = registry_,
                             .plans = listeners_.plans(),
                             .admission = admission_,
                             .max_sockets = sockets / count + 1};
      if (authenticator_) {
        parts.find_psk = [this](std::string identity, auto done) {
          authenticator_->find_psk(std::move(identity), std::move(done));
        };
      }
      parts.may_act = [this](MonoTime now) {
        return store_.may_act(now) || SLUICE_PLANTED_BUG("front_acts_after_fencing");
      };
      SLUICE_TRY_ASSIGN(auto loop, FrontLoop::create(std::move(parts)));
      loops_.push_back(std::move(loop));
    }
    events_.emplace(routes_, retained_, loops(), log_);
    house_metrics_.emplace(registry_, count);
    return {};
  }

  Result<> start(const std::string& grpc_address) {
    SLUICE_TRY(store_.open(config_,
                           config_.grpc_advertise.empty() ? grpc_address : config_.grpc_advertise,
                           *events_, post_to(*loops_.front()), {clock_, random_, log_, registry_}));
    const std::vector<FrontLoop*> all = loops();
    for (std::size_t i = 0; i < all.size(); ++i) SLUICE_TRY(attach(*all[i], i, all));
    for (FrontLoop* loop : all) SLUICE_TRY(loop->listen(listeners_.plans()));
    for (FrontLoop* loop : all) loop->start();
    housekeeper_ = std::jthread([this](std::stop_token stop) { keep_house(stop); });
    return {};
  }

  std::vector<FrontLoop*> loops() const {
    std::vector<FrontLoop*> all;
    for (const auto& loop : loops_) all.push_back(loop.get());
    return all;
  }

  bool is_ready() const { return has_topics_ && store_.is_loaded(); }

  void drain_all() {
    for (FrontLoop* loop : loops()) {
      loop->stop_listening();
      loop->post([loop] { loop->broker().begin_drain(); });
    }
    // What the rate takes, and a little for those who connect while the listeners close.
    const auto begun = clock_.mono();
    const double clients = metrics_.connections.value();
    const auto limit =
        kDrainSlack + std::chrono::milliseconds(static_cast<std::int64_t>(
                          1000.0 * clients / static_cast<double>(config_.drain_per_second)));
    is_draining_ = true;
    std::unique_lock lock(drain_mutex_);
    while (metrics_.connections.value() > 0 && clock_.mono() - begun < limit) {
      drained_.wait_for(lock, kHouseInterval);
    }
    lock.unlock();
    settle_by(clock_.mono() + kSettleLimit);
  }

  // While the loops run, as they alone can finish what they have begun. A QoS 2 publish that Kafka
  // has not answered for yet keeps its session here: another front must not have it before the
  // session knows of the publish, or it would be stored twice. A will that the store has handed out
  // is nowhere else.
  void settle_by(MonoTime deadline) {
    settles_until_ = deadline;
    if (SLUICE_PLANTED_BUG("front_leaves_qos2_half_done")) {
      for (FrontLoop* loop : loops()) loop->stop();
      return;
    }
    store_.stop_sweeping();
    std::unique_lock lock(drain_mutex_);
    while (unsettled() > 0 && clock_.mono() < settles_until_) {
      drained_.wait_for(lock, kSettleInterval);
    }
  }

  /// Of all loops, behind what was posted to them.
  std::size_t unsettled() {
    std::atomic<std::size_t> sum = 0;
    std::latch asked(static_cast<std::ptrdiff_t>(loops_.size()));
    for (FrontLoop* loop : loops()) {
      loop->post([&, loop] {
        sum += loop->unsettled();
        asked.count_down();
      });
    }
    asked.wait();
    return sum;
  }

  void stop() {
    if (std::exchange(is_stopped_, true)) return;
    const bool has_run = housekeeper_.joinable();
    housekeeper_ = {};  // asks it to end, and waits
    partition_task_.reset();
    if (has_run) {
      for (FrontLoop* loop : loops()) loop->end_connections();
      settle_by(std::max(clock_.mono() + kLastSettleLimit, settles_until_));
    }
    for (FrontLoop* loop : loops()) loop->stop();
    if (has_run) flush_records();
    if (registry_channel_) registry_channel_->stop();
    peers_->stop();
  }

  // What the loops could not see to in time, or were not allowed to. Wills and events: nobody else
  // says it later.
  void flush_records() {
    std::size_t sessions = 0;
    std::size_t records = 0;
    for (FrontLoop* loop : loops()) {
      const bool is_its_own = SLUICE_PLANTED_BUG("front_flushes_loop_by_loop");
      records += loop->flush_records(is_its_own ? clock_.mono() + kSettleLimit : settles_until_);
      sessions += loop->broker().clients();
    }
    if (records > 0) {
      log_.warning("records_not_flushed", {{"records", static_cast<std::int64_t>(records)}});
    }
    if (sessions > 0) {
      log_.warning("sessions_not_settled", {{"sessions", static_cast<std::int64_t>(sessions)}});
    }
  }

  const Config& config_;
  const Clock& clock_;
  Random& random_;
  const Logger& log_;
  Registry& registry_;
  const Options options_;
  const TenantLimits::Settings tenant_limits_;
  FrontMetrics metrics_;
  ingest::TopicMap topics_;
  ConnectionAdmission admission_;
  TenantBucketTable tenant_buckets_;
  Routes routes_;
  RetainedMessages retained_;
  std::atomic<bool> has_topics_;
  IdentityCache cache_;
  RevokedCertificates revoked_{clock_};
  FrontListeners listeners_{registry_};

 private:
  struct LoopParts {
    std::unique_ptr<SessionStore> store;
    std::unique_ptr<Authenticator> authenticator;
    std::unique_ptr<Neighbours> neighbours;
    std::unique_ptr<ClientJournal> journal;
  };
  /// Asked in the conformance profile by nobody.
  class NoAuthenticator final : public Authenticator {
    void authenticate(device::v1::AuthenticateRequest, Done<Verdict> done) override {
      done(fail(ErrorCode::kUnavailable, "the conformance profile asks nobody"));
    }
  };

  Result<> attach(FrontLoop& loop, std::size_t index, const std::vector<FrontLoop*>& all) {
    SLUICE_TRY_ASSIGN(auto producer, kafka::open_producer(config_.kafka, config_.producer, clock_,
                                                          random_, log_, registry_));
    auto sink = std::make_unique<KafkaSink>(
        std::move(producer), static_cast<std::size_t>(config_.producer.max_in_flight_records),
        kRoomPerRead);
    LoopParts& parts = parts_.emplace_back();
    const LoopPost post = post_to(loop);
    parts.store = store_.for_loop(post);
    if (authenticator_) {
      parts.authenticator = authenticator_->for_loop(post);
    } else {
      parts.authenticator = std::make_unique<NoAuthenticator>();
    }
    parts.neighbours = std::make_unique<LoopNeighbours>(FrontLoops(all), index, *peers_);
    parts.journal = std::make_unique<ClientJournal>(
        ClientJournal::Options{.sends_events = !config_.is_conformance_profile,
                               .front = host_name()},
        loop.clock(), random_, log_, metrics_);
    auto broker =
        std::make_unique<Broker>(options_, Broker::Ports{.clock = loop.clock(),
                                                         .random = random_,
                                                         .sink = *sink,
                                                         .authenticator = *parts.authenticator,
                                                         .store = *parts.store,
                                                         .neighbours = *parts.neighbours,
                                                         .routes = routes_,
                                                         .retained = retained_,
                                                         .observer = *parts.journal,
                                                         .metrics = metrics_,
                                                         .topics = topics_,
                                                         .admission = admission_,
                                                         .tenant_buckets = tenant_buckets_,
                                                         .tenant_limits = tenant_limits_,
                                                         .loop = index,
                                                         .loops = all.size()});
    parts.journal->attach(*broker);
    loop.attach(std::move(sink), std::move(broker), all);
    return {};
  }

  LoopPost post_to(FrontLoop& loop) {
    return [&loop](std::move_only_function<void()> task) { loop.post(std::move(task)); };
  }

  // What time alone brings: expiry, renewed certificates, draining.
  void keep_house(std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any condition;
    std::unique_lock lock(mutex);
    for (std::uint64_t round = 0; !stop.stop_requested(); ++round) {
      condition.wait_for(lock, stop, kHouseInterval, [] { return false; });
      store_.tick(clock_.mono());
      if (authenticator_) authenticator_->tick();
      retained_.sweep(clock_.mono(), 1000);
      if (is_draining_) drain();
      if (round % 10 == 0) house_metrics_->update(cache_.stats(), loops_);
      if (round % 50 != 0) continue;
      if (!has_topics_) prepare_topics();
      listeners_.renew(log_);
    }
  }

  void prepare_topics() {
    const auto partitions = ensure_topics(config_.kafka, options_.raw_topic, log_);
    if (!partitions) return log_.error("topics_not_ready", partitions.error());
    for (FrontLoop* loop : loops()) {
      loop->post([this, loop, count = *partitions] {
        loop->sink().set_partitions(options_.raw_topic, count);
      });
    }
    watch_partitions(*partitions);
    has_topics_ = true;
  }

  void watch_partitions(std::int32_t counted) {
    partition_watch_.emplace([this] { return kafka::open_topic_admin(config_.kafka, log_); },
                             options_.raw_topic, counted, log_, registry_);
    partition_task_.emplace(
        service::PeriodicTask::Options{.name = "partition_watch", .interval = kPartitionInterval},
        clock_, random_, log_, registry_,
        [this](const std::stop_token&) { return partition_watch_->look(); });
  }

  void drain() {
    const auto share = static_cast<std::size_t>(config_.drain_per_second) / 10 / loops_.size() + 1;
    for (FrontLoop* loop : loops()) {
      loop->post(
          [this, loop, share] { loop->broker().drain_some(share, config_.server_reference); });
    }
  }

  std::unique_ptr<rpc::Channel> registry_channel_;
  std::unique_ptr<RegistryAuthenticator> authenticator_;
  std::unique_ptr<FrontPeers> peers_;
  // The stores post to the loops as long as there are stores.
  std::vector<std::unique_ptr<FrontLoop>> loops_;
  std::optional<StoreEvents> events_;
  std::optional<HouseMetrics> house_metrics_;
  FrontStore store_;
  std::deque<LoopParts> parts_;
  std::atomic<bool> is_draining_{false};
  bool is_stopped_ = false;
  MonoTime settles_until_{MonoTime::min()};
  std::mutex drain_mutex_;
  std::condition_variable drained_;  // looked at every kHouseInterval anyway
  std::optional<PartitionWatch> partition_watch_;
  std::optional<service::PeriodicTask> partition_task_;
  std::jthread housekeeper_;  // makes the two before
};

Result<std::unique_ptr<FrontServer>> FrontServer::open(const Config& config, const Clock& clock,
                                                       Random& random, const Logger& log,
                                                       Registry& registry) {
  auto impl = std::make_unique<Impl>(config, clock, random, log, registry);
  SLUICE_TRY(impl->open());
  return std::unique_ptr<FrontServer>(new FrontServer(std::move(impl)));
}

FrontServer::FrontServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FrontServer::~FrontServer() { stop(); }

Result<> FrontServer::start(const std::string& grpc_address) { return impl_->start(grpc_address); }

std::vector<std::pair<std::string, std::string>> FrontServer::addresses() const {
  std::vector<std::pair<std::string, std::string>> bound;
  for (const ListenerPlan& plan : impl_->listeners_.plans())
    bound.emplace_back(plan.name, plan.address);
  return bound;
}

std::vector<FrontLoop*> FrontServer::loops() const { return impl_->loops(); }
IdentityCache& FrontServer::identities() { return impl_->cache_; }
const ingest::TopicMap& FrontServer::topics() const { return impl_->topics_; }
bool FrontServer::is_ready() const { return impl_->is_ready(); }
void FrontServer::drain() { impl_->drain_all(); }
void FrontServer::stop() { impl_->stop(); }

}  // namespace sluice::front
