#pragma once

#include "ports.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/base/clock.h>
#include <sluice/base/result.h>
#include <sluice/mqtt/message.h>
#include <sluice/mqtt/session.h>

/// The binary records of a store that outlives the process: a version byte, then varints and
/// length-prefixed texts; an empty field costs one byte. A later version reads what an earlier one
/// wrote. What is damaged gives kDataLoss, never a crash: the bytes come from outside.
namespace sluice::front {

/// One moment on both clocks: expiry is monotonic in memory and wall time in a store.
struct Moment {
  WallTime wall{};
  MonoTime mono{};

  static Moment of(const Clock& clock) { return {.wall = clock.wall(), .mono = clock.mono()}; }
};

/// Message::publisher is left out: it means something to the running process alone.
std::string encode_message(const mqtt::Message& message, const Moment& now);
Result<mqtt::Message> decode_message(std::string_view record, const Moment& now);

/// A will without its delay, which is kept beside it.
std::string encode_will(const StoredWill& will, const Moment& now);
Result<StoredWill> decode_will(std::string_view record, const Moment& now);

/// The sequence is not part of the record: it names the record. The second byte tells scripts all
/// they need: the QoS in the lowest two bits, 16 where it came by a shared subscription, and 32
/// where the last eight bytes are its expiry: milliseconds of wall time, little-endian. The third
/// is the state, 0 for what was never sent.
std::string encode_delivery(const mqtt::Delivery& delivery, const Moment& now);
Result<mqtt::Delivery> decode_delivery(std::string_view record, std::uint64_t sequence,
                                       const Moment& now);

/// What changes of a delivery once it is under way; laid over the delivery's record when read, so
/// that a message is written once however often its state changes.
std::string encode_progress(const mqtt::Delivery& delivery);
Result<> apply_progress(std::string_view record, mqtt::Delivery& delivery);

}  // namespace sluice::front
