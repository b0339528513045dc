#pragma once

#include "core/admission.h"

#include <cstdint>
#include <string>

#include <sluice/ingest/envelope.h>
#include <sluice/ingest/topic_map.h>

namespace sluice::front {

/// What a client's publishes to one topic mean: found once and kept, because devices repeat
/// themselves.
struct TopicRoute {
  std::string topic{};
  ingest::TopicKind kind = ingest::TopicKind::kOther;
  ingest::EnvelopePrefix prefix{};  // of telemetry and events
  std::int32_t partition = -1;
  DeviceRates rates{};           // of the identity, made once
  std::uint8_t allowed = 0;      // bit 2 * QoS + retain: the policy was asked and said yes
  bool has_subscribers = false;  // one of the client's own subscriptions matches
};

}  // namespace sluice::front
