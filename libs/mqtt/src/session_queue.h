#pragma once

#include "ring.h"

#include <sluice/mqtt/session.h>

namespace sluice::mqtt {

/// What waits for a client or is under way to it. QoS 0 waits apart, since a client that
/// acknowledges nothing holds back only the others.
struct Session::Queue {
  /// QoS 1 and 2, in order; the first `under_way` of them were sent, on this connection or another.
  Ring<Delivery> tracked;
  Ring<Delivery> qos0;
  std::size_t under_way = 0;
  std::size_t bytes = 0;
  MonoTime first_expiry = MonoTime::max();  // nothing that waits expires earlier
};

}  // namespace sluice::mqtt
