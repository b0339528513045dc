#pragma once

#include "ack_window.h"
#include "session_queue.h"

#include <string>
#include <vector>

#include <sluice/mqtt/connection.h>

namespace sluice::mqtt {

struct Connection::Traffic {
  AckWindow answers;
  std::vector<std::string> inbound_aliases;   // alias 1 is at 0; empty: not set
  std::vector<std::string> outbound_aliases;  // likewise; all are set
};

struct Connection::Input {
  Output& out;
  ConnectionEvents& events;
};

/// Appends a packet unless it is larger than the peer takes, [MQTT5-3.1.2-24].
template <typename... Packet>
bool put_within(std::uint32_t max_size, Output& out, const Packet&... packet) {
  const std::size_t start = out.size();
  encode(packet..., out);
  if (out.size() - start <= max_size) return true;
  out.resize(start);
  return false;
}

}  // namespace sluice::mqtt
