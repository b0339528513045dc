#include "adapters/front_peers.h"

#include "adapters/other_front.h"
#include "adapters/peer_metrics.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;
using Outcome = Neighbours::Outcome;

// How often late answers are looked at while there are any, and peers without use.
constexpr auto kLookAtDelayed = 20ms;
constexpr auto kLookAtPeers = 30s;

Error stopped() { return Error(ErrorCode::kCancelled, "the front is stopping"); }

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

  PeerMetrics& metrics() { return metrics_; }

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
    metrics_.not_released(error.reason());
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
  PeerMetrics metrics_;
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
