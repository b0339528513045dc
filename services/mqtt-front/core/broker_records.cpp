#include "core/broker.h"

#include <sluice/base/check.h>
#include <sluice/base/crash_point.h>
#include <sluice/base/planted_bug.h>

// Records for Kafka, and what became of them.
namespace sluice::front {
namespace {

// Records of QoS 0: nobody waits for what became of them.
constexpr std::uint64_t kNobodyWaits = ~std::uint64_t{0};

// Wills and events that wait for room: those of a front's worth of devices that lost power
// together.
constexpr std::size_t kMaxStalledAlone = 100'000;

std::uint64_t token_of(std::uint32_t slot, mqtt::PublishId id, mqtt::Qos qos) {
  // The id takes the lower half; of the upper one, the top bit marks QoS 2.
  const std::uint64_t mark = qos == mqtt::Qos::kExactlyOnce ? std::uint64_t{1} << 63 : 0;
  return mark | (std::uint64_t{slot} << 32) | id;
}

}  // namespace

void Broker::append(Client& client, const mqtt::Publish& publish, mqtt::PublishId id,
                    const RecordSink::Record& record) {
  const bool acks_early = SLUICE_PLANTED_BUG("front_acks_early");
  const std::uint64_t token =
      id == 0 || acks_early ? kNobodyWaits : token_of(client.slot(), id, publish.qos);
  switch (offer(record, token)) {
    case Offered::kTaken:
      if (acks_early && id != 0) {
        return client.answer_publish(id, mqtt::ReasonCode::kSuccess, "");
      }
      if (id != 0) client.expect_stored(publish, id);
      return;
    case Offered::kTooLarge:
      if (id != 0) {
        client.answer_publish(id, mqtt::ReasonCode::kQuotaExceeded, "too_large_for_kafka");
      }
      return;
    case Offered::kRefused:  // the topic is gone, or we may not write to it: it may be sent again
      if (id != 0) client.answer_publish(id, mqtt::ReasonCode::kUnspecifiedError, "not_stored");
      return;
    case Offered::kNoRoom:
      break;
  }
  if (publish.qos == mqtt::Qos::kAtMostOnce) return ports_.metrics.count_dropped("kafka_full");
  if (id != 0) client.expect_stored(publish, id);
  stall(record, token);
}

void Broker::append_alone(mqtt::Qos qos, const RecordSink::Record& record) {
  if (offer(record, kNobodyWaits) != Offered::kNoRoom) return;
  // No socket is paused by it, as it is by what a client sends, so that it needs its own bound.
  if (qos == mqtt::Qos::kAtMostOnce || stalled_.size() >= kMaxStalledAlone) {
    return ports_.metrics.count_dropped("kafka_full");
  }
  stall(record, kNobodyWaits);
}

void Broker::append_event(const RecordSink::Record& record) {
  if (offer(record, kEventToken) != Offered::kNoRoom) return;
  if (stalled_.size() >= kMaxStalledAlone || SLUICE_PLANTED_BUG("front_drops_events")) {
    return ports_.metrics.count_dropped("device_event");
  }
  stall(record, kEventToken);
}

Broker::Offered Broker::offer(const RecordSink::Record& record, std::uint64_t token) {
  if (!stalled_.empty()) return Offered::kNoRoom;
  const Result<> taken = ports_.sink.try_append(record, token);
  if (taken) return Offered::kTaken;
  if (taken.error().code() == ErrorCode::kResourceExhausted ||
      taken.error().code() == ErrorCode::kUnavailable) {
    return Offered::kNoRoom;
  }
  ports_.metrics.count_dropped("refused_by_kafka");
  return taken.error().code() == ErrorCode::kInvalidArgument ? Offered::kTooLarge
                                                             : Offered::kRefused;
}

// What one read brought beyond the room there is: no more is read until it is gone.
void Broker::stall(const RecordSink::Record& record, std::uint64_t token) {
  ports_.metrics.stalled.add();
  stalled_.push_back({.topic = std::string(record.topic),
                      .key = std::string(record.key),
                      .value = std::string(record.value),
                      .partition = record.partition,
                      .token = token});
  ports_.metrics.waiting_records.add(1);
}

RecordStamp Broker::stamp() {
  const WallTime now = wall_now();
  return {.message_id = message_ids_.next(now), .received_at = now};
}

void Broker::retry_records() {
  while (!stalled_.empty()) {
    const Stalled& next = stalled_.front();
    const Result<> taken = ports_.sink.try_append(
        {.topic = next.topic, .key = next.key, .value = next.value, .partition = next.partition},
        next.token);
    if (!taken && (taken.error().code() == ErrorCode::kResourceExhausted ||
                   taken.error().code() == ErrorCode::kUnavailable)) {
      return;
    }
    const Stored refused{.token = next.token, .is_stored = false};
    stalled_.pop_front();
    ports_.metrics.waiting_records.add(-1);
    if (!taken) on_stored({&refused, 1});
  }
}

void Broker::on_stored(std::span<const Stored> stored) {
  for (const Stored& record : stored) {
    if (record.token == kEventToken) continue;
    (record.is_stored ? ports_.metrics.ingested : ports_.metrics.not_stored).add();
    if (record.token == kNobodyWaits) continue;
    SLUICE_CRASH_POINT("front_before_acknowledging");
    const bool is_qos2 = (record.token >> 63) != 0;
    const auto slot = static_cast<std::uint32_t>((record.token >> 32) & 0x7FFF'FFFF);
    SLUICE_CHECK(slot < slots_.size() && slots_[slot] != nullptr);
    Client& client = *slots_[slot];
    client.on_stored(
        static_cast<mqtt::PublishId>(record.token), is_qos2,
        record.is_stored ? mqtt::ReasonCode::kSuccess : mqtt::ReasonCode::kUnspecifiedError,
        record.is_stored ? "" : "not_stored");
    settle(client);
  }
}

}  // namespace sluice::front
