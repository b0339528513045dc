#pragma once

#include "core/broker.h"

#include <string>

#include <sluice/base/clock.h>
#include <sluice/device/v1/device_event.pb.h>
#include <sluice/ingest/message_ids.h>
#include <sluice/log/logger.h>

namespace sluice::front {

/// Tells of clients that come, go and are refused: to the log, and to device.events through the
/// loop's own producer. One owner: the loop.
class ClientJournal final : public ClientObserver {
 public:
  struct Options {
    bool sends_events = true;
    /// What operators call this front: the pod's name.
    std::string front{};
  };
  ClientJournal(Options options, const Clock& clock, Random& random, const Logger& log,
                FrontMetrics& metrics);
  /// Whose clients it hears of; before the first of them.
  void attach(Broker& broker) { broker_ = &broker; }

  void on_opened(const Client& client, std::uint64_t epoch, std::string_view protocol) override;
  void on_ended(const Client& client, std::uint64_t epoch, std::string_view reason) override;
  void on_refused(const Peer& peer, std::string_view client_id, mqtt::ReasonCode reason,
                  std::string_view what) override;

 private:
  void send(const Client& client, device::v1::DeviceEvent& event);

  const Options options_;
  const Clock& clock_;
  const Logger& log_;
  Broker* broker_ = nullptr;
  FrontMetrics& metrics_;
  ingest::MessageIds event_ids_;
  MonoTime refusals_logged_from_{};
  std::uint32_t refusals_logged_ = 0;
};

}  // namespace sluice::front
