#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <sluice/mqtt/decoder.h>
#include <sluice/mqtt/encoder.h>

namespace sluice::load {

/// What the null sink does wrong on purpose, so that tests see it noticed.
enum class SinkFault : std::uint8_t {
  kNone,
  kWrongId,  // acknowledges what was never sent
  kTwice,    // acknowledges everything twice
  kRefuse,   // lets nobody in
  kBusy,     // lets only every second client in
  kHangUp,   // closes when something is published, or a sign of life is asked for
};
SinkFault sink_fault(std::string_view name);

/// The answers of the null sink to the packets of one read.
struct SinkAnswers {
  mqtt::Output to_peer{};
  mqtt::Output to_subscriber{};  // QoS 0 publishes as they came, where they are forwarded
  bool has_subscribed = false;
  std::uint32_t connects = 0;  // of all reads
};

/// Appends the answer to a packet. False: the connection is to be closed.
bool answer(const mqtt::Frame& frame, mqtt::Version& version, SinkFault fault, bool forwards,
            SinkAnswers& answers);

}  // namespace sluice::load
