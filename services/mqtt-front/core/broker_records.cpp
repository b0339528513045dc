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

constexpr std::string_view kNotStored = "not_stored";

std::uint64_t token_of(std::uint32_t slot, mqtt::PublishId id, mqtt::Qos qos) {
  // The id takes the lower half; of the upper one, the top bit marks QoS 2.
  const std::uint64_t mark = qos == mqtt::Qos::kExactlyOnce ? std::uint64_t{1} << 63 : 0;
  return mark | (std::uint64_t{slot} << 32) | id;
}

std::uint32_t slot_of(std::uint64_t token) {
  return static_cast<std::uint32_t>((token >> 32) & 0x7FFF'FFFF);
}

}  // namespace

// Too large it stays however often it is sent. Otherwise the topic is gone, or we may not write to
// it: it may be sent again.
Broker::Refusal Broker::refusal_of(Offered offered) {
  if (offered == Offered::kTooLarge && !SLUICE_PLANTED_BUG("front_has_one_refusal")) {
    return {.reason = mqtt::ReasonCode::kQuotaExceeded, .text = "too_large_for_kafka"};
  }
  return {.reason = mqtt::ReasonCode::kUnspecifiedError, .text = kNotStored};
}

void Broker::append(Client& client, const mqtt::Publish& publish, mqtt::PublishId id,
                    const RecordSink::Record& record) {
  const bool acks_early = SLUICE_PLANTED_BUG("front_acks_early");
  const std::uint64_t token =
      id == 0 || acks_early ? kNobodyWaits : token_of(client.slot(), id, publish.qos);
  const Offered offered = offer(record, token);
  switch (offered) {
    case Offered::kTaken:
      if (acks_early && id != 0) {
        return client.answer_publish(id, mqtt::ReasonCode::kSuccess, "");
      }
      if (id != 0) client.expect_stored(publish, id);
      return;
    case Offered::kTooLarge:
    case Offered::kRefused: {
      const Refusal why = refusal_of(offered);
      if (id != 0) client.answer_publish(id, why.reason, why.text);
      return;
    }
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
  return offer_next(record, token);
}

Broker::Offered Broker::offer_next(const RecordSink::Record& record, std::uint64_t token) {
  const Result<> taken = ports_.sink.try_append(record, token);
  if (taken) return Offered::kTaken;
  if (taken.error().code() == ErrorCode::kResourceExhausted ||
      taken.error().code() == ErrorCode::kUnavailable) {
    return Offered::kNoRoom;
  }
  ports_.metrics.count_dropped("refused_by_kafka");
  if (token != kEventToken) ports_.metrics.not_stored.add();
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
    const Offered offered = offer_next(
        {.topic = next.topic, .key = next.key, .value = next.value, .partition = next.partition},
        next.token);
    if (offered == Offered::kNoRoom) return;
    const std::uint64_t token = next.token;
    stalled_.pop_front();
    ports_.metrics.waiting_records.add(-1);
    const bool is_awaited = token != kEventToken && token != kNobodyWaits;
    if (offered == Offered::kTaken || !is_awaited) continue;
    const Refusal why = refusal_of(offered);
    settle_record(token, why.reason, why.text);
  }
}

// An answer is little work: far enough ahead for a step to be over.
void Broker::look_ahead(std::span<const Stored> stored) const {
  const auto tell = [&](std::size_t ahead, PrefetchStep step) {
    if (ahead >= stored.size()) return;
    const std::uint32_t slot = slot_of(stored[ahead].token);
    if (slot < slots_.size() && slots_[slot] != nullptr) slots_[slot]->prefetch_for_answer(step);
  };
  tell(9, PrefetchStep::kObject);
  tell(6, PrefetchStep::kPointees);
  tell(3, PrefetchStep::kBehind);
}

void Broker::on_stored(std::span<const Stored> stored) {
  for (; !stored.empty(); stored = stored.subspan(1)) {
    look_ahead(stored);
    const Stored& record = stored.front();
    if (record.token == kEventToken) continue;
    (record.is_stored ? ports_.metrics.ingested : ports_.metrics.not_stored).add();
    if (record.token == kNobodyWaits) continue;
    SLUICE_CRASH_POINT("front_before_acknowledging");
    if (record.is_stored) {
      settle_record(record.token, mqtt::ReasonCode::kSuccess, "");
    } else {
      settle_record(record.token, mqtt::ReasonCode::kUnspecifiedError, kNotStored);
    }
  }
}

void Broker::settle_record(std::uint64_t token, mqtt::ReasonCode reason, std::string_view why) {
  const bool is_qos2 = (token >> 63) != 0;
  const std::uint32_t slot = slot_of(token);
  SLUICE_CHECK(slot < slots_.size() && slots_[slot] != nullptr);
  Client& client = *slots_[slot];
  client.on_stored(static_cast<mqtt::PublishId>(token), is_qos2, reason, why);
  settle(client);
}

}  // namespace sluice::front
