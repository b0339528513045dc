#include "ledger.h"

#include "telemetry_log.h"

#include <algorithm>
#include <chrono>
#include <format>
#include <stdexcept>

#include <sluice/testing/eventually.h>

namespace sluice::front::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kWindow = 20;

}  // namespace

LedgerDevice::LedgerDevice(Device device, std::function<std::string()> address)
    : device_(std::move(device)), address_(std::move(address)), thread_([this] { run(); }) {}

void LedgerDevice::finish() {
  is_finishing_ = true;
  thread_.join();
}

void LedgerDevice::run() {
  while (!is_finishing_ || !unanswered_.empty()) {
    try {
      MqttClient client(address_());
      client.send_connect(device_.session());
      const auto connack = client.receive(5s);
      if (connack && connack->reason == mqtt::ReasonCode::kSuccess) converse(client);
    } catch (const std::runtime_error&) {
      std::this_thread::yield();  // nobody listens at the moment
    }
  }
}

void LedgerDevice::converse(MqttClient& client) {
  const auto send = [&](std::uint64_t number, bool again) {
    return client.send_publish(device_.telemetry(), std::to_string(number), mqtt::Qos::kAtLeastOnce,
                               static_cast<std::uint16_t>(number % 60'000 + 1), again);
  };
  for (const std::uint64_t number : unanswered_) {
    if (!send(number, true)) return;
  }
  while (!is_finishing_ || !unanswered_.empty()) {
    while (!is_finishing_ && unanswered_.size() < kWindow) {
      unanswered_.insert(++sent_);
      if (!send(sent_, false)) return;
    }
    const auto packet = client.receive(100ms);
    if (client.is_closed()) return;
    if (!packet) continue;
    if (packet->type != mqtt::PacketType::kPuback) return;
    const std::uint64_t first = *unanswered_.begin();
    // The front answers in the order of the publishes.
    if (packet->packet_id != first % 60'000 + 1 || packet->reason != mqtt::ReasonCode::kSuccess) {
      return;  // refused or out of order: what is not acknowledged is sent again
    }
    unanswered_.erase(first);
    acked_ = first;
  }
  client.send_disconnect();
}

std::string LedgerDevice::faults_of(const std::vector<std::string>& payloads) const {
  std::uint64_t highest = 0;
  for (const std::string& payload : payloads) {
    const std::uint64_t number = std::stoull(payload);
    if (number > highest + 1) {
      return std::format("{}: {} comes after {}, {} acknowledged\n", device_.id, number, highest,
                         acked_.load());
    }
    highest = std::max(highest, number);
  }
  if (highest >= acked_) return {};
  return std::format("{}: {} acknowledged, Kafka holds {}\n", device_.id, acked_.load(), highest);
}

Ledgers::Ledgers(Platform& platform, std::size_t count,
                 const std::function<std::string()>& address) {
  for (std::size_t i = 0; i < count; ++i) {
    devices_.push_back(std::make_unique<LedgerDevice>(platform.make_device(), address));
  }
}

std::uint64_t Ledgers::acked() const {
  std::uint64_t sum = 0;
  for (const auto& device : devices_) sum += device->acked();
  return sum;
}

std::uint64_t Ledgers::sent() const {
  std::uint64_t sum = 0;
  for (const auto& device : devices_) sum += device->sent();
  return sum;
}

bool Ledgers::wait_for_acks(std::uint64_t more) const {
  const std::uint64_t wanted = acked() + more;
  return sluice::testing::eventually([&] { return acked() >= wanted; });
}

std::string Ledgers::reconcile(const std::string& kafka_namespace) {
  for (const auto& device : devices_) device->finish();
  TelemetryLog log(kafka_namespace);
  std::string faults;
  for (const auto& device : devices_) {
    faults += device->faults_of(log.payloads_of(device->device().id));
  }
  return faults;
}

}  // namespace sluice::front::testing
