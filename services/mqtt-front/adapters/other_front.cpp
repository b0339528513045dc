#include "adapters/other_front.h"

#include "adapters/wire_message.h"
#include "core/broker.h"

namespace sluice::front {
namespace {

using Service = mqtt::v1::MqttFrontService;
using Outcome = Neighbours::Outcome;

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
    case mqtt::v1::DELIVERY_OUTCOME_FAILED:
      return fail(Error(ErrorCode::kUnavailable, "the session of that front was not stored")
                      .with_reason("not_stored"));
    default:
      return fail(ErrorCode::kInternal, "another front gave an outcome that makes no sense");
  }
}

}  // namespace

void OtherFront::deliver(const SessionKey& key, const Parcel& parcel, Done<Outcome> done) {
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

void OtherFront::release(const SessionKey& key, Epoch epoch,
                         std::move_only_function<void(Result<mqtt::v1::ReleaseResponse>)> done) {
  mqtt::v1::ReleaseRequest request;
  request.set_session(key.value());
  request.set_epoch(epoch.value());
  client_.call_async(
      &rpc::Client<Service>::Stub::Release, std::move(request),
      {.timeout = settings_.release_timeout},
      [use = Use(*this), done = std::move(done)](auto answer) mutable { done(std::move(answer)); });
}

void OtherFront::send_next(Lane& lane) {
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
  client_.call_async(&rpc::Client<Service>::Stub::Deliver, std::move(request),
                     {.timeout = settings_.timeout},
                     [this, use = Use(*this), &lane,
                      batch = std::move(batch)](Result<mqtt::v1::DeliverResponse> answer) mutable {
                       answer_all(batch, answer);
                       send_next(lane);
                     });
}

std::vector<OtherFront::Waiting> OtherFront::take_batch(Lane& lane) {
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

void OtherFront::answer_all(std::vector<Waiting>& batch,
                            const Result<mqtt::v1::DeliverResponse>& answer) {
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

}  // namespace sluice::front
