#include "adapters/grpc_door.h"

#include "adapters/door_metrics.h"
#include "adapters/wire_message.h"
#include "core/broker.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <format>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sluice/base/ids.h>
#include <sluice/grpc/raw.h>
#include <sluice/mqtt/v1/mqtt_front.grpc.pb.h>

namespace sluice::front {
namespace {

using namespace ::sluice::mqtt::v1;  // NOLINT: the messages of this one interface
using Outcome = Neighbours::Outcome;

// Who may ask what. Whoever answers devices publishes; only a front may hand over sessions.
std::vector<std::string> publishers() {
  return {"shadow-service", "rules-engine", "device-registry", "provisioning-ca"};
}
std::vector<std::string> fronts() { return {"mqtt-front"}; }

// What a service may add to a message; about what AWS IoT allows.
constexpr std::size_t kMaxUserProperties = 64;
// How often a handler looks whether anybody still waits for it: when the server stops.
constexpr std::chrono::milliseconds kLook{50};

std::string name_of(std::string_view method) {
  return std::format("{}/{}", MqttFrontService::service_full_name(), method);
}

/// What a loop will say, or not, or too late: owned by the handler that waits and by the task that
/// answers, so that neither cares whether the other is still there.
template <typename T>
class Answer {
 public:
  void give(Result<T> answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
    given_.notify_all();
  }

  Result<T> wait(const rpc::Call& call, const Clock& clock) {
    std::unique_lock lock(mutex_);
    while (!answer_) {
      const auto left = call.deadline() - clock.mono();
      if (left <= left.zero()) {
        return fail(ErrorCode::kDeadlineExceeded, "the loop did not answer in time");
      }
      if (call.is_cancelled()) return fail(ErrorCode::kCancelled, "nobody waits any more");
      given_.wait_for(lock, std::min<std::chrono::nanoseconds>(left, kLook));
    }
    return *std::move(answer_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable given_;
  std::optional<Result<T>> answer_;
};

DeliveryOutcome to_wire(const Result<Outcome>& outcome) {
  if (!outcome) {
    return outcome.error().reason() == "not_here" ? DELIVERY_OUTCOME_NOT_HERE
                                                  : DELIVERY_OUTCOME_FAILED;
  }
  switch (*outcome) {
    case Outcome::kDelivered:
    case Outcome::kQueued:
      return DELIVERY_OUTCOME_TAKEN;
    case Outcome::kFull:
      return DELIVERY_OUTCOME_FULL;
    case Outcome::kNobody:
    case Outcome::kAway:  // never asked for by another front
      break;
  }
  return DELIVERY_OUTCOME_NOBODY;
}

/// The deliveries of one call, at all the loops that they belong to. Owned by the tasks on those.
class Batch {
 public:
  using Answers = Answer<std::vector<DeliveryOutcome>>;

  Batch(std::size_t count, std::shared_ptr<Answers> answers)
      : outcomes_(count), missing_(count), answers_(std::move(answers)) {}

  /// On the loop of `index`; each writes only its own outcomes, the last one answers.
  void set(std::size_t index, const Result<Outcome>& outcome) {
    outcomes_[index] = to_wire(outcome);
    if (missing_.fetch_sub(1, std::memory_order_acq_rel) == 1) answers_->give(std::move(outcomes_));
  }

 private:
  std::vector<DeliveryOutcome> outcomes_;
  std::atomic<std::size_t> missing_;
  std::shared_ptr<Answers> answers_;  // shared with the handler
};

}  // namespace

class GrpcDoor::Service final : public MqttFrontService::CallbackService {
 public:
  Service(const Settings& settings, const Clock& clock, const ingest::TopicMap& topics,
          FrontLoops loops, rpc::Server& server, Registry& registry)
      : settings_(settings),
        clock_(clock),
        topics_(topics),
        loops_(std::move(loops)),
        metrics_(registry),
        publish_(server.method({.name = name_of("Publish"), .peers = publishers()})),
        // Publish waits for another front's Deliver, and that for the claim of a session that waits
        // for a third one's Release, which waits for Kafka: each needs threads that no earlier one
        // of these can take.
        deliver_(server.method(
            {.name = name_of("Deliver"), .peers = fronts(), .has_own_workers = true})),
        release_(server.method(
            {.name = name_of("Release"), .peers = fronts(), .has_own_workers = true})) {
    server.add(*this);
  }

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context,
                                    const PublishRequest* request,
                                    PublishResponse* response) override {
    return rpc::serve(publish_, context, request, response,
                      [this](const rpc::Call& call, const PublishRequest& r) {
                        return counted(publish(call, r));
                      });
  }

  grpc::ServerUnaryReactor* Deliver(grpc::CallbackServerContext* context,
                                    const DeliverRequest* request,
                                    DeliverResponse* response) override {
    return rpc::serve(deliver_, context, request, response,
                      [this](const rpc::Call& call, const DeliverRequest& r) {
                        return counted(deliver(call, r));
                      });
  }

  grpc::ServerUnaryReactor* Release(grpc::CallbackServerContext* context,
                                    const ReleaseRequest* request,
                                    ReleaseResponse* response) override {
    return rpc::serve(release_, context, request, response,
                      [this](const rpc::Call& call, const ReleaseRequest& r) {
                        return counted(release(call, r));
                      });
  }

 private:
  template <typename Response>
  Result<Response> counted(Result<Response> response) {
    if (!response && response.error().code() == ErrorCode::kDeadlineExceeded) {
      metrics_.unanswered.add();
    }
    return response;
  }

  Result<PublishResponse> publish(const rpc::Call& call, const PublishRequest& request) {
    SLUICE_TRY(check_id(request.tenant(), "tenant"));
    const Moment now = Moment::of(clock_);
    const WireBounds bounds{.max_payload = settings_.max_payload,
                            .max_user_properties = kMaxUserProperties};
    SLUICE_TRY_ASSIGN(auto read, from_wire(request.message(), bounds, now, "message"));
    if (read.has_expired(now.mono)) return PublishResponse();
    const auto message = std::make_shared<const mqtt::Message>(std::move(read));

    const auto answer = std::make_shared<Answer<FanOutCounts>>();
    loops_.post(loop_for(request.tenant(), message->topic),
                [tenant = request.tenant(), message, answer](Broker& broker) {
                  broker.publish(tenant, message, [answer](Result<FanOutCounts> counts) {
                    answer->give(std::move(counts));
                  });
                });
    SLUICE_TRY_ASSIGN(const FanOutCounts counts, answer->wait(call, clock_));
    metrics_.delivered.add(counts.delivered);
    metrics_.queued.add(counts.queued);
    metrics_.dropped.add(counts.dropped);
    PublishResponse response;
    response.set_delivered(counts.delivered);
    response.set_queued(counts.queued);
    response.set_dropped(counts.dropped);
    return response;
  }

  /// That of the device whose topic it is, which spares the way to it from another one.
  std::size_t loop_for(std::string_view tenant, std::string_view topic) const {
    const auto owner = topics_.owner_of(topic);
    if (!owner || owner->may_be_external_id) return 0;
    return loops_.owner_of(session_key(tenant, owner->device));
  }

  Result<DeliverResponse> deliver(const rpc::Call& call, const DeliverRequest& request) {
    struct Item {
      std::size_t index = 0;
      Addressed addressed{};
    };
    const Moment now = Moment::of(clock_);
    std::vector<std::vector<Item>> by_loop(loops_.size());
    const auto count = static_cast<std::size_t>(request.deliveries_size());
    for (std::size_t i = 0; i < count; ++i) {
      const Delivery& wire = request.deliveries(static_cast<int>(i));
      SLUICE_TRY_ASSIGN(auto addressed, from_wire(wire, now, std::format("deliveries[{}]", i)));
      const std::size_t loop = loops_.owner_of(addressed.key);
      by_loop[loop].push_back({.index = i, .addressed = std::move(addressed)});
    }
    if (count == 0) return DeliverResponse();

    const auto answers = std::make_shared<Batch::Answers>();
    const auto batch = std::make_shared<Batch>(count, answers);
    for (std::size_t loop = 0; loop < by_loop.size(); ++loop) {
      if (by_loop[loop].empty()) continue;
      loops_.post(loop, [batch, items = std::move(by_loop[loop])](Broker& broker) mutable {
        for (Item& item : items) {
          broker.deliver_here(item.addressed.key, std::move(item.addressed.parcel),
                              [batch, index = item.index](const Result<Outcome>& outcome) {
                                batch->set(index, outcome);
                              });
        }
      });
    }
    SLUICE_TRY_ASSIGN(const auto outcomes, answers->wait(call, clock_));
    DeliverResponse response;
    for (const DeliveryOutcome outcome : outcomes) {
      metrics_.deliveries[static_cast<std::size_t>(outcome)].add();
      response.add_outcomes(outcome);
    }
    return response;
  }

  Result<ReleaseResponse> release(const rpc::Call& call, const ReleaseRequest& request) {
    if (!is_session_key(request.session())) {
      return fail(Error(ErrorCode::kInvalidArgument, "no session is named")
                      .with_fault("session", "names no session"));
    }
    const SessionKey key(request.session());
    const auto answer = std::make_shared<Answer<bool>>();
    loops_.post(loops_.owner_of(key), [key, epoch = request.epoch(), answer](Broker& broker) {
      broker.release(key, Epoch(epoch),
                     [answer](Result<bool> was_held) { answer->give(std::move(was_held)); });
    });
    SLUICE_TRY_ASSIGN(const bool was_held, answer->wait(call, clock_));
    ReleaseResponse response;
    response.set_was_held(was_held);
    return response;
  }

  const Settings settings_;
  const Clock& clock_;
  const ingest::TopicMap& topics_;
  const FrontLoops loops_;
  DoorMetrics metrics_;
  rpc::Method& publish_;
  rpc::Method& deliver_;
  rpc::Method& release_;
};

GrpcDoor::GrpcDoor(const Settings& settings, const Clock& clock, const ingest::TopicMap& topics,
                   FrontLoops loops, rpc::Server& server, Registry& registry)
    : service_(
          std::make_unique<Service>(settings, clock, topics, std::move(loops), server, registry)) {}

GrpcDoor::~GrpcDoor() = default;

}  // namespace sluice::front
