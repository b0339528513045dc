#include "adapters/client_journal.h"

#include <cstdint>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/base/planted_bug.h>
#include <sluice/device/v1/device_event.pb.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kTopic = "device.events";
// A storm of refusals must not become a storm of log lines; metrics count them all.
constexpr std::uint32_t kRefusalsPerSecond = 10;

}  // namespace

ClientJournal::ClientJournal(Options options, const Clock& clock, Random& random, const Logger& log,
                             FrontMetrics& metrics)
    : options_(std::move(options)),
      clock_(clock),
      log_(log),
      metrics_(metrics),
      event_ids_(random) {}

void ClientJournal::on_opened(const Client& client, std::uint64_t epoch,
                              std::string_view protocol) {
  if (!options_.sends_events) return;
  device::v1::DeviceEvent event;
  auto& opened = *event.mutable_session_opened();
  opened.set_session_epoch(epoch);
  opened.set_credential_id(client.identity()->credential_id);
  opened.set_protocol(std::string(protocol));
  opened.set_address(std::string(client.address()));
  opened.set_front(options_.front);
  send(client, event);
}

void ClientJournal::on_ended(const Client& client, std::uint64_t epoch, std::string_view reason) {
  if (!options_.sends_events) return;
  device::v1::DeviceEvent event;
  event.mutable_session_closed()->set_session_epoch(epoch);
  event.mutable_session_closed()->set_reason(std::string(reason));
  send(client, event);
}

void ClientJournal::send(const Client& client, device::v1::DeviceEvent& event) {
  const WallTime now = clock_.wall();
  const auto id = event_ids_.next(now);
  event.set_event_id(id.data(), id.size());
  event.set_tenant(client.identity()->tenant.value());
  event.set_device(client.identity()->device.value());
  event.set_at_ms(now.time_since_epoch().count());
  const std::string value = event.SerializeAsString();
  broker_->append_event({.topic = kTopic, .key = client.key().value(), .value = value});
}

void ClientJournal::on_refused(const Peer& peer, std::string_view client_id,
                               mqtt::ReasonCode reason, std::string_view what) {
  metrics_.count_refused(mqtt::to_string(reason));
  if (SLUICE_PLANTED_BUG("front_counts_refusals_twice")) {
    metrics_.count_refused(mqtt::to_string(reason));
  }
  const MonoTime now = clock_.mono();
  if (now - refusals_logged_from_ >= 1s) {
    refusals_logged_from_ = now;
    refusals_logged_ = 0;
  }
  if (++refusals_logged_ > kRefusalsPerSecond) return;
  // The same id goes to no metric: it is for finding this one line.
  log_.warning("connection_refused", {{"address", peer.address},
                                      {"client_id", client_id},
                                      {"reason", mqtt::to_string(reason)},
                                      {"detail", what}});
}

}  // namespace sluice::front
