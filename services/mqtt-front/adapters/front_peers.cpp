#include "adapters/front_peers.h"

#include "adapters/wire_message.h"
#include "core/broker.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sluice/grpc/raw.h>
#include <sluice/mqtt/v1/mqtt_front.grpc.pb.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;
using Service = mqtt::v1::MqttFrontService;
using Outcome = Neighbours::Outcome;

// Few enough that batches fill under load, enough that a slow session holds up only its share.
constexpr std::size_t kLanes = 4;
// How often late answers are looked at while there are any, and peers without use.
constexpr auto kLookAtDelayed = 20ms;
constexpr auto kLookAtPeers = 30s;

Error stopped() { return Error(ErrorCode::kCancelled, "the front is stopping"); }

Result<Outcome> from_wire(mqtt::v1::DeliveryOutcome outcome) {
  switch (outcome) {
    case mqtt::v1::DELIVERY_OUTCOME_TAKEN:
      return Outcome::kDelivered;
    case mqtt::v1::DELIVERY_OUTCOME_FULL:
      return Outcome::kFull;
    case mqtt::v1::DELIVERY_OUTCOME_NOBODY:
      return Outcome::kNobody;
    case mqtt::v1::DELIVERY_OUTCOME_NOT_HERE:
      return fail(Error(ErrorCode::kUnavailable, "the session is not held by that front")
                      .with_reason("not_here"));
    default:
      return fail(ErrorCode::kInternal, "another front gave an outcome that makes no sense");
  }
}

struct Metrics {
  explicit Metrics(Registry& registry)
      : sent(registry.counter("sluice_mqtt_peer_messages_total",
                              "Messages that were sent to other fronts.")),
        calls(registry.counter("sluice_mqtt_peer_batches_total",
                               "Calls that these messages went in.")),
        failed(registry.counter("sluice_mqtt_peer_messages_failed_total",
                                "Messages of calls that failed: they may have arrived.")),
        not_here(registry.counter("sluice_mqtt_peer_messages_not_here_total",
                                  "Messages for sessions that the other front did not hold.")),
        queue_full(refused(registry, "queue_full")),
        too_many_fronts(refused(registry, "too_many_fronts")),
        too_many_releases(refused(registry, "too_many_releases")),
        loop_full(refused(registry, "loop_full")),
        not_released(registry.counter("sluice_mqtt_peer_releases_failed_total",
                                      "Sessions that another front was asked for in vain.")),
        peers(registry.gauge("sluice_mqtt_peers", "Other fronts with an open channel.")) {}

  static Counter refused(Registry& registry, const std::string& cause) {
    return registry.counter("sluice_mqtt_peer_refused_total",
                            "What was not handed to another front or loop, as too much waits.",
                            {{"cause", cause}});
  }

  Counter sent;
  Counter calls;
  Counter failed;
  Counter not_here;
  Counter queue_full;
  Counter too_many_fronts;
  Counter too_many_releases;
  Counter loop_full;
  Counter not_released;
  Gauge peers;
};

/// One other front. Users are those who are about to call it and its calls under way; without any
/// it may be destroyed.
class OtherFront {
 public:
  OtherFront(const FrontPeers::Settings& settings, const Clock& clock, Metrics& metrics,
             std::unique_ptr<rpc::Channel> channel)
      : settings_(settings),
        clock_(clock),
        metrics_(metrics),
        channel_(std::move(channel)),
        client_(*channel_) {}
  ~OtherFront() { stop(); }
  OtherFront(const OtherFront&) = delete;
  OtherFront& operator=(const OtherFront&) = delete;

  /// Keeps it from being destroyed.
  class Use {
   public:
    explicit Use(OtherFront& front) : front_(&front) { ++front.users_; }
    Use(Use&& other) noexcept : front_(std::exchange(other.front_, nullptr)) {}
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (front_ == nullptr) return;
      front_->used_at_ = front_->clock_.mono();
      --front_->users_;
    }
    OtherFront* operator->() const { return front_; }

   private:
    OtherFront* front_;
  };

  /// Whether nobody uses it since `moment`. No use may begin meanwhile.
  bool is_unused_since(MonoTime moment) const { return users_ == 0 && used_at_.load() <= moment; }

  void deliver(const SessionKey& key, const Parcel& parcel, Done<Outcome> done) {
    Lane& lane = lanes_[std::hash<SessionKey>{}(key) % kLanes];
    const std::size_t bytes = parcel.delivery.message->size_bytes();
    std::unique_lock lock(lane.mutex);
    if (lane.waiting.size() >= settings_.max_queued ||
        lane.bytes + bytes > settings_.max_queued_bytes) {
      lock.unlock();
      metrics_.queue_full.add();
      return done(fail(Error(ErrorCode::kResourceExhausted, "too much waits for that front")
                           .with_reason("peer_queue_full")));
    }
    lane.bytes += bytes;
    lane.waiting.push_back({.key = key, .parcel = parcel, .bytes = bytes, .done = std::move(done)});
    if (std::exchange(lane.is_busy, true)) return;
    lock.unlock();
    send_next(lane);
  }

  void release(const SessionKey& key, Epoch epoch,
               std::move_only_function<void(Result<mqtt::v1::ReleaseResponse>)> done) {
    mqtt::v1::ReleaseRequest request;
    request.set_session(key.value());
    request.set_epoch(epoch.value());
    client_.call_async(&rpc::Client<Service>::Stub::Release, std::move(request),
                       {.timeout = settings_.release_timeout},
                       [use = Use(*this), done = std::move(done)](auto answer) mutable {
                         done(std::move(answer));
                       });
  }

  void stop() { channel_->stop(); }

 private:
  struct Waiting {
    SessionKey key{};
    Parcel parcel{};
    std::size_t bytes = 0;
    Done<Outcome> done;
  };
  struct Lane {
    std::mutex mutex;  // guards the rest
    std::deque<Waiting> waiting{};
    std::size_t bytes = 0;
    bool is_busy = false;  // a call is under way or about to be
  };

  /// By whoever made the lane busy.
  void send_next(Lane& lane) {
    std::vector<Waiting> batch = take_batch(lane);
    if (batch.empty()) return;
    mqtt::v1::DeliverRequest request;
    const Moment now = Moment::of(clock_);
    for (Waiting& waiting : batch) {
      to_wire(waiting.key, waiting.parcel, now, *request.add_deliveries());
      waiting.parcel = {};
    }
    metrics_.sent.add(batch.size());
    metrics_.calls.add();
    client_.call_async(
        &rpc::Client<Service>::Stub::Deliver, std::move(request), {.timeout = settings_.timeout},
        [this, use = Use(*this), &lane,
         batch = std::move(batch)](Result<mqtt::v1::DeliverResponse> answer) mutable {
          answer_all(batch, answer);
          send_next(lane);
        });
  }

  std::vector<Waiting> take_batch(Lane& lane) {
    std::vector<Waiting> batch;
    std::size_t bytes = 0;
    const std::lock_guard lock(lane.mutex);
    while (!lane.waiting.empty() && batch.size() < settings_.max_batch) {
      Waiting& next = lane.waiting.front();
      if (!batch.empty() && bytes + next.bytes > settings_.max_batch_bytes) break;
      bytes += next.bytes;
      lane.bytes -= next.bytes;
      batch.push_back(std::move(next));
      lane.waiting.pop_front();
    }
    lane.is_busy = !batch.empty();
    return batch;
  }

  void answer_all(std::vector<Waiting>& batch, const Result<mqtt::v1::DeliverResponse>& answer) {
    if (!answer) {
      metrics_.failed.add(batch.size());
      for (Waiting& waiting : batch) waiting.done(fail(answer.error()));
      return;
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const bool has_outcome = i < static_cast<std::size_t>(answer->outcomes_size());
      const auto wire = has_outcome ? answer->outcomes(static_cast<int>(i))
                                    : mqtt::v1::DELIVERY_OUTCOME_UNSPECIFIED;
      if (wire == mqtt::v1::DELIVERY_OUTCOME_NOT_HERE) metrics_.not_here.add();
      batch[i].done(from_wire(wire));
    }
  }

  const FrontPeers::Settings& settings_;
  const Clock& clock_;
  Metrics& metrics_;
  std::atomic<std::size_t> users_{0};
  std::atomic<MonoTime> used_at_{MonoTime::min()};
  std::array<Lane, kLanes> lanes_{};
  std::unique_ptr<rpc::Channel> channel_;  // its callbacks use what is above
  rpc::Client<Service> client_;
};

}  // namespace

class FrontPeers::Impl {
 public:
  Impl(const Settings& settings, const crypto::TlsIdentity& identity, const Clock& clock,
       Random& random, const Logger& log, Registry& registry)
      : settings_(settings),
        identity_(identity),
        clock_(clock),
        random_(random),
        log_(log),
        registry_(registry),
        metrics_(registry),
        thread_([this](const std::stop_token& stop) { keep_house(stop); }) {}

  ~Impl() { stop(); }

  void deliver(const std::string& address, const SessionKey& key, const Parcel& parcel,
               Done<Outcome> done) {
    auto peer = use(address);
    if (!peer) return done(fail(std::move(peer).error()));
    (*peer)->deliver(key, parcel, std::move(done));
  }

  void release(const std::string& address, const SessionKey& key, Epoch epoch, Done<void> done) {
    const MonoTime asked_at = clock_.mono();
    if (releases_.fetch_add(1) >= settings_.max_releases) {
      metrics_.too_many_releases.add();
      return settle_later(asked_at + settings_.release_timeout,
                          Error(ErrorCode::kResourceExhausted, "too many sessions are asked for"),
                          std::move(done));
    }
    auto peer = use(address);
    if (!peer) {
      return settle_later(asked_at + settings_.release_timeout, std::move(peer).error(),
                          std::move(done));
    }
    (*peer)->release(
        key, epoch,
        [this, asked_at, done = std::move(done)](Result<mqtt::v1::ReleaseResponse> answer) mutable {
          on_release(asked_at, std::move(answer), std::move(done));
        });
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      is_stopped_ = true;
    }
    // Nothing is added to the map any more, and the thread is the only one that takes from it.
    thread_ = {};
    for (auto& [address, peer] : peers_) peer->stop();
    std::multimap<MonoTime, Delayed> delayed;
    {
      const std::lock_guard lock(delayed_mutex_);
      is_closed_ = true;
      delayed.swap(delayed_);
    }
    for (auto& [due, answer] : delayed) settle(stopped(), std::move(answer.done));
  }

  Metrics& metrics() { return metrics_; }

 private:
  struct Delayed {
    Error error;
    Done<void> done;
  };

  Result<OtherFront::Use> use(const std::string& address) {
    const std::lock_guard lock(mutex_);
    if (is_stopped_) return fail(stopped());
    auto found = peers_.find(address);
    if (found == peers_.end()) {
      if (peers_.size() >= settings_.max_peers) {
        metrics_.too_many_fronts.add();
        return fail(
            Error(ErrorCode::kResourceExhausted, "too many fronts").with_reason("too_many_fronts"));
      }
      const rpc::ClientConfig config{.service = "mqtt-front",
                                     .address = address,
                                     .timeout = settings_.timeout,
                                     .max_attempts = 1};
      SLUICE_TRY_ASSIGN(auto channel,
                        rpc::Channel::open(config, identity_, clock_, random_, log_, registry_));
      found = peers_
                  .emplace(address, std::make_unique<OtherFront>(settings_, clock_, metrics_,
                                                                 std::move(channel)))
                  .first;
      metrics_.peers.set(static_cast<double>(peers_.size()));
    }
    return OtherFront::Use(*found->second);
  }

  void on_release(MonoTime asked_at, Result<mqtt::v1::ReleaseResponse> answer, Done<void> done) {
    if (!answer) {
      return settle_later(asked_at + settings_.release_timeout, std::move(answer).error(),
                          std::move(done));
    }
    if (!answer->was_held()) {
      return settle_later(asked_at + settings_.not_held_pause,
                          Error(ErrorCode::kFailedPrecondition, "that front does not hold it")
                              .with_reason("not_held"),
                          std::move(done));
    }
    --releases_;
    done({});
  }

  void settle(Error error, Done<void> done) {
    metrics_.not_released.add();
    --releases_;
    done(fail(std::move(error)));
  }

  void settle_later(MonoTime due, Error error, Done<void> done) {
    {
      const std::lock_guard lock(delayed_mutex_);
      if (!is_closed_) {
        delayed_.emplace(due, Delayed{.error = std::move(error), .done = std::move(done)});
        is_delayed_.notify_all();
        return;
      }
    }
    settle(stopped(), std::move(done));
  }

  void keep_house(const std::stop_token& stop) {
    std::unique_lock lock(delayed_mutex_);
    while (!stop.stop_requested()) {
      if (delayed_.empty()) {
        is_delayed_.wait_for(lock, stop, kLookAtPeers, [this] { return !delayed_.empty(); });
      } else {
        is_delayed_.wait_for(lock, stop, kLookAtDelayed, [] { return false; });
      }
      const MonoTime now = clock_.mono();
      while (!delayed_.empty() && delayed_.begin()->first <= now) {
        Delayed due = std::move(delayed_.extract(delayed_.begin()).mapped());
        lock.unlock();
        settle(std::move(due.error), std::move(due.done));
        lock.lock();
      }
      lock.unlock();
      drop_unused(now - settings_.unused_after);
      lock.lock();
    }
  }

  void drop_unused(MonoTime since) {
    std::vector<std::unique_ptr<OtherFront>>
        dropped;  // destroyed without the lock: a channel takes time
    const std::lock_guard lock(mutex_);
    for (auto peer = peers_.begin(); peer != peers_.end();) {
      if (!peer->second->is_unused_since(since)) {
        ++peer;
        continue;
      }
      dropped.push_back(std::move(peer->second));
      peer = peers_.erase(peer);
    }
    metrics_.peers.set(static_cast<double>(peers_.size()));
  }

  const Settings settings_;
  const crypto::TlsIdentity identity_;
  const Clock& clock_;
  Random& random_;
  const Logger& log_;
  Registry& registry_;
  Metrics metrics_;
  std::atomic<std::size_t> releases_{0};

  std::mutex delayed_mutex_;  // guards the next three
  std::condition_variable_any is_delayed_;
  std::multimap<MonoTime, Delayed> delayed_;
  bool is_closed_ = false;  // nobody looks at it any more

  std::mutex mutex_;  // guards what follows
  std::unordered_map<std::string, std::unique_ptr<OtherFront>> peers_;
  bool is_stopped_ = false;

  std::jthread thread_;
};

FrontPeers::FrontPeers(const crypto::TlsIdentity& identity, const Clock& clock, Random& random,
                       const Logger& log, Registry& registry)
    : FrontPeers(Settings(), identity, clock, random, log, registry) {}

FrontPeers::FrontPeers(const Settings& settings, const crypto::TlsIdentity& identity,
                       const Clock& clock, Random& random, const Logger& log, Registry& registry)
    : impl_(std::make_unique<Impl>(settings, identity, clock, random, log, registry)) {}

FrontPeers::~FrontPeers() = default;

void FrontPeers::deliver(const std::string& address, const SessionKey& key, const Parcel& parcel,
                         Done<Outcome> done) {
  impl_->deliver(address, key, parcel, std::move(done));
}

void FrontPeers::release(const std::string& address, const SessionKey& key, Epoch epoch,
                         Done<void> done) {
  impl_->release(address, key, epoch, std::move(done));
}

void FrontPeers::count_loop_full() { impl_->metrics().loop_full.add(); }

void FrontPeers::stop() { impl_->stop(); }

}  // namespace sluice::front
