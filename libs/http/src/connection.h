#pragma once

#include "transport.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include <sluice/base/clock.h>
#include <sluice/http/request.h>

namespace sluice::http {

/// One accepted socket and what was read from it ahead. Owned by the poller while nothing is to be
/// done for it, and by one worker while a request of it is handled.
struct Connection {
  enum class Phase : std::uint8_t {
    kHandshake,  // TLS is being set up
    kHead,       // a request's head is coming in
    kIdle,       // between two requests
    kLinger,     // answered for good: what still comes is thrown away until the peer closes
  };

  Transport transport;
  Peer peer;
  Phase phase = Phase::kHead;
  std::string buffer{};  // read and not used yet; at most a head, or what a body reader read ahead
  std::size_t scanned = 0;      // of the buffer, by find_head_end()
  std::size_t head_size = 0;    // of a complete head at the buffer's front
  std::int64_t requests = 0;    // handled so far
  MonoTime deadline{};          // when the poller gives it up
  std::uint64_t discarded = 0;  // bytes, in kLinger
};

/// What becomes of a connection after a request.
enum class Ending : std::uint8_t {
  kKeep,    // the next request may come
  kClose,   // everything was read and written
  kLinger,  // answered without reading everything: closing at once would destroy the answer on its
            // way
  kCut,     // broken, or the answer could not be finished
};

}  // namespace sluice::http
