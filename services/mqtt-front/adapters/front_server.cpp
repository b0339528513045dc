#include "adapters/front_server.h"

#include "adapters/client_journal.h"
#include "adapters/front_peers.h"
#include "adapters/memory_session_store.h"
#include "adapters/redis_session_store.h"
#include "adapters/registry_authenticator.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <sluice/base/encoding.h>
#include <sluice/kafka/topic_admin.h>
#include <sluice/kafka/topics.h>
#include <sluice/redis/client.h>

#include <sys/resource.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;

// Records that one read of 64 KiB can bring: the smallest PUBLISH with a topic is about 8 bytes.
constexpr std::size_t kRoomPerRead = 8 * 1024;
constexpr auto kTopicsTimeout = 10s;
constexpr auto kHouseInterval = 100ms;
constexpr auto kDrainSlack = 2s;
// What we write and read. Whoever of its users comes first makes a topic.
constexpr std::array kTopics{kafka::topics::kTelemetryRaw, kafka::topics::kDeviceEvents,
                             kafka::topics::kShadowRequests, kafka::topics::kControlDevices,
                             kafka::topics::kControlLimits};

Options options_of(const Config& config) {
  const auto seconds = [](std::chrono::milliseconds time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time).count();
  };
  Options options;
  options.connection = {
      .max_packet_size = static_cast<std::uint32_t>(config.max_packet.count),
      .receive_maximum = static_cast<std::uint16_t>(config.receive_maximum),
      .send_maximum = static_cast<std::uint16_t>(config.send_maximum),
      .topic_alias_maximum = static_cast<std::uint16_t>(config.topic_alias_maximum)};
  options.session = {
      .max_queued = static_cast<std::size_t>(config.sessions.max_queued),
      .max_queued_bytes = static_cast<std::size_t>(config.sessions.max_queued_bytes.count)};
  options.max_session_expiry_seconds =
      static_cast<std::uint32_t>(seconds(config.max_session_expiry));
  options.max_keep_alive_seconds = static_cast<std::uint16_t>(seconds(config.max_keep_alive));
  options.max_subscriptions = static_cast<std::size_t>(config.max_subscriptions);
  options.max_filters = static_cast<std::size_t>(config.max_filters);
  options.max_output = static_cast<std::size_t>(config.max_output.count);
  options.region = config.region;
  if (config.is_conformance_profile) {
    // What the public suites expect to see; each is listed in the README.
    options.is_conformance_profile = true;
    options.connection.receive_maximum = 20;
    options.connection.topic_alias_maximum = 10;
    options.connection.outgoing_topic_aliases = 10;
    options.connection.topics = mqtt::kWidestTopics;
    options.connection.sends_reason_strings = false;
    options.connection.max_packet_size = mqtt::kMaxRemainingLength + 5;  // no limit
    options.connection.max_connect_size = options.connection.max_packet_size;
    options.max_keep_alive_seconds = 60;
    options.max_session_expiry_seconds = kSessionForever;
    options.max_subscriptions = 10'000;
    options.max_filters = 1000;
    options.max_client_id_size = 65'535;
  }
  return options;
}

ConnectionAdmission::Settings admission_of(const Config& config) {
  const auto per_second = static_cast<std::uint64_t>(config.connections_per_second);
  const auto per_client = static_cast<std::uint64_t>(config.connects_per_client);
  return {.node_connections = Rate(per_second, 2 * per_second),
          .max_handshakes = static_cast<std::size_t>(config.handshakes_at_once),
          .client_connects = Rate(per_client, 3 * per_client),
          .flapping_disconnects = static_cast<std::uint32_t>(config.flapping_disconnects)};
}

TenantLimits::Settings tenant_limits_of(const Config& config) {
  TenantLimits::Settings settings;
  settings.default_rates.messages =
      Rate(static_cast<std::uint64_t>(config.tenant_messages_per_second));
  settings.default_rates.connections =
      Rate(static_cast<std::uint64_t>(config.tenant_connections_per_second));
  return settings;
}

}  // namespace

/// Everything in the order in which it is made; destroyed from the last to the first.
class FrontServer::Impl final : public SessionStoreListener {
 public:
  Impl(const Config& config, const Clock& clock, Random& random, const Logger& log,
       Registry& registry)
      : config_(config),
        clock_(clock),
        random_(random),
        log_(log),
        registry_(registry),
        options_(options_of(config)),
        tenant_limits_(tenant_limits_of(config)),
        metrics_(registry),
        admission_(admission_of(config)),
        routes_(static_cast<std::size_t>(config.sessions.max_wide_subscriptions), random,
                options_.connection.topics),
        retained_({.max_messages = static_cast<std::size_t>(config.sessions.max_retained),
                   .max_bytes = static_cast<std::size_t>(config.sessions.max_retained_bytes.count),
                   .topics = options_.connection.topics},
                  random),
        has_topics_(config.is_conformance_profile),
        cache_({.max_identities = static_cast<std::size_t>(config.identity_cache_size),
                .stale_max =
                    std::chrono::duration_cast<std::chrono::seconds>(config.identity_stale_max)}) {}

  Result<> open() {
    raise_descriptor_limit();
    SLUICE_TRY(open_listeners());
    if (!config_.is_conformance_profile) {
      SLUICE_TRY_ASSIGN(registry_channel_,
                        rpc::Channel::open(config_.device_registry, config_.identity, clock_,
                                           random_, log_, registry_));
    }
    authenticator_ = registry_channel_
                         ? std::make_unique<RegistryAuthenticator>(
                               *registry_channel_, cache_, identity_options(), clock_, registry_)
                         : nullptr;
    peers_ = std::make_unique<FrontPeers>(config_.identity, clock_, random_, log_, registry_);
    const auto cores = std::max(1U, std::thread::hardware_concurrency());
    const std::size_t count =
        config_.loops > 0 ? static_cast<std::size_t>(config_.loops) : std::size_t{cores};
    for (std::size_t i = 0; i < count; ++i) {
      FrontLoop::Parts parts{
          .loop_options = {.nap = config_.loop_nap},
          .clock = clock_,
          .registry = registry_,
          .plans = plans_,
          .admission = admission_,
          .max_sockets = static_cast<std::size_t>(config_.max_connections) / count + 1};
      if (authenticator_) {
        parts.find_psk = [this](std::string identity, auto done) {
          authenticator_->find_psk(std::move(identity), std::move(done));
        };
      }
      parts.may_act = [this](MonoTime now) {
        return redis_store_ == nullptr || redis_store_->lease_is_valid(now);
      };
      SLUICE_TRY_ASSIGN(auto loop, FrontLoop::create(std::move(parts)));
      loops_.push_back(std::move(loop));
    }
    return {};
  }

  Result<> start(const std::string& grpc_address) {
    SLUICE_TRY(open_store(config_.grpc_advertise.empty() ? grpc_address : config_.grpc_advertise));
    const std::vector<FrontLoop*> all = loops();
    for (std::size_t i = 0; i < all.size(); ++i) SLUICE_TRY(attach(*all[i], i, all));
    for (FrontLoop* loop : all) SLUICE_TRY(loop->listen(plans_));
    for (FrontLoop* loop : all) loop->start();
    housekeeper_ = std::jthread([this](std::stop_token stop) { keep_house(stop); });
    return {};
  }

  std::vector<FrontLoop*> loops() const {
    std::vector<FrontLoop*> all;
    for (const auto& loop : loops_) all.push_back(loop.get());
    return all;
  }

  bool is_ready() const {
    return has_topics_ && (redis_store_ == nullptr || redis_store_->is_loaded());
  }

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
  }

  void stop() {
    housekeeper_ = {};  // asks it to end, and waits
    for (FrontLoop* loop : loops()) loop->stop();
    if (registry_channel_) registry_channel_->stop();
    peers_->stop();
  }

  const Config& config_;
  const Clock& clock_;
  Random& random_;
  const Logger& log_;
  Registry& registry_;
  const Options options_;
  const TenantLimits::Settings tenant_limits_;
  FrontMetrics metrics_;
  Gauge certificate_expiry_{registry_.gauge("sluice_mqtt_certificate_expiry_timestamp_seconds",
                                            "When the certificate shown to devices runs out.")};
  ingest::TopicMap topics_;
  ConnectionAdmission admission_;
  TenantBucketTable tenant_buckets_;
  Routes routes_;
  RetainedMessages retained_;
  std::atomic<bool> has_topics_;
  IdentityCache cache_;
  std::unique_ptr<net::TlsContext> tls_;
  std::unique_ptr<net::TlsContext> psk_;
  std::vector<ListenerPlan> plans_;

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

  IdentityOptions identity_options() const {
    DeviceLimits limits;
    limits.messages_per_second = static_cast<std::uint32_t>(config_.device_messages_per_second);
    limits.bytes_per_second = static_cast<std::uint32_t>(config_.device_bytes_per_second.count);
    limits.max_payload_bytes = static_cast<std::uint32_t>(config_.max_payload.count);
    return {.topics = topics_, .default_limits = limits};
  }

  // A process may have as many descriptors as the hard limit says, but mostly begins with few.
  void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log_.warning("descriptor_limit_not_raised");
    if (limit.rlim_max < static_cast<rlim_t>(config_.max_connections)) {
      log_.warning("descriptors_below_max_connections",
                   {{"descriptors", static_cast<std::int64_t>(limit.rlim_max)},
                    {"max_connections", config_.max_connections}});
    }
  }

  Result<> open_listeners() {
    const auto plan = [&](const char* name, const std::string& address, net::TlsContext* tls,
                          bool is_web_socket) {
      if (address.empty()) return;
      plans_.push_back({.name = name,
                        .address = address,
                        .tls = tls,
                        .is_web_socket = is_web_socket,
                        .expects_proxy_header = config_.expects_proxy_header,
                        .web_socket = {.path = config_.web_socket_path,
                                       .allowed_origins = config_.web_socket_origins,
                                       .max_frame_bytes = config_.max_packet.count},
                        .tenant_uri_prefix = config_.tenant_uri_prefix,
                        .connect_timeout = config_.connect_timeout,
                        .max_output = static_cast<std::size_t>(config_.max_output.count)});
    };
    if (!config_.mqtts_listen.empty() || !config_.wss_listen.empty()) {
      const auto wanted =
          config_.client_certificates == "required"   ? net::ClientCertificates::kRequired
          : config_.client_certificates == "optional" ? net::ClientCertificates::kOptional
                                                      : net::ClientCertificates::kNone;
      SLUICE_TRY_ASSIGN(tls_, net::TlsContext::open({.cert_file = config_.tls_cert_file,
                                                     .key_file = config_.tls_key_file,
                                                     .client_certificates = wanted,
                                                     .client_ca_file = config_.client_ca_file,
                                                     .ticket_key_file = config_.ticket_key_file,
                                                     .name = "mqtts"},
                                                    {}, clock_, random_, registry_));
    }
    if (!config_.psk_listen.empty()) {
      SLUICE_TRY_ASSIGN(psk_, net::TlsContext::open_psk({.name = "psk"}, clock_, registry_));
    }
    plan("mqtt", config_.mqtt_listen, nullptr, false);
    plan("mqtts", config_.mqtts_listen, tls_.get(), false);
    plan("psk", config_.psk_listen, psk_.get(), false);
    plan("ws", config_.ws_listen, nullptr, true);
    plan("wss", config_.wss_listen, tls_.get(), true);
    if (plans_.empty()) {
      return fail(ErrorCode::kFailedPrecondition, "no listener is configured: mqtts_listen, …");
    }
    return {};
  }

  Result<> open_store(const std::string& address) {
    std::array<std::byte, 8> bytes;
    random_.fill(bytes);
    const FrontId id(to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
    if (config_.sessions.session_store == "redis") {
      SLUICE_TRY_ASSIGN(auto client,
                        redis::Client::open(config_.redis, clock_, random_, registry_, log_));
      redis_store_ = std::make_unique<RedisSessionStore>(
          config_.sessions, clock_, registry_, log_, std::move(client),
          RedisSessionStore::Identity{.front = id, .address = address}, *this);
      return {};
    }
    memory_store_ = std::make_unique<MemorySessionStore>(config_.sessions, clock_, registry_);
    memory_store_->add_front(id, address, *this, post_to(*loops_.front()));
    front_id_ = id;
    return {};
  }

  Result<> attach(FrontLoop& loop, std::size_t index, const std::vector<FrontLoop*>& all) {
    SLUICE_TRY_ASSIGN(auto producer, kafka::open_producer(config_.kafka, config_.producer, clock_,
                                                          random_, log_, registry_));
    auto sink = std::make_unique<KafkaSink>(
        std::move(producer), static_cast<std::size_t>(config_.producer.max_in_flight_records),
        kRoomPerRead);
    LoopParts& parts = parts_.emplace_back();
    const LoopPost post = post_to(loop);
    parts.store =
        redis_store_ ? redis_store_->for_loop(post) : memory_store_->for_loop(front_id_, post);
    if (authenticator_) {
      parts.authenticator = authenticator_->for_loop(post);
    } else {
      parts.authenticator = std::make_unique<NoAuthenticator>();
    }
    parts.neighbours = std::make_unique<LoopNeighbours>(FrontLoops(all), index, *peers_);
    parts.journal = std::make_unique<ClientJournal>(loop.clock(), random_, log_, *sink, metrics_,
                                                    !config_.is_conformance_profile);
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
      if (memory_store_) memory_store_->tick(clock_.mono());
      retained_.sweep(clock_.mono(), 1000);
      if (is_draining_) drain();
      if (round % 50 != 0) continue;
      if (!has_topics_) prepare_topics();
      if (tls_)
        certificate_expiry_.set(static_cast<double>(
            std::chrono::duration_cast<std::chrono::seconds>(tls_->expires().time_since_epoch())
                .count()));
      for (net::TlsContext* context : {tls_.get(), psk_.get()}) {
        if (context == nullptr) continue;
        if (const auto reloaded = context->reload_if_changed(); !reloaded) {
          log_.error("certificate_not_reloaded", reloaded.error());
        }
      }
    }
  }

  void prepare_topics() {
    const Result<> made = [&]() -> Result<> {
      SLUICE_TRY_ASSIGN(auto admin, kafka::open_topic_admin(config_.kafka, log_));
      SLUICE_TRY(admin->ensure(kTopics, kTopicsTimeout));
      SLUICE_TRY_ASSIGN(const auto raw, admin->describe(options_.raw_topic, kTopicsTimeout));
      for (FrontLoop* loop : loops()) {
        loop->post([this, loop, count = raw.partitions] {
          loop->sink().set_partitions(options_.raw_topic, count);
        });
      }
      return {};
    }();
    if (!made) return log_.error("topics_not_ready", made.error());
    has_topics_ = true;
  }

  void drain() {
    const auto share = static_cast<std::size_t>(config_.drain_per_second) / 10 / loops_.size() + 1;
    for (FrontLoop* loop : loops()) {
      loop->post(
          [this, loop, share] { loop->broker().drain_some(share, config_.server_reference); });
    }
  }

  // SessionStoreListener: what other fronts did.
  void on_wide_put(const SessionStore::WideSubscription& wide) override {
    routes_.of(tenant_of(wide.key)).put(wide.key, wide.subscription);
  }
  void on_wide_removed(const SessionKey& key, std::string_view filter,
                       std::string_view group) override {
    routes_.of(tenant_of(key)).remove(key, filter, group);
  }
  void on_retained_put(const mqtt::MessagePtr& message) override {
    const StoredName name = split_stored_name(message->topic);
    mqtt::Message unnamed = *message;
    unnamed.topic = std::string(name.topic);
    retained_.put(name.tenant, std::make_shared<const mqtt::Message>(std::move(unnamed)));
  }
  void on_retained_removed(std::string_view stored) override {
    const StoredName name = split_stored_name(stored);
    retained_.remove(name.tenant, name.topic);
  }
  void on_fenced(const SessionKey& key, Epoch epoch) override {
    FrontLoop& loop = *loops_[loop_of(key, loops_.size())];
    loop.post([&loop, key, epoch] { loop.broker().fence(key, epoch); });
  }
  void on_will_due(const SessionKey& key, mqtt::Message message) override {
    FrontLoop& loop = *loops_[loop_of(key, loops_.size())];
    loop.post([&loop, key, message = std::move(message)]() mutable {
      loop.broker().publish(tenant_of(key),
                            std::make_shared<const mqtt::Message>(std::move(message)),
                            [](Result<FanOutCounts>) {});
    });
  }
  void on_lease(bool is_valid, bool sessions_lost) override {
    if (is_valid) {
      log_.info("session_lease", {{"is_valid", true}});
    } else {
      log_.warning("session_lease", {{"is_valid", false}, {"sessions_lost", sessions_lost}});
    }
    if (!sessions_lost) return;
    for (FrontLoop* loop : loops()) {
      loop->drop_all("another front may own the session");
    }
  }

  std::unique_ptr<rpc::Channel> registry_channel_;
  std::unique_ptr<RegistryAuthenticator> authenticator_;
  std::unique_ptr<FrontPeers> peers_;
  std::unique_ptr<MemorySessionStore> memory_store_;
  std::unique_ptr<RedisSessionStore> redis_store_;
  FrontId front_id_;
  std::deque<LoopParts> parts_;
  std::vector<std::unique_ptr<FrontLoop>> loops_;
  std::atomic<bool> is_draining_{false};
  std::mutex drain_mutex_;
  std::condition_variable drained_;  // looked at every kHouseInterval anyway
  std::jthread housekeeper_;
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
  for (const ListenerPlan& plan : impl_->plans_) bound.emplace_back(plan.name, plan.address);
  return bound;
}

std::vector<FrontLoop*> FrontServer::loops() const { return impl_->loops(); }
IdentityCache& FrontServer::identities() { return impl_->cache_; }
const ingest::TopicMap& FrontServer::topics() const { return impl_->topics_; }
bool FrontServer::is_ready() const { return impl_->is_ready(); }
void FrontServer::drain() { impl_->drain_all(); }
void FrontServer::stop() { impl_->stop(); }

}  // namespace sluice::front
