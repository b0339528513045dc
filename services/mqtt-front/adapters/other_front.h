#pragma once

#include "adapters/front_peers.h"
#include "adapters/peer_metrics.h"
#include "ports.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <sluice/base/clock.h>
#include <sluice/grpc/raw.h>
#include <sluice/mqtt/v1/mqtt_front.grpc.pb.h>

namespace sluice::front {

/// One other front: its channel, and the lanes that messages for it wait in; see FrontPeers. Users
/// are those who are about to call it and its calls under way; without any it may be destroyed.
class OtherFront {
 public:
  OtherFront(const FrontPeers::Settings& settings, const Clock& clock, PeerMetrics& metrics,
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

  void deliver(const SessionKey& key, const Parcel& parcel, Done<Neighbours::Outcome> done);
  void release(const SessionKey& key, Epoch epoch,
               std::move_only_function<void(Result<mqtt::v1::ReleaseResponse>)> done);
  void stop() { channel_->stop(); }

 private:
  // Few enough that batches fill under load, enough that a slow session holds up only its share.
  static constexpr std::size_t kLanes = 4;

  struct Waiting {
    SessionKey key{};
    Parcel parcel{};
    std::size_t bytes = 0;
    Done<Neighbours::Outcome> done;
  };
  struct Lane {
    std::mutex mutex;  // guards the rest
    std::deque<Waiting> waiting{};
    std::size_t bytes = 0;
    bool is_busy = false;  // a call is under way or about to be
  };

  /// By whoever made the lane busy.
  void send_next(Lane& lane);
  std::vector<Waiting> take_batch(Lane& lane);
  void answer_all(std::vector<Waiting>& batch, const Result<mqtt::v1::DeliverResponse>& answer);

  const FrontPeers::Settings& settings_;
  const Clock& clock_;
  PeerMetrics& metrics_;
  std::atomic<std::size_t> users_{0};
  std::atomic<MonoTime> used_at_{MonoTime::min()};
  std::array<Lane, kLanes> lanes_{};
  std::unique_ptr<rpc::Channel> channel_;  // its callbacks use what is above
  rpc::Client<mqtt::v1::MqttFrontService> client_;
};

}  // namespace sluice::front
