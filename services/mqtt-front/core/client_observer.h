#pragma once

#include <cstdint>
#include <string_view>

#include <sluice/mqtt/protocol.h>

namespace sluice::front {

class Client;
struct Peer;

/// What happened to a client, for whoever logs and tells others.
class ClientObserver {
 public:
  virtual ~ClientObserver() = default;
  virtual void on_opened(const Client& client, std::uint64_t epoch, std::string_view protocol) = 0;
  virtual void on_ended(const Client& client, std::uint64_t epoch, std::string_view reason) = 0;
  /// `what` names the clause, the limit and its value, or the reason of the registry.
  virtual void on_refused(const Peer& peer, std::string_view client_id, mqtt::ReasonCode reason,
                          std::string_view what) = 0;
};

}  // namespace sluice::front
